/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Lost cells that programs are run over. Who asks for one lost cell of a stripe asks for the others
 * too, as a rule of the same node and at the same time. They are decoded of the same k cells, so
 * one gather decodes all of them, and those that nobody waits for yet are kept for a while. So are,
 * for who asks for the stripe, the data cells of which they were decoded: they need not be read
 * once more where they lie.
 *
 *   take -> kept: it is given out, and kept no longer
 *   want -> is being decoded, or read for that: waits
 *           else: gather it, and what else of its stripe is lost -> give out -> keep the others
 *
 * What is kept counts as memory of programs, and goes, oldest first, where others need it.
 */
#include "server/node/objects_internal.h"

#define NODE_DECODED_KEPT_US 2000000u

struct node_decoded {
    struct node_work link;
    struct node_timer timer; /* then what is kept goes */
    struct node_objects *o;
    struct node_gather_spec spec; /* wanted: all that is being decoded */
    bool gathering;
    bool stripe;           /* all data cells of it are asked for */
    uint64_t reserved;     /* of o->run_bytes */
    struct node_work uses; /* that wait */
    struct node_decoded_cell kept[NODE_OBJECT_SHARDS_MAX];
};

static struct node_decoded *node_decoded_of(struct node_work *link)
{
    return (struct node_decoded *)(void *)((uint8_t *)link - offsetof(struct node_decoded, link));
}

static struct node_decoded_use *node_decoded_use_of(struct node_work *link)
{
    return (struct node_decoded_use *)(void *)link;
}

/* returns: bytes that decoding so many cells of a stripe takes, at most. */
static uint64_t node_decoded_bytes(const struct node_gather_spec *spec)
{
    const unsigned cells = (unsigned)__builtin_popcount(spec->wanted);
    return node_gather_bytes(spec->info) + (uint64_t)spec->info->shape.cell_bytes * (cells - 1);
}

static void node_decoded_free(struct node_decoded *d)
{
    struct node_objects *o = d->o;
    for (unsigned s = 0; s < NODE_OBJECT_SHARDS_MAX; s++) {
        node_blob_release(o->n, d->kept[s].blob);
    }
    o->run_bytes -= d->reserved;
    node_timer_cancel(o->n, &d->timer);
    node_work_remove(&d->link);
    node_info_release(d->spec.info);
    alloc_put(&o->alloc, d, sizeof *d);
}

void node_decoded_free_all(struct node_objects *o)
{
    while (!node_work_empty(&o->decoded)) {
        node_decoded_free(node_decoded_of(o->decoded.next));
    }
}

static void node_decoded_forget(struct node *n, struct node_timer *t)
{
    (void)n;
    node_decoded_free(t->ctx);
}

bool node_decoded_room(struct node_objects *o, uint64_t bytes)
{
    struct node_work *next = NULL;
    for (struct node_work *w = o->decoded.next; w != &o->decoded; w = next) {
        struct node_decoded *d = node_decoded_of(w);
        next = w->next;
        if (o->run_bytes + bytes <= NODE_RUN_BYTES_OUT_MAX) {
            return true;
        }
        if (!d->gathering) {
            node_decoded_free(d);
        }
    }
    return o->run_bytes == 0 || o->run_bytes + bytes <= NODE_RUN_BYTES_OUT_MAX;
}

/* ---- decode --------------------------------------------------------------------------------- */

static bool node_decoded_is(const struct node_decoded *d, const struct node_gather_spec *spec)
{
    return node_version_equal(d->spec.info->version, spec->info->version) &&
           d->spec.info->extent == spec->info->extent && d->spec.stripe == spec->stripe;
}

/* returns: the data cells of the stripe that nobody who can be asked is known to have. */
static uint32_t node_decoded_lost(const struct node_objects *o, const struct node_gather_spec *spec)
{
    const struct node_extent_info *info = spec->info;
    uint32_t lost = 0;
    for (unsigned s = 0; s < info->shape.scheme.k; s++) {
        const bool there = (info->e.durable >> s & 1u) != 0;
        lost |= !there || !node_peer_is_up(o->n, info->e.holder[s]) ? 1u << s : 0;
    }
    return lost & ~erasure_stripe_empty(&info->layout, info->extent, spec->stripe);
}

/* A cell that was gathered, which *out then holds. */
static void node_decoded_hold(const struct node_gathered *g, unsigned shard,
                              struct node_decoded_cell *out)
{
    out->blob = g->blob[shard];
    out->at = (uint32_t)(g->cell[shard] - node_blob_data(out->blob));
    out->read = (g->read >> shard & 1u) != 0;
    node_blob_retain(out->blob);
}

/* Puts the cells that are waited for where their uses find them, and keeps the others. */
static void node_decoded_share(struct node_decoded *d, const struct node_gathered *g)
{
    const uint32_t data = (1u << (d->spec.info->shape.scheme.k - 1) << 1) - 1;
    const uint32_t have = d->spec.wanted | (d->stripe ? g->read & data : 0);
    uint32_t given = 0;
    for (struct node_work *w = d->uses.next; w != &d->uses; w = w->next) {
        struct node_decoded_use *use = node_decoded_use_of(w);
        if ((have >> use->shard & 1u) != 0) {
            node_decoded_hold(g, use->shard, &use->cell);
        }
        given |= 1u << use->shard;
    }
    for (unsigned s = 0; s < NODE_OBJECT_SHARDS_MAX; s++) {
        if ((have & ~given) >> s & 1u) {
            node_decoded_hold(g, s, &d->kept[s]);
            d->reserved += node_blob_bytes(d->kept[s].blob).size;
        }
    }
    d->o->run_bytes += d->reserved;
}

/* Tells those that waited; *d may be gone. */
static void node_decoded_tell(struct node_objects *o, struct node_work *uses, int code,
                              uint64_t moved)
{
    while (!node_work_empty(uses)) {
        struct node_decoded_use *use = node_decoded_use_of(uses->next);
        const struct node_decoded_cell cell = use->cell;
        node_work_remove(&use->link);
        const bool last = node_work_empty(uses); /* its program ends last, as a rule */
        use->cell.blob = NULL;
        use->done(use, code == 0 && cell.blob == NULL ? ERR_NOT_FOUND : code, &cell,
                  last ? moved : 0);
        node_blob_release(o->n, cell.blob);
    }
}

static int node_decoded_gather(struct node_decoded *d);

/* Begins again without lost cells that nobody waits for. returns: whether it has begun. */
static bool node_decoded_alone(struct node_decoded *d)
{
    uint32_t wanted = 0;
    for (struct node_work *w = d->uses.next; w != &d->uses; w = w->next) {
        wanted |= 1u << node_decoded_use_of(w)->shard;
    }
    wanted &= d->spec.wanted;
    const bool fewer = wanted != 0 && wanted != d->spec.wanted;
    d->spec.wanted = wanted;
    return fewer && node_decoded_gather(d) == 0;
}

static void node_decoded_gathered(struct node *n, void *ctx, int code,
                                  const struct node_gathered *g)
{
    struct node_decoded *d = ctx;
    struct node_objects *o = d->o;
    struct node_work uses;
    d->gathering = false;
    o->run_bytes -= d->reserved;
    d->reserved = 0;
    if (code != 0 && node_decoded_alone(d)) {
        return;
    }
    node_work_init(&uses);
    if (code == 0) {
        node_decoded_share(d, g);
    }
    while (!node_work_empty(&d->uses)) {
        struct node_work *w = d->uses.next;
        node_work_remove(w);
        node_work_add(&uses, w);
    }
    if (d->reserved > 0) {
        node_timer_set(n, &d->timer, node_now(n) + NODE_DECODED_KEPT_US);
    } else {
        node_decoded_free(d);
    }
    node_decoded_tell(o, &uses, code, g->moved);
}

/* returns: 0, or why it has not begun. */
static int node_decoded_gather(struct node_decoded *d)
{
    const uint64_t bytes = node_decoded_bytes(&d->spec);
    d->gathering = true; /* or it would itself make room, where it begins again */
    int err = node_decoded_room(d->o, bytes) ? 0 : ERR_BUSY;
    err = err != 0 ? err : node_gather_start(d->o, &d->spec, d, node_decoded_gathered);
    if (err != 0) {
        d->gathering = false;
        return err;
    }
    d->reserved = bytes;
    d->o->run_bytes += bytes;
    return 0;
}

/* ---- ask ------------------------------------------------------------------------------------ */

bool node_decoded_take(struct node_objects *o, const struct node_gather_spec *spec,
                       const struct node_decoded_use *use, struct node_decoded_cell *out)
{
    for (struct node_work *w = o->decoded.next; w != &o->decoded; w = w->next) {
        struct node_decoded *d = node_decoded_of(w);
        const struct node_decoded_cell cell = d->kept[use->shard];
        if (cell.blob != NULL && (use->stripe || !cell.read) && node_decoded_is(d, spec)) {
            const uint64_t bytes = node_blob_bytes(cell.blob).size;
            d->kept[use->shard].blob = NULL;
            d->reserved -= bytes;
            o->run_bytes -= bytes;
            if (d->reserved == 0) {
                node_decoded_free(d);
            }
            *out = cell;
            return true;
        }
    }
    return false;
}

/* returns: whether what is being gathered gives the use its cell. */
static bool node_decoded_gives(const struct node_decoded *d, const struct node_gather_spec *spec,
                               uint32_t lost, bool stripe)
{
    const uint32_t wanted = stripe ? spec->wanted | lost : spec->wanted;
    return d->gathering && (d->spec.wanted & wanted) != 0 && node_decoded_is(d, spec);
}

/* returns: whether a cell is lost, or is asked for before any of its stripe that is: behind one, it
 * was kept when that was decoded, or is not worth it any more. */
static bool node_decoded_first(uint32_t lost, uint8_t shard)
{
    const uint32_t bit = 1u << shard;
    return (lost & bit) != 0 || (lost != 0 && (lost & (bit - 1)) == 0);
}

int node_decoded_want(struct node_objects *o, const struct node_gather_spec *spec,
                      struct node_decoded_use *use)
{
    const uint32_t lost = node_decoded_lost(o, spec);
    ASSERT((spec->wanted & (spec->wanted - 1)) == 0 && spec->wanted == 1u << use->shard);
    use->cell.blob = NULL;
    for (struct node_work *w = o->decoded.next; w != &o->decoded; w = w->next) {
        struct node_decoded *d = node_decoded_of(w);
        if (node_decoded_gives(d, spec, lost, use->stripe)) {
            d->stripe |= use->stripe;
            node_work_add(&d->uses, &use->link);
            return 0;
        }
    }
    if (use->stripe && !node_decoded_first(lost, use->shard)) {
        return ERR_NOT_FOUND;
    }
    struct node_decoded *d = alloc_get_zeroed(&o->alloc, 1, sizeof *d);
    if (d == NULL) {
        return ERR_NO_MEMORY;
    }
    d->o = o;
    d->spec = *spec;
    d->stripe = use->stripe;
    if (use->stripe) {
        d->spec.wanted = lost;
    } else if ((lost & spec->wanted) != 0) {
        d->spec.wanted |= lost;
    }
    d->timer.ctx = d;
    d->timer.fire = node_decoded_forget;
    node_work_init(&d->link);
    node_work_init(&d->uses);
    node_info_retain(d->spec.info);
    int err = node_decoded_gather(d);
    if (err != 0) {
        node_decoded_free(d);
        return err;
    }
    node_work_add(&o->decoded, &d->link);
    node_work_add(&d->uses, &use->link);
    return 0;
}
