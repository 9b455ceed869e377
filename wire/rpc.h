/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * MessagePack-RPC messages, as its specification says:
 *
 *   request       [0, msgid, method, params]
 *   response      [1, msgid, error, result]
 *   notification  [2, method, params]
 *
 * Holdfast's last parameter is a map of options; a client may leave it out. Unknown options are
 * ignored, an option given twice is ERR_PROTOCOL. An error is [code, name, message, hint map|nil].
 * The methods are in wire/api.h.
 *
 * A server:  err = wire_rpc_of(root, &m);            an error here: close the connection
 *            TRY(wire_param_bytes(&m, 0, 1024, &key));
 *            TRY(wire_options_of(&m, &options));      an error here: answer with it
 *            wire_pack_result(out, m.msgid); wire_pack_map(out, 1); ...
 *        or  wire_pack_failure(out, m.msgid, &(struct wire_failure){.code = ERR_CONFLICT});
 * A client:  wire_pack_request(out, msgid, "kv.get", 3); its 3 parameters; ...
 *            wire_rpc_of(root, &m); if not nil, wire_error_of(m.error, &error); else m.result
 *
 * threads: pure functions over nodes of one owner.
 */
#ifndef HOLDFAST_WIRE_RPC_H
#define HOLDFAST_WIRE_RPC_H

#include "base/bytes.h"
#include "wire/value.h"

#define WIRE_METHOD_BYTES_MAX 64u
#define WIRE_OPTIONS_MAX 32u /* pairs of an option map */
#define WIRE_ERROR_TEXT_BYTES_MAX 512u

enum wire_rpc_type { WIRE_REQUEST = 0, WIRE_RESPONSE = 1, WIRE_NOTIFICATION = 2 };

struct wire_rpc {
    enum wire_rpc_type type;
    uint32_t msgid;           /* request, response */
    struct bytes method;      /* request, notification */
    struct wire_node params;  /* request, notification: an array */
    uint32_t params_count;    /* without the option map */
    struct wire_node options; /* the map, or nil */
    int refusal;              /* 0, or why the options cannot be read; every getter returns it */
    struct wire_node error;   /* response: nil, or the error */
    struct wire_node result;  /* response */
};

/* returns: 0, or ERR_PROTOCOL if root is no such message. */
int wire_rpc_of(struct wire_node root, struct wire_rpc *out);
bool wire_rpc_is(const struct wire_rpc *m, const char *method);

/* Parameter i. Each returns m->refusal, ERR_INVALID (not there, another type, does not fit) or
 * ERR_TOO_LARGE (longer than bytes_max). */
int wire_param_bytes(const struct wire_rpc *m, uint32_t i, size_t bytes_max, struct bytes *out);
int wire_param_u64(const struct wire_rpc *m, uint32_t i, uint64_t *out);
int wire_param_u32(const struct wire_rpc *m, uint32_t i, uint32_t *out);
int wire_param_i64(const struct wire_rpc *m, uint32_t i, int64_t *out);
/* As wire_param_bytes; nil, or nothing there, is *present = false and *out untouched. */
int wire_param_bytes_or_nil(const struct wire_rpc *m, uint32_t i, size_t bytes_max, bool *present,
                            struct bytes *out);
int wire_param_u64_or_nil(const struct wire_rpc *m, uint32_t i, bool *present, uint64_t *out);
/* Refuses parameters of a later version. returns: m->refusal, or ERR_INVALID if there are more
 * than max or fewer than min. */
int wire_params_check(const struct wire_rpc *m, uint32_t min, uint32_t max);

/* Option name; *out keeps what the caller set (its default) if the option is not there or nil. */
int wire_option_u64(const struct wire_rpc *m, const char *name, uint64_t *out);
int wire_option_bool(const struct wire_rpc *m, const char *name, bool *out);
int wire_option_bytes(const struct wire_rpc *m, const char *name, size_t bytes_max,
                      struct bytes *out);

/* The options that every method knows. */
struct wire_options {
    bool has_deadline;
    uint64_t deadline_ms; /* from arrival; the caller gives up then */
    bool has_session;
    uint64_t session_id;
    uint64_t session_seq;   /* of this request, from 1 */
    uint64_t session_ack;   /* replies up to here have arrived and may be forgotten */
    bool stale;             /* level "stale"; else linearizable */
    struct bytes principal; /* empty: "root" */
    bool has_token;
    struct bytes token; /* wire/token.h; may be empty */
    bool has_budget;
    uint64_t budget_ms;
    uint32_t copies;   /* 0: not given */
    bool apart;        /* operations of several callers */
    struct bytes once; /* wire/once.h; empty: none */
};

/* returns: 0, m->refusal, ERR_INVALID or ERR_TOO_LARGE; *out is all defaults on failure. */
int wire_options_of(const struct wire_rpc *m, struct wire_options *out);
/* Appends the option map, with only what is set. */
int wire_pack_options(struct buf *out, const struct wire_options *o);

struct wire_error {
    int code;              /* ERR_*; ERR_PROTOCOL if the error has another shape */
    struct bytes name;     /* view, may be empty */
    struct bytes message;  /* view, may be empty */
    struct wire_node hint; /* a map or nil */
};

/* Reads the error of a response, of whatever shape. */
void wire_error_of(struct wire_node n, struct wire_error *out);

/* Appending values. Failures are kept in out->err and returned; check once at the end. */
int wire_pack_nil(struct buf *out);
int wire_pack_bool(struct buf *out, bool v);
int wire_pack_u64(struct buf *out, uint64_t v);
int wire_pack_i64(struct buf *out, int64_t v);
int wire_pack_double(struct buf *out, double v);
int wire_pack_str(struct buf *out, struct bytes v);
int wire_pack_text(struct buf *out, const char *v); /* str of a NUL-terminated text */
int wire_pack_bin(struct buf *out, struct bytes v);
int wire_pack_array(struct buf *out, uint32_t count); /* count values follow */
int wire_pack_map(struct buf *out, uint32_t count);   /* count pairs follow: key, value */
/* Only the head of a binary of bytes; the caller sends so many bytes after it. */
int wire_pack_bin_head(struct buf *out, uint32_t bytes);

/* The beginning of a message; params_count values must follow. */
int wire_pack_request(struct buf *out, uint32_t msgid, const char *method, uint32_t params_count);
int wire_pack_notification(struct buf *out, const char *method, uint32_t params_count);
/* The beginning of a good response; one value must follow. */
int wire_pack_result(struct buf *out, uint32_t msgid);

/* One pair of a hint: text, or number if text.data is NULL. */
struct wire_hint {
    const char *name;
    struct bytes text;
    uint64_t number;
};

struct wire_failure {
    int code;            /* ERR_* */
    const char *message; /* NULL: the sentence of the table */
    const struct wire_hint *hints;
    unsigned hints_count; /* 0: nil */
};

/* A whole response with an error. */
int wire_pack_failure(struct buf *out, uint32_t msgid, const struct wire_failure *f);

#endif
