/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Where a range of an object's bytes lies: its extent, by what is known here or asked of the group.
 */
#include "server/node/objects_internal.h"

/* returns: 0 with the place of the range, or ERR_RANGE: it is not within one cell. */
static int node_cell_range_locate(struct node_cell_range *r, const struct erasure_layout *l)
{
    if (r->length == 0 || !num_fits(r->offset, r->length, l->object_bytes)) {
        return ERR_RANGE;
    }
    TRY(erasure_locate(l, r->offset, &r->place, &r->at));
    return num_fits(r->at, r->length, erasure_cell_bytes(l, &r->place)) ? 0 : ERR_RANGE;
}

/* returns: 0 and the extent is known; WIRE_MORE: another one is to be asked for; or an error. */
static int node_cell_range_learn(struct node_cell_range *r, struct bytes reply)
{
    struct node_extents_answer a;
    struct erasure_layout layout;
    struct bytes name;
    struct bytes value;
    struct node_version v;
    struct node_extent e;
    uint32_t extent = 0;
    TRY(node_extents_answer_of(reply, &a));
    if (!a.has_version || a.version.state != NODE_VERSION_LIVE) {
        return ERR_VERSION_GONE;
    }
    if (a.version.extents == 0) {
        return ERR_RANGE; /* its bytes came with its stat */
    }
    TRY(node_shape_layout(&a.version.shape, a.version.size, &layout));
    TRY(node_cell_range_locate(r, &layout));
    if (r->place.extent != r->extent) {
        r->extent = (uint32_t)r->place.extent;
        return WIRE_MORE;
    }
    if (!node_answer_row(&a.rows, &name, &value) || !node_name_of_extent(name, &v, &extent) ||
        !node_version_equal(v, r->version) || extent != r->extent ||
        node_extent_decode(value, &e) != 0) {
        return ERR_CORRUPT;
    }
    r->info = node_info_new(r->o, r->group, v, extent, &a.version.shape, a.version.size, &e);
    if (r->info == NULL) {
        return ERR_NO_MEMORY;
    }
    node_info_cache(r->info);
    return 0;
}

static void node_cell_range_ask(struct node_cell_range *r);

static void node_cell_range_learnt(struct node *n, void *ctx, int code, struct bytes reply)
{
    (void)n;
    struct node_cell_range *r = ctx;
    if (code == 0) {
        code = node_cell_range_learn(r, reply);
    }
    if (code == WIRE_MORE) {
        node_cell_range_ask(r);
    } else {
        r->done(r, code);
    }
}

static void node_cell_range_ask(struct node_cell_range *r)
{
    const struct node_object_ask ask = {
        .version = r->version, .from = r->extent, .limit = 1, .roots = true};
    int err = node_objects_ask(r->o, r->group, NODE_QUERY_OBJECT_EXTENTS, &ask, r->deadline_us, r,
                               node_cell_range_learnt);
    if (err != 0) {
        r->done(r, err);
    }
}

void node_cell_range_find(struct node_cell_range *r)
{
    struct node_objects *o = r->o;
    /* any extent of the version tells the layout */
    for (struct node_work *w = o->infos.prev; w != &o->infos; w = w->prev) {
        struct node_extent_info *info = (struct node_extent_info *)(void *)w;
        if (node_version_equal(info->version, r->version) &&
            node_cell_range_locate(r, &info->layout) == 0) {
            r->extent = (uint32_t)r->place.extent;
            r->info = node_info_find(o, r->version, r->extent);
            break;
        }
    }
    if (r->info != NULL) {
        node_info_retain(r->info);
        r->done(r, 0);
    } else {
        node_cell_range_ask(r);
    }
}

void node_cell_range_refresh(struct node_cell_range *r)
{
    r->refreshed = true;
    node_info_forget(r->info);
    node_cell_range_release(r);
    node_cell_range_ask(r);
}

void node_cell_range_release(struct node_cell_range *r)
{
    if (r->info != NULL) {
        node_info_release(r->info);
        r->info = NULL;
    }
}
