/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The `lookup` of programs: which tables they need, and that they have them.
 */
#include "compute/program.h"

#include "compute/program_internal.h"
#include "compute/table_internal.h"

static int parse_name(struct compute_parser *s, struct compute_lookup *l)
{
    struct compute_program *p = s->p;
    if (!compute_parser_is(s, "as")) {
        return compute_parser_wrong(s, "stands where 'as' and a name for the row should");
    }
    TRY(compute_parser_next(s));
    if (s->token.kind != COMPUTE_TOKEN_WORD) {
        return compute_parser_wrong(s,
                                    "stands where a name for the row should: letters, digits, _");
    }
    for (uint32_t i = 0; i < p->lookups; i++) {
        if (bytes_equal(p->lookup[i].as, s->token.shown)) {
            return compute_parser_wrong(s, "is declared twice");
        }
    }
    l->as = s->token.shown;
    return compute_parser_next(s);
}

int compute_parser_lookup(struct compute_parser *s, struct compute_expr *key)
{
    struct compute_program *p = s->p;
    enum compute_expr_type type = COMPUTE_EXPR_NUMBER;
    struct compute_lookup l = {.left = compute_parser_is(s, "left")};
    if (p->lookups == COMPUTE_PROGRAM_LOOKUPS_MAX) {
        return err_set(s->why, ERR_TOO_LARGE, "column %u: more than %u tables", s->token.column,
                       COMPUTE_PROGRAM_LOOKUPS_MAX);
    }
    TRY(l.left ? compute_parser_next(s) : 0);
    if (s->token.kind != COMPUTE_TOKEN_TEXT || s->token.text.size == 0) {
        return compute_parser_wrong(s, "stands where the name of a table should: \"bucket/name\"");
    }
    if (s->token.text.size > COMPUTE_PROGRAM_TABLE_NAME_MAX) {
        return compute_parser_wrong(s, "is too long for a table's name");
    }
    l.name = s->token.text;
    TRY(compute_parser_next(s));
    l.header = compute_parser_is(s, "header");
    TRY(l.header ? compute_parser_next(s) : 0);
    const struct compute_token first = s->token;
    TRY(compute_parser_expr(s, key, &type));
    if (type == COMPUTE_EXPR_TRUTH) {
        s->token = first;
        return compute_parser_wrong(s, "begins a condition, where a value should be");
    }
    TRY(parse_name(s, &l));
    p->lookup[p->lookups++] = l;
    return 0;
}

uint32_t compute_program_lookups(const struct compute_program *p)
{
    return p->lookups;
}

struct bytes compute_program_lookup(const struct compute_program *p, uint32_t i, bool *header)
{
    ASSERT(i < p->lookups);
    *header = p->lookup[i].header;
    return p->lookup[i].name;
}

void compute_program_bind(struct compute_program *p, uint32_t i, const struct compute_table *t)
{
    uint8_t parts[20];
    struct hash_digest d = {.low = p->digest, .high = 0};
    const struct hash_digest of = compute_table_digest(t);
    ASSERT(i < p->lookups && p->lookup[i].table == NULL);
    p->lookup[i].table = t;
    num_put_u32(parts, i);
    num_put_u64(parts + 4, of.low);
    num_put_u64(parts + 12, of.high);
    hash_digest_add(&d, bytes_of(parts, sizeof(parts)), bytes_of(NULL, 0));
    p->digest = d.low;
}
