/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The keys of the eventual clients, what they do to them, and how that looks on the wire.
 */
#include "base/num.h"
#include "tests/sim/eventual.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Tags: three regions. */
const struct sim_crdt_key sim_crdt_keys[SIM_CRDT_KEYS] = {
    [SIM_CRDT_PN0] = {"pn0{a}", SIM_CRDT_SUM, WIRE_CRDT_PN_COUNTER, false},
    [SIM_CRDT_PN1] = {"pn1{a}", SIM_CRDT_SUM, WIRE_CRDT_PN_COUNTER, false},
    [SIM_CRDT_G] = {"g{b}", SIM_CRDT_SUM, WIRE_CRDT_G_COUNTER, false},
    [SIM_CRDT_COUNT] = {"count{b}", SIM_CRDT_FIELD, WIRE_CRDT_COUNTER, true},
    [SIM_CRDT_AW] = {"aw{b}", SIM_CRDT_SET, WIRE_CRDT_AW_SET, false},
    [SIM_CRDT_G_SET] = {"gs{a}", SIM_CRDT_SET, WIRE_CRDT_G_SET, false},
    [SIM_CRDT_AW_CHAIN] = {"awc{b}", SIM_CRDT_CHAIN, WIRE_CRDT_AW_SET, false},
    [SIM_CRDT_RW_CHAIN] = {"rwc{c}", SIM_CRDT_CHAIN, WIRE_CRDT_RW_SET, false},
    [SIM_CRDT_EW_CHAIN] = {"ew{c}", SIM_CRDT_CHAIN, WIRE_CRDT_EW_FLAG, true},
    [SIM_CRDT_DW_CHAIN] = {"dw{c}", SIM_CRDT_CHAIN, WIRE_CRDT_DW_FLAG, true},
    [SIM_CRDT_LWW_CHAIN] = {"map{c}", SIM_CRDT_CHAIN, WIRE_CRDT_LWW, true},
    [SIM_CRDT_LWW] = {"lww{a}", SIM_CRDT_LAST, WIRE_CRDT_LWW, false},
    [SIM_CRDT_MV] = {"mv{b}", SIM_CRDT_MANY, WIRE_CRDT_MV, false},
    [SIM_CRDT_MAX] = {"max{c}", SIM_CRDT_MOST, WIRE_CRDT_MAX, false},
    [SIM_CRDT_MIN] = {"min{c}", SIM_CRDT_LEAST, WIRE_CRDT_MIN, false},
    [SIM_CRDT_HLL] = {"hll{c}", SIM_CRDT_ABOUT, WIRE_CRDT_HLL, false},
    [SIM_CRDT_BOUNDED] = {"bound{a}", SIM_CRDT_BOUND, WIRE_CRDT_BOUNDED, false},
};

#define SIM_CRDT_COUNT_FIELD 1u /* the number that names the counter's field */
#define SIM_CRDT_CREATED 60

static bool sim_crdt_is_set(uint8_t type)
{
    return type == WIRE_CRDT_AW_SET || type == WIRE_CRDT_RW_SET || type == WIRE_CRDT_G_SET;
}

/* ---- updates --------------------------------------------------------------------------------- */

struct sim_crdt_op *sim_crdt_op_new(struct sim *s, struct sim_crdt_client *c, uint8_t key)
{
    struct sim_eventual *e = s->eventual;
    if (e->ops_count == e->ops_cap) {
        e->ops_cap = NUM_MAX(256u, e->ops_cap * 2);
        e->ops = realloc(e->ops, e->ops_cap * sizeof(*e->ops));
        ASSERT(e->ops != NULL);
    }
    struct sim_crdt_op *op = &e->ops[e->ops_count++];
    *op = (struct sim_crdt_op){.client = c->number,
                               .key = key,
                               .sessions = c->sessions,
                               .batch = c->first,
                               .life = c->life,
                               .begun_us = s->now_us,
                               .ended_us = UINT64_MAX};
    crdt_context_init(&op->dep, &s->heap_alloc);
    for (uint32_t i = 0; c->with_token && i < c->token.ranges_count; i++) {
        const struct wire_token_range *r = &c->token.ranges[i];
        struct crdt_range range = {{r->node, r->epoch}, r->from, r->to};
        ASSERT(r->region != e->region[key] || crdt_context_add(&op->dep, &range) == 0);
    }
    c->count++;
    return op;
}

static void sim_crdt_draw_chain(struct sim *s, struct sim_crdt_client *c, uint8_t key)
{
    if (c->chain[key] == 0 || rng_chance(&s->rng, 1, 6)) {
        c->chain[key] = ++s->eventual->items;
        c->chain_on[key] = false;
    }
    c->with_token = true;
    struct sim_crdt_op *op = sim_crdt_op_new(s, c, key);
    bool flag = sim_crdt_keys[key].type == WIRE_CRDT_EW_FLAG ||
                sim_crdt_keys[key].type == WIRE_CRDT_DW_FLAG;
    bool again = key == SIM_CRDT_LWW_CHAIN && rng_chance(&s->rng, 1, 2);
    op->item = c->chain[key];
    op->off = c->chain_on[key] && !again;
    if (flag) {
        op->verb = op->off ? WIRE_CRDT_DISABLE : WIRE_CRDT_ENABLE;
    } else if (op->off) {
        op->verb = WIRE_CRDT_REMOVE;
    } else {
        op->verb = key == SIM_CRDT_LWW_CHAIN ? WIRE_CRDT_SET : WIRE_CRDT_ADD;
        op->value = ++s->eventual->items;
    }
}

/* A new element, or one that the client knows: that one is removed, where it can be. */
static void sim_crdt_draw_set(struct sim *s, struct sim_crdt_client *c, uint8_t key)
{
    uint32_t known = c->seen[key][rng_below(&s->rng, SIM_CRDT_SEEN)];
    bool old = known != 0 && rng_chance(&s->rng, 1, 2);
    bool remove = old && key == SIM_CRDT_AW;
    c->with_token = c->with_token || remove;
    struct sim_crdt_op *op = sim_crdt_op_new(s, c, key);
    op->verb = remove ? WIRE_CRDT_REMOVE : WIRE_CRDT_ADD;
    op->item = old ? known : ++s->eventual->items;
    op->again = old && !remove;
}

static void sim_crdt_draw_bounded(struct sim *s, struct sim_crdt_client *c)
{
    struct sim_crdt_op *op = sim_crdt_op_new(s, c, SIM_CRDT_BOUNDED);
    uint64_t dice = rng_below(&s->rng, 10);
    if (!s->eventual->created && c->number == 0) {
        op->verb = WIRE_CRDT_CREATE;
        op->amount = SIM_CRDT_CREATED;
    } else if (dice < 2) {
        op->verb = WIRE_CRDT_TRANSFER;
        op->amount = (int64_t)rng_between(&s->rng, 1, 8);
        op->to = (uint32_t)rng_between(&s->rng, 1, s->options.nodes);
    } else {
        op->verb = WIRE_CRDT_ADD;
        op->amount =
            dice < 4 ? (int64_t)rng_between(&s->rng, 1, 5) : -(int64_t)rng_between(&s->rng, 1, 12);
    }
}

/* Additions that go together; sometimes with one that must be refused. */
static void sim_crdt_draw_batch(struct sim *s, struct sim_crdt_client *c)
{
    int64_t amount = (int64_t)rng_between(&s->rng, 1, 9);
    uint8_t keys[] = {SIM_CRDT_PN0, SIM_CRDT_PN1, SIM_CRDT_COUNT, SIM_CRDT_G};
    unsigned count = (unsigned)rng_between(&s->rng, 2, SIM_CRDT_BATCH_MAX - 1);
    unsigned first = (unsigned)rng_below(&s->rng, SIM_CRDT_BATCH_MAX);
    bool refused = rng_chance(&s->rng, 1, 3);
    for (unsigned i = 0; i < count; i++) {
        struct sim_crdt_op *op = sim_crdt_op_new(s, c, keys[(first + i) % SIM_CRDT_BATCH_MAX]);
        op->verb = WIRE_CRDT_ADD;
        op->amount = amount;
        op->item = SIM_CRDT_COUNT_FIELD;
    }
    if (refused) {
        struct sim_crdt_op *op = sim_crdt_op_new(s, c, SIM_CRDT_BOUNDED);
        op->verb = WIRE_CRDT_ADD;
        op->amount = -1000000;
    }
}

static void sim_crdt_draw_number(struct sim *s, struct sim_crdt_client *c, uint8_t key)
{
    struct sim_crdt_op *op = sim_crdt_op_new(s, c, key);
    bool down = sim_crdt_keys[key].type != WIRE_CRDT_G_COUNTER && rng_chance(&s->rng, 1, 4);
    op->verb = WIRE_CRDT_SET;
    switch (sim_crdt_keys[key].what) {
    case SIM_CRDT_SUM:
        op->verb = WIRE_CRDT_ADD;
        op->amount =
            down ? -(int64_t)rng_between(&s->rng, 1, 5) : (int64_t)rng_between(&s->rng, 1, 9);
        break;
    case SIM_CRDT_FIELD:
        op->verb = rng_chance(&s->rng, 1, 5) ? WIRE_CRDT_REMOVE : WIRE_CRDT_ADD;
        op->amount = op->verb == WIRE_CRDT_ADD ? (int64_t)rng_between(&s->rng, 1, 5) : 0;
        op->item = SIM_CRDT_COUNT_FIELD;
        break;
    case SIM_CRDT_MOST:
    case SIM_CRDT_LEAST: op->amount = (int64_t)rng_below(&s->rng, 1000000); break;
    case SIM_CRDT_ABOUT: op->verb = WIRE_CRDT_ADD; /* fall through */
    default: op->item = ++s->eventual->items; break;
    }
}

static void sim_crdt_draw_update(struct sim *s, struct sim_crdt_client *c)
{
    static const uint8_t numbers[] = {SIM_CRDT_PN0, SIM_CRDT_PN0,   SIM_CRDT_PN1, SIM_CRDT_G,
                                      SIM_CRDT_G,   SIM_CRDT_COUNT, SIM_CRDT_LWW, SIM_CRDT_LWW,
                                      SIM_CRDT_LWW, SIM_CRDT_LWW,   SIM_CRDT_LWW, SIM_CRDT_LWW,
                                      SIM_CRDT_MV,  SIM_CRDT_MAX,   SIM_CRDT_MIN, SIM_CRDT_HLL};
    uint64_t dice = rng_below(&s->rng, 100);
    c->first = s->eventual->ops_count;
    c->count = 0;
    if (!s->eventual->created && c->number == 0) {
        sim_crdt_draw_bounded(s, c);
    } else if (dice < 30) {
        sim_crdt_draw_chain(s, c,
                            (uint8_t)rng_between(&s->rng, SIM_CRDT_AW_CHAIN, SIM_CRDT_LWW_CHAIN));
    } else if (dice < 45) {
        sim_crdt_draw_set(s, c, rng_chance(&s->rng, 1, 3) ? SIM_CRDT_G_SET : SIM_CRDT_AW);
    } else if (dice < 57) {
        sim_crdt_draw_bounded(s, c);
    } else if (dice < 65) {
        sim_crdt_draw_batch(s, c);
    } else {
        sim_crdt_draw_number(s, c, numbers[rng_below(&s->rng, sizeof(numbers))]);
    }
}

void sim_crdt_ended(struct sim_crdt_client *c, const struct sim_crdt_op *op)
{
    bool known = op->end == SIM_CRDT_DONE || op->end == SIM_CRDT_FAILED;
    if (sim_crdt_keys[op->key].what == SIM_CRDT_CHAIN) {
        c->chain[op->key] = known ? op->item : 0;
        c->chain_on[op->key] = op->end == SIM_CRDT_DONE ? !op->off : c->chain_on[op->key];
    }
    if (sim_crdt_keys[op->key].what != SIM_CRDT_SET) {
        return;
    }
    for (unsigned i = 0; i < SIM_CRDT_SEEN; i++) {
        uint32_t *seen = &c->seen[op->key][i];
        *seen = *seen == op->item ? 0 : *seen;
    }
    if (op->verb == WIRE_CRDT_ADD && op->end == SIM_CRDT_DONE) {
        c->seen[op->key][op->item % SIM_CRDT_SEEN] = op->item;
    }
}

/* ---- reads ----------------------------------------------------------------------------------- */

static struct sim_crdt_read *sim_crdt_read_new(struct sim *s, struct sim_crdt_client *c,
                                               uint8_t key)
{
    struct sim_eventual *e = s->eventual;
    if (e->reads_count == e->reads_cap) {
        e->reads_cap = NUM_MAX(256u, e->reads_cap * 2);
        e->reads = realloc(e->reads, e->reads_cap * sizeof(*e->reads));
        ASSERT(e->reads != NULL);
    }
    c->read = e->reads_count++;
    struct sim_crdt_read *r = &e->reads[c->read];
    *r = (struct sim_crdt_read){.client = c->number,
                                .life = c->life,
                                .key = key,
                                .token = c->with_token,
                                .begun_us = s->now_us};
    crdt_context_init(&r->seen, &s->heap_alloc);
    crdt_context_init(&r->told, &s->heap_alloc);
    return r;
}

/* Items, of a set or a map, are read alone or by pages. */
static void sim_crdt_draw_items(struct sim *s, struct sim_crdt_client *c, struct sim_crdt_read *r)
{
    const struct sim_crdt_key *k = &sim_crdt_keys[r->key];
    uint32_t items = s->eventual->items;
    uint32_t own = k->what == SIM_CRDT_CHAIN ? c->chain[r->key] : c->seen[r->key][0];
    if (own != 0 && rng_chance(&s->rng, 1, 3)) {
        r->mode = sim_crdt_is_set(k->type) ? SIM_CRDT_HAS : SIM_CRDT_VALUE;
        r->item = own;
        return;
    }
    r->mode = SIM_CRDT_MEMBERS;
    r->after = rng_chance(&s->rng, 1, 3) ? (uint32_t)rng_below(&s->rng, items + 1) : 0;
    r->limit = rng_chance(&s->rng, 1, 3) ? (uint32_t)rng_between(&s->rng, 1, 9) : 0;
}

static void sim_crdt_draw_read(struct sim *s, struct sim_crdt_client *c)
{
    struct sim_crdt_read *r = sim_crdt_read_new(s, c, (uint8_t)rng_below(&s->rng, SIM_CRDT_KEYS));
    enum sim_crdt_what what = sim_crdt_keys[r->key].what;
    r->item = what == SIM_CRDT_FIELD ? SIM_CRDT_COUNT_FIELD : 0;
    if (what == SIM_CRDT_SET || what == SIM_CRDT_CHAIN) {
        sim_crdt_draw_items(s, c, r);
    }
}

bool sim_crdt_draw(struct sim *s, struct sim_crdt_client *c)
{
    c->with_token = !rng_chance(&s->rng, 1, 6);
    if (rng_chance(&s->rng, 1, 2)) {
        sim_crdt_draw_read(s, c);
        return true;
    }
    sim_crdt_draw_update(s, c);
    return false;
}

bool sim_crdt_draw_final(struct sim *s, struct sim_crdt_client *c)
{
    uint8_t key = (uint8_t)(c->final_at % SIM_CRDT_KEYS);
    if (c->final_at >= SIM_CRDT_KEYS * s->options.nodes) {
        return false;
    }
    c->node = c->final_at / SIM_CRDT_KEYS + 1;
    c->with_token = c->token.ranges_count > 0;
    struct sim_crdt_read *r = sim_crdt_read_new(s, c, key);
    enum sim_crdt_what what = sim_crdt_keys[key].what;
    r->item = what == SIM_CRDT_FIELD ? SIM_CRDT_COUNT_FIELD : 0;
    if (what == SIM_CRDT_SET || what == SIM_CRDT_CHAIN) {
        r->mode = SIM_CRDT_MEMBERS;
    }
    return true;
}

/* ---- the wire -------------------------------------------------------------------------------- */

static void sim_crdt_pack_item(struct buf *out, uint32_t item)
{
    char text[16];
    (void)snprintf(text, sizeof(text), "%08" PRIu32, item);
    (void)wire_pack_text(out, text);
}

/* field: whether the path goes into the map. */
static void sim_crdt_pack_path(struct buf *out, uint8_t key, uint32_t item, bool field)
{
    const struct sim_crdt_key *k = &sim_crdt_keys[key];
    (void)wire_pack_array(out, k->field && field ? 3 : 1);
    if (k->field) {
        (void)wire_pack_u64(out, WIRE_CRDT_MAP);
    }
    if (k->field && field) {
        sim_crdt_pack_item(out, item);
    }
    if (!k->field || field) {
        (void)wire_pack_u64(out, k->type);
    }
}

static void sim_crdt_pack_op(struct buf *out, const struct sim_crdt_op *op)
{
    const struct sim_crdt_key *k = &sim_crdt_keys[op->key];
    bool remove = op->verb == WIRE_CRDT_REMOVE;
    (void)wire_pack_map(out, 6);
    (void)wire_pack_text(out, WIRE_FIELD_NAME);
    (void)wire_pack_text(out, k->name);
    (void)wire_pack_text(out, WIRE_FIELD_PATH);
    sim_crdt_pack_path(out, op->key, op->item, !remove);
    (void)wire_pack_text(out, WIRE_FIELD_VERB);
    (void)wire_pack_u64(out, op->verb);
    (void)wire_pack_text(out, WIRE_FIELD_VALUE);
    if (k->what == SIM_CRDT_CHAIN && k->type == WIRE_CRDT_LWW && !remove) {
        sim_crdt_pack_item(out, op->value);
    } else if (sim_crdt_is_set(k->type) || remove || k->what == SIM_CRDT_LAST ||
               k->what == SIM_CRDT_MANY || k->what == SIM_CRDT_ABOUT) {
        sim_crdt_pack_item(out, op->item);
    } else {
        (void)wire_pack_nil(out);
    }
    (void)wire_pack_text(out, WIRE_FIELD_AMOUNT);
    (void)wire_pack_i64(out, op->amount);
    (void)wire_pack_text(out, WIRE_FIELD_TO);
    if (op->verb == WIRE_CRDT_TRANSFER) {
        (void)wire_pack_u64(out, op->to);
    } else {
        (void)wire_pack_nil(out);
    }
}

void sim_crdt_pack_update(struct sim *s, const struct sim_crdt_client *c,
                          const struct wire_options *o)
{
    struct buf *out = &s->eventual->out;
    (void)wire_pack_request(out, c->msgid, WIRE_METHOD_CRDT_UPDATE, 3);
    (void)wire_pack_text(out, SIM_CRDT_SPACE);
    (void)wire_pack_array(out, c->count);
    for (uint32_t i = 0; i < c->count; i++) {
        sim_crdt_pack_op(out, &s->eventual->ops[c->first + i]);
    }
    (void)wire_pack_options(out, o);
}

/* Where a page begins: after an element, or a field as the answer before named it. */
static void sim_crdt_pack_after(struct buf *out, const struct sim_crdt_read *r)
{
    char text[16];
    bool field = sim_crdt_keys[r->key].field;
    (void)snprintf(text, sizeof(text), "..%08" PRIu32 ".", r->after);
    text[0] = 0;
    text[1] = 8;
    text[10] = (char)sim_crdt_keys[r->key].type;
    (void)wire_pack_bin(out, bytes_of((const uint8_t *)text + (field ? 0 : 2), field ? 11 : 8));
}

void sim_crdt_pack_read(struct sim *s, const struct sim_crdt_client *c,
                        const struct wire_options *o)
{
    struct buf *out = &s->eventual->out;
    const struct sim_crdt_read *r = &s->eventual->reads[c->read];
    bool members = r->mode == SIM_CRDT_MEMBERS;
    (void)wire_pack_request(
        out, c->msgid, members ? WIRE_METHOD_CRDT_MEMBERS : WIRE_METHOD_CRDT_READ, members ? 6 : 5);
    (void)wire_pack_text(out, SIM_CRDT_SPACE);
    (void)wire_pack_text(out, sim_crdt_keys[r->key].name);
    sim_crdt_pack_path(out, r->key, r->item, !members);
    if (r->mode == SIM_CRDT_HAS) {
        sim_crdt_pack_item(out, r->item);
    } else if (members && r->after > 0) {
        sim_crdt_pack_after(out, r);
    } else {
        (void)wire_pack_nil(out);
    }
    if (members) {
        (void)wire_pack_u64(out, r->limit);
    }
    (void)wire_pack_options(out, o);
}
