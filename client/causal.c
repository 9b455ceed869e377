/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Sessions over strong and eventual keys: the token that goes from each answer to the next request.
 */
#include "client/client_internal.h"

#include "wire/token.h"

#include <stdlib.h>

struct hf_causal {
    struct wire_token token;
    struct buf raw;
    struct buf text;
};

int hf_causal_new(struct hf_causal **out)
{
    struct alloc heap = alloc_heap();
    struct hf_causal *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return ERR_NO_MEMORY;
    }
    wire_token_init(&s->token, &heap);
    buf_init(&s->raw, &heap, WIRE_TOKEN_BYTES_MAX);
    buf_init(&s->text, &heap, 2 * WIRE_TOKEN_BYTES_MAX);
    *out = s;
    return 0;
}

void hf_causal_free(struct hf_causal *s)
{
    if (s != NULL) {
        wire_token_release(&s->token);
        buf_release(&s->raw);
        buf_release(&s->text);
        free(s);
    }
}

int hf_causal_join(struct hf_causal *s, const char *text)
{
    buf_clear(&s->raw);
    TRY(wire_token_of_text(bytes_of_text(text), &s->raw));
    return wire_token_decode(&s->token, buf_view(&s->raw));
}

const char *hf_causal_text(struct hf_causal *s)
{
    buf_clear(&s->raw);
    buf_clear(&s->text);
    (void)wire_token_encode(&s->token, &s->raw);
    (void)wire_token_to_text(buf_view(&s->raw), &s->text);
    (void)buf_put_u8(&s->text, '\0');
    return s->raw.err == 0 && s->text.err == 0 ? (const char *)s->text.data : NULL;
}

int hf_causal_pack(const struct hf_causal *s, struct buf *out)
{
    return wire_token_encode(&s->token, out);
}

int hf_causal_take(struct hf_causal *s, struct wire_node result)
{
    struct bytes token = {.data = NULL, .size = 0};
    (void)wire_node_bytes(wire_node_find(result, WIRE_FIELD_TOKEN), WIRE_TOKEN_BYTES_MAX, &token);
    return wire_token_decode(&s->token, token);
}

const char *hf_consistency_of(struct wire_node result)
{
    static const char *const known[] = {WIRE_LEVEL_LINEARIZABLE, WIRE_LEVEL_STALE,
                                        WIRE_CONSISTENCY_EVENTUAL, WIRE_CONSISTENCY_SESSION};
    struct bytes said = {.data = NULL, .size = 0};
    (void)wire_node_bytes(wire_node_find(result, WIRE_FIELD_CONSISTENCY), 64, &said);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (bytes_equal(said, bytes_of_text(known[i]))) {
            return known[i];
        }
    }
    return "";
}
