/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The replicated commands on extents: written by an upload, repaired or found damaged shard by
 * shard, freed. One function changes an extent and its MISSING records together, so the two agree
 * in every state.
 */
#include "server/node/object_ops_internal.h"

int node_extent_keys(const struct node_cmd *cmd, struct node_keys *out)
{
    struct node_object_cmd c;
    TRY(node_object_cmd_decode(cmd->op, cmd->body, &c));
    TRY(node_op_keys_of_version(c.ref.version, out));
    return node_op_keys_of_ref(&c.ref, out);
}

/* An extent's record as it will be, encoded while the old one can be viewed. */
struct node_extent_change {
    const struct node_extent_ref *ref;
    const uint32_t *homes; /* from now on */
    uint32_t missing_before;
    uint32_t missing_after;
    uint8_t left;
    bool is_new;
    struct buf record;
};

static void node_change_begin(struct node_extent_change *ch, const struct node_extent_ref *ref,
                              const struct alloc *alloc)
{
    *ch = (struct node_extent_change){.ref = ref, .homes = ref->home};
    buf_init(&ch->record, alloc, NODE_OBJECT_BODY_BYTES_MAX);
}

static void node_change_set(struct node_extent_change *ch, const struct node_extent *e)
{
    ch->missing_after = node_extent_missing(e);
    ch->left = node_extent_left(e);
    (void)node_extent_encode(e, &ch->record);
}

static uint64_t node_bits(uint32_t mask)
{
    uint64_t count = 0;
    for (; mask != 0; mask &= mask - 1) {
        count++;
    }
    return count;
}

/* Counts MISSING records, and extents, where the version's state is kept at the time. */
static int node_change_count(struct node_sm *sm, const struct node_extent_change *ch)
{
    struct node_intent i;
    struct node_version_rec v;
    const struct node_version version = ch->ref->version;
    const struct alloc *alloc = &ch->record.alloc;
    uint64_t more = node_bits(ch->missing_after);
    uint64_t less = node_bits(ch->missing_before);
    if (node_op_intent_get(sm, version, &i) == 0) {
        i.missing = i.missing + more - less;
        i.extents += ch->is_new ? 1 : 0;
        return node_op_intent_keep(sm, version, &i, alloc);
    }
    TRY(node_op_version_get(sm, version, &v));
    v.missing = v.missing + more - less;
    return node_op_version_keep(sm, version, &v, alloc);
}

static int node_change_rows(struct node_sm *sm, const struct node_extent_change *ch)
{
    const uint8_t value[2] = {NODE_OBJECT_FORMAT, ch->left};
    struct node_name name;
    for (unsigned s = 0; s < ch->ref->shards; s++) {
        struct node_missing_id id = {.node = ch->ref->home[s],
                                     .version = ch->ref->version,
                                     .extent = ch->ref->extent,
                                     .shard = (uint8_t)s};
        bool stays = (ch->missing_after >> s & 1u) != 0;
        node_name_missing(&name, &id);
        if ((ch->missing_before >> s & 1u) != 0 && (!stays || ch->homes[s] != id.node)) {
            TRY(node_sm_del(sm, node_name_view(&name)));
        }
        id.node = ch->homes[s];
        node_name_missing(&name, &id);
        if (stays) {
            TRY(node_sm_put(sm, node_name_view(&name), bytes_of(value, sizeof value)));
        }
    }
    return 0;
}

/* Ends the change; ch->record is released. */
static int node_change_end(struct node_sm *sm, struct node_extent_change *ch)
{
    struct node_name name;
    node_name_extent(&name, ch->ref->version, ch->ref->extent);
    int err = ch->record.err != 0 ? ERR_NO_MEMORY : node_change_count(sm, ch);
    if (err == 0) {
        err = node_change_rows(sm, ch);
    }
    if (err != 0) {
        buf_release(&ch->record);
        return err;
    }
    return node_op_keep(sm, &name, &ch->record);
}

/* ---- written -------------------------------------------------------------------------------- */

/* returns: whether the extent fits the upload's shape. */
static bool node_extent_fits(const struct node_shape *shape, const struct node_extent *e)
{
    uint64_t stripe = (uint64_t)shape->scheme.k * shape->cell_bytes;
    bool scheme = e->scheme.k == shape->scheme.k && e->scheme.m == shape->scheme.m;
    return scheme && e->bytes > 0 && e->bytes <= NUM_MAX(shape->extent_bytes, stripe) &&
           e->stripes == num_div_up(e->bytes, stripe) &&
           e->cells == num_div_up(e->bytes, shape->cell_bytes);
}

static int node_extent_check(struct node_sm *sm, const struct node_object_cmd *c)
{
    struct node_intent i;
    int err = node_op_intent_get(sm, c->ref.version, &i);
    if (err != 0) {
        return err == ERR_NOT_FOUND ? ERR_CANCELLED : err;
    }
    bool held = (c->extent.away & ~c->extent.durable) == 0;
    if (!node_extent_fits(&i.shape, &c->extent) || c->ref.extent >= NODE_OBJECT_EXTENTS_MAX ||
        !held) {
        return ERR_INVALID;
    }
    const struct erasure_commit rule = {.scheme = c->extent.scheme,
                                        .durable = c->extent.durable,
                                        .holders = c->extent.holder,
                                        .deadline_passed = true};
    return erasure_commit_ok(&rule) ? 0 : ERR_UNAVAILABLE;
}

/* An extent is written over by who knows it as it is. A command that comes late, or twice, finds
 * another revision: it has nothing to say if it says what is there already, else it is refused. */
static int node_extent_newer(const struct node_extent *old, const struct node_extent *e)
{
    if (e->revision == old->revision) {
        return 0;
    }
    bool same = e->durable == old->durable && e->away == old->away &&
                memcmp(e->holder, old->holder, sizeof e->holder) == 0;
    return same ? ERR_DONE : ERR_CONFLICT;
}

/* Writes the extent of an upload, or again with other shards durable (nodes failed before the
 * commit and their shards were rebuilt elsewhere). */
int node_extent_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply)
{
    struct node_object_cmd c;
    struct node_name name;
    struct bytes raw;
    struct node_extent old;
    struct node_extent_change ch;
    TRY(node_object_cmd_decode(cmd->op, cmd->body, &c));
    TRY(node_extent_check(sm, &c));
    node_name_extent(&name, c.ref.version, c.ref.extent);
    int err = node_sm_get(sm, node_name_view(&name), &raw);
    if (err == 0) {
        TRY(node_extent_decode(raw, &old));
        if (c.extent.roots.size == 0 && old.cells == c.extent.cells) {
            c.extent.roots = old.roots;
            c.extent.fingers = old.fingers;
        }
        if (memcmp(old.home, c.extent.home, sizeof old.home) != 0) {
            return ERR_INVALID;
        }
        int newer = node_extent_newer(&old, &c.extent);
        if (newer != 0) {
            return newer == ERR_DONE ? buf_put_u64(reply, old.revision) : newer;
        }
    } else if (c.extent.revision != 0) {
        return ERR_CONFLICT;
    }
    if (c.extent.roots.size != (size_t)c.extent.cells * MERKLE_HASH_BYTES) {
        return ERR_INVALID;
    }
    node_change_begin(&ch, &c.ref, &reply->alloc);
    ch.is_new = err != 0;
    ch.missing_before = ch.is_new ? 0 : node_extent_missing(&old);
    c.extent.revision = node_sm_revision(sm);
    node_change_set(&ch, &c.extent);
    TRY(node_change_end(sm, &ch));
    return buf_put_u64(reply, c.extent.revision);
}

/* ---- repaired, damaged ---------------------------------------------------------------------- */

/* The extent a report is about, if the report's homes and revision are still those of the state. */
static int node_report_get(struct node_sm *sm, const struct node_object_cmd *c,
                           struct node_extent *e)
{
    struct node_name name;
    struct bytes raw;
    node_name_extent(&name, c->ref.version, c->ref.extent);
    TRY(node_sm_get(sm, node_name_view(&name), &raw));
    TRY(node_extent_decode(raw, e));
    if (c->ref.shards != e->scheme.k + e->scheme.m ||
        memcmp(c->ref.home, e->home, sizeof e->home[0] * c->ref.shards) != 0) {
        return ERR_CONFLICT;
    }
    return 0;
}

/* Freeing has begun: nothing is repaired or reported any more. */
static int node_report_alive(struct node_sm *sm, struct node_version version)
{
    struct node_version_rec v;
    struct node_intent i;
    if (node_op_version_get(sm, version, &v) == 0) {
        return v.state == NODE_VERSION_LIVE ? 0 : ERR_VERSION_GONE;
    }
    return node_op_intent_get(sm, version, &i) == 0 ? 0 : ERR_VERSION_GONE;
}

int node_repaired_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply)
{
    struct node_object_cmd c;
    struct node_extent e;
    struct node_extent_change ch;
    TRY(node_object_cmd_decode(cmd->op, cmd->body, &c));
    TRY(node_report_alive(sm, c.ref.version));
    TRY(node_report_get(sm, &c, &e));
    uint32_t bit = 1u << c.shard;
    if ((node_extent_missing(&e) & bit) == 0) {
        return 0;
    }
    node_change_begin(&ch, &c.ref, &reply->alloc);
    ch.missing_before = node_extent_missing(&e);
    e.durable |= bit;
    e.away &= ~bit;
    e.holder[c.shard] = e.home[c.shard];
    e.revision = node_sm_revision(sm);
    node_change_set(&ch, &e);
    return node_change_end(sm, &ch);
}

/* A report about an older revision is void: the shard may have been repaired since. */
int node_damaged_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply)
{
    struct node_object_cmd c;
    struct node_extent e;
    struct node_extent_change ch;
    TRY(node_object_cmd_decode(cmd->op, cmd->body, &c));
    TRY(node_report_alive(sm, c.ref.version));
    TRY(node_report_get(sm, &c, &e));
    if (e.revision != c.revision) {
        return ERR_CONFLICT;
    }
    uint32_t bit = 1u << c.shard;
    if ((e.durable & bit) == 0) {
        return 0;
    }
    node_change_begin(&ch, &c.ref, &reply->alloc);
    ch.missing_before = node_extent_missing(&e);
    e.durable &= ~bit;
    e.away &= ~bit;
    e.holder[c.shard] = e.home[c.shard];
    e.revision = node_sm_revision(sm);
    node_change_set(&ch, &e);
    return node_change_end(sm, &ch);
}

/* ---- moved ---------------------------------------------------------------------------------- */

int node_move_keys(const struct node_cmd *cmd, struct node_keys *out)
{
    struct node_object_cmd c;
    TRY(node_object_cmd_decode(cmd->op, cmd->body, &c));
    TRY(node_op_keys_of_version(c.ref.version, out));
    TRY(node_op_keys_of_ref(&c.ref, out));
    memcpy(c.ref.home, c.move_to, sizeof c.ref.home);
    return node_op_keys_of_ref(&c.ref, out);
}

/* Gives shards of a committed extent other homes. What their holders have stays where it is and
 * known, until the new home has it; what was on a lost holder no longer counts. Uploads under way
 * have their own care: an intent refuses. */
int node_move_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply)
{
    struct node_object_cmd c;
    struct node_version_rec v;
    struct node_intent i;
    struct node_extent e;
    struct node_extent_change ch;
    TRY(node_object_cmd_decode(cmd->op, cmd->body, &c));
    TRY(node_report_alive(sm, c.ref.version));
    TRY(node_report_get(sm, &c, &e));
    if (e.revision != c.revision || node_op_intent_get(sm, c.ref.version, &i) == 0 ||
        node_op_version_get(sm, c.ref.version, &v) != 0) {
        return ERR_CONFLICT;
    }
    TRY(node_report_get(sm, &c, &e)); /* the view of its roots */
    node_change_begin(&ch, &c.ref, &reply->alloc);
    ch.homes = c.move_to;
    ch.missing_before = node_extent_missing(&e);
    e.durable &= ~c.lost;
    e.away = 0;
    for (unsigned s = 0; s < c.ref.shards; s++) {
        e.home[s] = c.move_to[s];
        e.away |= e.holder[s] != e.home[s] ? 1u << s : 0;
    }
    e.revision = node_sm_revision(sm);
    node_change_set(&ch, &e);
    return node_change_end(sm, &ch);
}

/* ---- freed ---------------------------------------------------------------------------------- */

int node_free_keys(const struct node_cmd *cmd, struct node_keys *out)
{
    struct node_object_cmd c;
    struct node_name name;
    TRY(node_object_cmd_decode(cmd->op, cmd->body, &c));
    TRY(node_op_keys_of_version(c.version, out));
    node_name_free(&name, c.due, c.version);
    TRY(node_keys_add(out, node_name_view(&name)));
    for (unsigned i = 0; i < c.refs_count; i++) {
        TRY(node_op_keys_of_ref(&c.refs[i], out));
    }
    return 0;
}

/* Extents listed by another state than this one are refused: homes name the MISSING records. */
static int node_free_check(struct node_sm *sm, const struct node_object_cmd *c)
{
    for (unsigned i = 0; i < c->refs_count; i++) {
        const struct node_extent_ref *ref = &c->refs[i];
        struct node_name name;
        struct bytes raw;
        struct node_extent e;
        node_name_extent(&name, ref->version, ref->extent);
        if (node_sm_get(sm, node_name_view(&name), &raw) != 0) {
            continue;
        }
        TRY(node_extent_decode(raw, &e));
        if (ref->shards != e.scheme.k + e.scheme.m ||
            memcmp(ref->home, e.home, sizeof e.home[0] * ref->shards) != 0) {
            return ERR_CONFLICT;
        }
    }
    return 0;
}

static int node_free_extent(struct node_sm *sm, const struct node_extent_ref *ref)
{
    struct node_name name;
    for (unsigned s = 0; s < ref->shards; s++) {
        const struct node_missing_id id = {.node = ref->home[s],
                                           .version = ref->version,
                                           .extent = ref->extent,
                                           .shard = (uint8_t)s};
        node_name_missing(&name, &id);
        TRY(node_sm_del(sm, node_name_view(&name)));
    }
    node_name_extent(&name, ref->version, ref->extent);
    return node_sm_del(sm, node_name_view(&name));
}

/* Frees extents [from, to) of a version whose time has come; after the first of these commands
 * readers get VERSION_GONE. The last one takes the version's own records. */
int node_free_apply(struct node_sm *sm, const struct node_cmd *cmd, struct buf *reply)
{
    struct node_object_cmd c;
    struct node_name name;
    struct node_name row;
    struct bytes raw;
    struct node_version_rec v;
    TRY(node_object_cmd_decode(cmd->op, cmd->body, &c));
    if (c.due > node_sm_log_time(sm)) {
        return ERR_CONFLICT;
    }
    node_name_free(&row, c.due, c.version);
    if (node_sm_get(sm, node_name_view(&row), &raw) != 0) {
        return 0; /* done already */
    }
    TRY(node_free_check(sm, &c));
    TRY(node_op_version_get(sm, c.version, &v));
    if (v.freed != c.from) {
        return ERR_CONFLICT;
    }
    v.freed = c.to;
    v.state = NODE_VERSION_DEAD;
    if (!c.flag) {
        TRY(node_op_version_keep(sm, c.version, &v, &reply->alloc));
    }
    for (unsigned i = 0; i < c.refs_count; i++) {
        TRY(node_free_extent(sm, &c.refs[i]));
    }
    if (!c.flag) {
        return 0;
    }
    node_name_version(&name, NODE_KEY_VERSION, c.version);
    TRY(node_sm_del(sm, node_name_view(&name)));
    return node_sm_del(sm, node_name_view(&row));
}
