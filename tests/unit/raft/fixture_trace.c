/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The text of golden traces: one line an action.
 */
#include "tests/unit/raft/fixture.h"

#include <stdarg.h>
#include <stdio.h>

void fx_note(struct fx *f, const char *format, ...)
{
    if (f->text_cap == 0) {
        return;
    }
    if (f->text_used + 512 >= f->text_cap) {
        return;
    }
    va_list args;
    va_start(args, format);
    int more = vsnprintf(f->text + f->text_used, 512, format, args);
    va_end(args);
    f->text_used += (size_t)more;
}

static const char *const fx_kinds[] = {
    "",           "pre_vote",     "pre_vote_reply", "vote",        "vote_reply",
    "append",     "append_reply", "heartbeat",      "beat_reply",  "read",
    "read_reply", "snapshot",     "fetch",          "fetch_reply",
};
static const char *const fx_roles[] = {"follower", "pre_candidate", "candidate", "leader"};

void fx_note_action(struct fx *f, unsigned node, const struct raft_action *a)
{
    const struct raft_message *m = &a->message;
    switch (a->kind) {
    case RAFT_PERSIST:
        fx_note(f, "  %u persist seq=%lu", node, (unsigned long)a->seq);
        if (a->hard) {
            fx_note(f, " term=%lu vote=%u", (unsigned long)a->hard_term, a->hard_vote);
        }
        if (a->count > 0) {
            fx_note(f, " %s=%lu+%u", a->fill ? "fill" : "entries", (unsigned long)a->index,
                    a->count);
        }
        if (a->cut_from != 0) {
            fx_note(f, " cut=%lu", (unsigned long)a->cut_from);
        }
        if (a->base_index != 0) {
            fx_note(f, " base=%lu/%lu", (unsigned long)a->base_index, (unsigned long)a->base_term);
        }
        fx_note(f, "\n");
        break;
    case RAFT_SEND:
        if (m->kind == RAFT_MSG_HEARTBEAT || m->kind == RAFT_MSG_HEARTBEAT_REPLY) {
            break;
        }
        fx_note(f, "  %u->%u %s term=%lu index=%lu/%lu count=%u commit=%lu hint=%lu/%lu code=%d",
                node, m->to, fx_kinds[m->kind], (unsigned long)m->term, (unsigned long)m->index,
                (unsigned long)m->index_term, m->count, (unsigned long)m->commit,
                m->kind == RAFT_MSG_FETCH ? 0ul : (unsigned long)m->hint,
                (unsigned long)m->hint_term, m->code);
        fx_note(f, " after=%lu\n", (unsigned long)a->after_seq);
        break;
    case RAFT_APPLY:
        fx_note(f, "  %u apply %lu+%u\n", node, (unsigned long)a->index, a->count);
        break;
    case RAFT_ROLE:
        fx_note(f, "  %u role %s term=%lu leader=%u\n", node, fx_roles[a->role],
                (unsigned long)a->term, a->peer);
        break;
    case RAFT_SNAPSHOT_SEND: fx_note(f, "  %u snapshot_send to=%u\n", node, a->peer); break;
    case RAFT_SNAPSHOT_INSTALL:
        fx_note(f, "  %u snapshot_install index=%lu/%lu from=%u\n", node, (unsigned long)a->index,
                (unsigned long)a->term, a->peer);
        break;
    case RAFT_READ_OK: fx_note(f, "  %u read_ok index=%lu\n", node, (unsigned long)a->index); break;
    case RAFT_READ_FAIL: fx_note(f, "  %u read_fail code=%d\n", node, a->code); break;
    case RAFT_FENCED: fx_note(f, "  %u fenced\n", node); break;
    }
}
