/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Bounded counter (Balegas et al., "Extending eventually consistent cloud databases for enforcing
 * numeric invariants", SRDS 2015). Each account has one writer: the actor whose rights it moves or
 * uses; a grant is the same whoever applies it. So an account holds one number, except that a grant
 * may be there more than once and counts once.
 *
 *   rights(a) = sum of what came to a  -  what it gave  -  what it used  -  what a fence took
 *   value     = additions + grants - used = sum of all rights
 */
#include "base/num.h"
#include "crdt/crdt_internal.h"

static void crdt_actor_put(uint8_t at[CRDT_ACTOR_BYTES], struct crdt_actor a)
{
    num_put_u32_be(at, a.node);
    num_put_u64_be(at + 4, a.epoch);
}

static struct crdt_actor crdt_actor_get(const uint8_t *at)
{
    return (struct crdt_actor){.node = num_get_u32_be(at), .epoch = num_get_u64_be(at + 4)};
}

bool crdt_bounded_rest_check(struct bytes rest)
{
    switch (rest.size > 0 ? rest.data[0] : 0) {
    case CRDT_ACCOUNT_RIGHTS: return rest.size == 1 + 2 * CRDT_ACTOR_BYTES;
    case CRDT_ACCOUNT_USED:
    case CRDT_ACCOUNT_FENCE: return rest.size == 1 + CRDT_ACTOR_BYTES;
    case CRDT_ACCOUNT_GRANT: return rest.size == 9;
    default: return false;
    }
}

/* What one account says. */
struct crdt_moved {
    uint8_t account;
    struct crdt_actor from; /* RIGHTS, USED, FENCE: whose */
    struct crdt_actor to;   /* RIGHTS, GRANT, FENCE */
    uint64_t amount;
};

static bool crdt_moved_read(struct bytes rest, struct bytes payload, struct crdt_moved *out)
{
    struct bytes_reader r = bytes_reader_of(payload);
    struct crdt_moved m = {.account = rest.data[0]};
    if (m.account != CRDT_ACCOUNT_GRANT) {
        m.from = crdt_actor_get(rest.data + 1);
    }
    if (m.account == CRDT_ACCOUNT_RIGHTS) {
        m.to = crdt_actor_get(rest.data + 1 + CRDT_ACTOR_BYTES);
    } else if (m.account != CRDT_ACCOUNT_USED) {
        uint64_t node = crdt_take_varint(&r);
        m.to = (struct crdt_actor){.node = (uint32_t)node, .epoch = crdt_take_varint(&r)};
        if (node == 0 || node > UINT32_MAX) {
            return false;
        }
    }
    m.amount = crdt_take_varint(&r);
    *out = m;
    return bytes_reader_ended(&r) && m.amount <= INT64_MAX;
}

bool crdt_bounded_payload_check(struct bytes rest, struct bytes payload)
{
    struct crdt_moved m;
    return crdt_moved_read(rest, payload, &m) && (m.amount > 0 || m.account == CRDT_ACCOUNT_FENCE);
}

/* The account of a record: its first entry speaks for a grant. returns: false after the last. */
static bool crdt_moved_at(const struct crdt_record *r, struct bytes prefix, struct crdt_moved *out)
{
    if (r == NULL || !bytes_has_prefix(crdt_record_key(r), prefix)) {
        return false;
    }
    struct bytes rest = bytes_of(r->key + prefix.size, r->key_bytes - prefix.size);
    bool good = crdt_moved_read(rest, crdt_entry_payload(crdt_entry_first(r)), out);
    ASSERT(good);
    return true;
}

void crdt_bounded_sum(const struct crdt_state *s, struct bytes prefix, struct crdt_wide *sum)
{
    struct crdt_moved m;
    const struct crdt_record *r = crdt_record_from(s, prefix);
    for (; crdt_moved_at(r, prefix, &m); r = crdt_record_next(r)) {
        if (m.account == CRDT_ACCOUNT_USED) {
            crdt_wide_sub(sum, (int64_t)m.amount);
        } else if (m.account == CRDT_ACCOUNT_GRANT ||
                   (m.account == CRDT_ACCOUNT_RIGHTS && crdt_actor_compare(m.from, m.to) == 0)) {
            crdt_wide_add(sum, (int64_t)m.amount);
        }
    }
}

/* What one account adds to the rights of an actor, or takes from them. */
static void crdt_moved_count(const struct crdt_moved *m, struct crdt_actor actor,
                             struct crdt_wide *sum)
{
    bool made = m->account == CRDT_ACCOUNT_RIGHTS && crdt_actor_compare(m->from, m->to) == 0;
    if (m->account != CRDT_ACCOUNT_USED && crdt_actor_compare(m->to, actor) == 0) {
        crdt_wide_add(sum, (int64_t)m->amount);
    }
    if (m->account != CRDT_ACCOUNT_GRANT && !made && crdt_actor_compare(m->from, actor) == 0) {
        crdt_wide_sub(sum, (int64_t)m->amount);
    }
}

void crdt_bounded_rights(const struct crdt_state *s, struct bytes prefix, struct crdt_actor actor,
                         struct crdt_wide *sum)
{
    struct crdt_moved m;
    const struct crdt_record *r = crdt_record_from(s, prefix);
    for (; crdt_moved_at(r, prefix, &m); r = crdt_record_next(r)) {
        crdt_moved_count(&m, actor, sum);
    }
}

/* ---- everybody's rights --------------------------------------------------------------------- */

struct crdt_holding {
    struct crdt_node by_actor; /* first: a node of by_actor is a holding */
    struct crdt_actor actor;
    struct crdt_wide sum;
};

static int crdt_order_actor(const void *sought, const struct crdt_node *n)
{
    const struct crdt_actor *actor = sought;
    return crdt_actor_compare(*actor, ((const struct crdt_holding *)n)->actor);
}

static int64_t crdt_holding_rights(const struct crdt_node *n)
{
    int64_t rights;
    (void)crdt_wide_get(&((const struct crdt_holding *)n)->sum, &rights);
    return rights;
}

static int crdt_holding_count(struct crdt_holders *h, struct crdt_actor actor,
                              const struct crdt_moved *m)
{
    struct crdt_holding *a =
        (struct crdt_holding *)crdt_tree_find(h->sums, &actor, crdt_order_actor);
    if (a == NULL) {
        a = alloc_get_zeroed(&h->alloc, 1, sizeof(*a));
        if (a == NULL) {
            return ERR_NO_MEMORY;
        }
        a->actor = actor;
        crdt_tree_insert(&h->sums, &a->by_actor, &actor, crdt_order_actor);
    }
    crdt_moved_count(m, actor, &a->sum);
    return 0;
}

/* Both sides of one account; an actor that is both, once. */
static int crdt_holders_count(struct crdt_holders *h, const struct crdt_moved *m)
{
    bool from = m->account != CRDT_ACCOUNT_GRANT;
    if (from) {
        TRY(crdt_holding_count(h, m->from, m));
    }
    if (m->account != CRDT_ACCOUNT_USED && !(from && crdt_actor_compare(m->from, m->to) == 0)) {
        TRY(crdt_holding_count(h, m->to, m));
    }
    return 0;
}

int crdt_bounded_holders(const struct crdt_state *s, struct bytes prefix, struct crdt_holders *h)
{
    struct crdt_moved m;
    int err = 0;
    const struct crdt_record *r = crdt_record_from(s, prefix);
    for (; err == 0 && crdt_moved_at(r, prefix, &m); r = crdt_record_next(r)) {
        err = crdt_holders_count(h, &m);
    }
    if (err != 0) {
        crdt_holders_release(h);
        return err;
    }
    struct crdt_node *at = crdt_tree_first(h->sums);
    for (; at != NULL; at = crdt_tree_next(at)) {
        h->count += crdt_holding_rights(at) > 0;
    }
    return 0;
}

bool crdt_holders_take(struct crdt_holders *h, struct crdt_holder *out)
{
    bool found = false;
    while (!found && h->sums != NULL) {
        struct crdt_node *least = crdt_tree_first(h->sums);
        struct crdt_holding *a = (struct crdt_holding *)least;
        struct crdt_holder holder = {.actor = a->actor, .rights = crdt_holding_rights(least)};
        crdt_tree_remove(&h->sums, least);
        alloc_put(&h->alloc, a, sizeof(*a));
        found = holder.rights > 0;
        if (found) {
            h->count--;
            *out = holder;
        }
    }
    return found;
}

void crdt_holders_release(struct crdt_holders *h)
{
    struct crdt_holder holder;
    while (crdt_holders_take(h, &holder)) {
    }
    h->count = 0;
}

/* ---- operations ----------------------------------------------------------------------------- */

/* Looks up one account: path's key, then the account and one or two actors. NULL: empty. */
static int crdt_account_open(struct crdt_making *m, const uint8_t *rest, size_t bytes,
                             struct crdt_moved *found, const struct crdt_record **r)
{
    struct bytes prefix = buf_view(&m->key);
    TRY(buf_append(&m->key, rest, bytes));
    prefix.data = m->key.data;
    *r = crdt_making_record(m);
    *found = (struct crdt_moved){0};
    (void)crdt_moved_at(*r, prefix, found);
    return 0;
}

/* Replaces the account by one with more. head: written before the amount. */
static int crdt_account_set(struct crdt_making *m, const struct crdt_record *r,
                            const struct crdt_actor *to, uint64_t before, uint64_t more)
{
    uint8_t payload[30];
    unsigned bytes = 0;
    if (more > INT64_MAX - before) {
        return ERR_OVERFLOW;
    }
    TRY(crdt_making_replace_all(m, r));
    if (to != NULL) {
        bytes += crdt_varint_write(payload, to->node);
        bytes += crdt_varint_write(payload + bytes, to->epoch);
    }
    bytes += crdt_varint_write(payload + bytes, before + more);
    return crdt_making_put(m, bytes_of(payload, bytes));
}

/* returns: ERR_FENCED, ERR_NO_MEMORY, or 0. */
static int crdt_bounded_open(struct crdt_making *m, struct crdt_actor actor)
{
    uint8_t rest[1 + CRDT_ACTOR_BYTES] = {CRDT_ACCOUNT_FENCE};
    struct crdt_moved found;
    const struct crdt_record *r;
    size_t path = m->key.size;
    crdt_actor_put(rest + 1, actor);
    TRY(crdt_account_open(m, rest, sizeof(rest), &found, &r));
    m->key.size = path;
    return r != NULL ? ERR_FENCED : 0;
}

static int crdt_bounded_value_check(struct crdt_making *m, uint64_t more)
{
    struct crdt_wide sum = {0};
    int64_t value;
    crdt_bounded_sum(m->s, buf_view(&m->key), &sum);
    crdt_wide_add(&sum, (int64_t)more);
    return crdt_wide_get(&sum, &value) ? 0 : ERR_OVERFLOW;
}

static int crdt_bounded_enough(struct crdt_making *m, uint64_t amount)
{
    struct crdt_wide sum = {0};
    int64_t have;
    crdt_bounded_rights(m->s, buf_view(&m->key), m->op->dot.actor, &sum);
    (void)crdt_wide_get(&sum, &have);
    return have < 0 || (uint64_t)have < amount ? ERR_NO_RIGHTS : 0;
}

/* Moves amount from the actor: to itself (made anew), to another, or out. */
static int crdt_bounded_move(struct crdt_making *m, struct crdt_actor to, uint64_t amount, bool out)
{
    uint8_t rest[1 + 2 * CRDT_ACTOR_BYTES] = {out ? CRDT_ACCOUNT_USED : CRDT_ACCOUNT_RIGHTS};
    struct crdt_moved found;
    const struct crdt_record *r;
    crdt_actor_put(rest + 1, m->op->dot.actor);
    crdt_actor_put(rest + 1 + CRDT_ACTOR_BYTES, to);
    size_t bytes = out ? 1 + CRDT_ACTOR_BYTES : sizeof(rest);
    TRY(crdt_account_open(m, rest, bytes, &found, &r));
    return crdt_account_set(m, r, NULL, found.amount, amount);
}

static int crdt_bounded_add(struct crdt_making *m)
{
    int64_t amount = m->op->amount;
    uint64_t size = amount < 0 ? 0 - (uint64_t)amount : (uint64_t)amount;
    if (amount == 0) {
        return 0;
    }
    TRY(crdt_bounded_open(m, m->op->dot.actor));
    if (amount < 0) {
        TRY(crdt_bounded_enough(m, size));
    } else {
        TRY(crdt_bounded_value_check(m, size));
    }
    return crdt_bounded_move(m, m->op->dot.actor, size, amount < 0);
}

static int crdt_bounded_transfer(struct crdt_making *m)
{
    if (crdt_actor_compare(m->op->to, m->op->dot.actor) == 0) {
        return ERR_INVALID;
    }
    TRY(crdt_bounded_open(m, m->op->dot.actor));
    TRY(crdt_bounded_open(m, m->op->to));
    TRY(crdt_bounded_enough(m, (uint64_t)m->op->amount));
    return crdt_bounded_move(m, m->op->to, (uint64_t)m->op->amount, false);
}

static int crdt_bounded_grant(struct crdt_making *m)
{
    uint8_t rest[9] = {CRDT_ACCOUNT_GRANT};
    uint64_t amount = (uint64_t)m->op->amount;
    struct crdt_moved found;
    const struct crdt_record *r;
    num_put_u64_be(rest + 1, m->op->number);
    size_t path = m->key.size;
    TRY(crdt_account_open(m, rest, sizeof(rest), &found, &r));
    if (r != NULL) {
        bool same = found.amount == amount && crdt_actor_compare(found.to, m->op->to) == 0;
        return same ? 0 : ERR_CONFLICT;
    }
    m->key.size = path;
    TRY(crdt_bounded_open(m, m->op->to));
    TRY(crdt_bounded_value_check(m, amount));
    TRY(buf_append(&m->key, rest, sizeof(rest)));
    return crdt_account_set(m, NULL, &m->op->to, 0, amount);
}

static int crdt_bounded_fence(struct crdt_making *m)
{
    uint8_t rest[1 + CRDT_ACTOR_BYTES] = {CRDT_ACCOUNT_FENCE};
    struct crdt_wide sum = {0};
    struct crdt_moved found;
    const struct crdt_record *r;
    int64_t left;
    uint64_t last = m->op->number;
    struct crdt_dot dot = {.actor = m->op->to, .counter = last};
    if (crdt_actor_compare(m->op->to, m->op->dot.actor) == 0) {
        return ERR_INVALID;
    }
    size_t at = crdt_context_at(&m->s->seen, dot);
    if (last > 0 && !crdt_context_folds(&m->s->seen, dot.actor) &&
        (!crdt_context_has(&m->s->seen, dot) || m->s->seen.ranges[at].from != 1)) {
        return ERR_BEHIND;
    }
    TRY(crdt_bounded_open(m, m->op->dot.actor));
    crdt_bounded_rights(m->s, buf_view(&m->key), m->op->to, &sum);
    (void)crdt_wide_get(&sum, &left);
    left = NUM_MAX(left, 0);
    crdt_actor_put(rest + 1, m->op->to);
    TRY(crdt_account_open(m, rest, sizeof(rest), &found, &r));
    if (r != NULL && crdt_actor_compare(found.to, m->op->dot.actor) != 0) {
        return ERR_FENCED;
    }
    if (r != NULL && left == 0) {
        return 0;
    }
    return crdt_account_set(m, r, &m->op->dot.actor, found.amount, (uint64_t)left);
}

int crdt_bounded_place(const struct crdt_op *op, struct buf *key)
{
    bool out = op->verb == CRDT_ADD && op->amount < 0;
    struct crdt_actor to = op->verb == CRDT_ADD ? op->dot.actor : op->to;
    uint8_t rest[1 + 2 * CRDT_ACTOR_BYTES] = {out ? CRDT_ACCOUNT_USED : CRDT_ACCOUNT_RIGHTS};
    if (op->verb == CRDT_GRANT) {
        rest[0] = CRDT_ACCOUNT_GRANT;
        num_put_u64_be(rest + 1, op->number);
        return buf_append(key, rest, 9);
    }
    if (op->verb == CRDT_FENCE) {
        rest[0] = CRDT_ACCOUNT_FENCE;
        crdt_actor_put(rest + 1, op->to);
        return buf_append(key, rest, 1 + CRDT_ACTOR_BYTES);
    }
    crdt_actor_put(rest + 1, op->dot.actor);
    crdt_actor_put(rest + 1 + CRDT_ACTOR_BYTES, to);
    return buf_append(key, rest, out ? 1 + CRDT_ACTOR_BYTES : sizeof(rest));
}

int crdt_make_bounded(struct crdt_making *m)
{
    bool other =
        m->op->verb == CRDT_TRANSFER || m->op->verb == CRDT_GRANT || m->op->verb == CRDT_FENCE;
    if (other && m->op->to.node == 0) {
        return ERR_INVALID;
    }
    if ((m->op->verb == CRDT_TRANSFER || m->op->verb == CRDT_GRANT) && m->op->amount <= 0) {
        return ERR_INVALID;
    }
    switch (m->op->verb) {
    case CRDT_ADD: return crdt_bounded_add(m);
    case CRDT_TRANSFER: return crdt_bounded_transfer(m);
    case CRDT_GRANT: return crdt_bounded_grant(m);
    case CRDT_FENCE: return crdt_bounded_fence(m);
    default: return ERR_INVALID;
    }
}
