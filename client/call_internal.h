/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What call.c, the attempts of a call, and call_outcome.c, what came of them, need of each other.
 *
 * threads: the loop's.
 */
#ifndef HOLDFAST_CLIENT_CALL_INTERNAL_H
#define HOLDFAST_CLIENT_CALL_INTERNAL_H

#include "client/client_internal.h"

#define HF_CALL_PAUSE_MAX_MS 1000u /* between two attempts */

/* ---- call.c --------------------------------------------------------------------------------- */

/* Keeps why the last attempt was of no use. */
void hf_call_note(struct hf_call *call, int code, const char *text);
/* It ends in the next turn of the loop. */
void hf_call_end_soon(struct hf_call *call, int code, const char *text);
/* The next attempt begins after the pause. */
void hf_call_wait(struct hf_call *call, uint64_t pause_ms);
/* returns: ms; doubles with each attempt, jittered between its half and its whole. */
uint64_t hf_call_pause(struct hf_call *call);
/* returns: whether it is applied once even if it is sent again. */
bool hf_call_may_repeat(const struct hf_call *call);
/* Gives its sequence back; the write will not be sent again under it. */
void hf_call_leave_session(struct hf_call *call);

/* ---- call_outcome.c ------------------------------------------------------------------------- */

/* The node of the last attempt does not lead the call's group, as it seems. */
void hf_call_forget_leader(struct hf_call *call);
/* What certainly was not done may be done at another node. */
void hf_call_leave_home(struct hf_call *call);
/* A node did not answer. What another one has said tells more than that, and stays. */
void hf_call_note_silence(struct hf_call *call, int code, const char *text);
/* The attempt was of no use: another node is next, or, if none is left, the refusal ends it. */
void hf_call_go_elsewhere(struct hf_call *call, uint64_t pause_ms);

#endif
