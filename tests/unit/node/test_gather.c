/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Cells that are decoded: of what they are made, what is compared with its root and who is blamed
 * (docs/adr/0033), and what programs over lost cells of one stripe share.
 */
#include "run_rig.h"

#define SHORT 1000u /* bytes of the last cell: its stripe has one that is whole before it */
#define SIZE (4 * CELL + SHORT)
#define DATA 3u
#define ALL 5u

struct gathered {
    bool ended;
    int code;
    uint32_t bad;
    uint64_t moved;
    uint32_t bytes[ALL];
    uint8_t cell[ALL][CELL];
};
static struct gathered got;
static bool by_finger;

static struct node_objects *objects_of(unsigned node)
{
    return node_objects_get(r->nodes[node - 1].node);
}

static void gather_done(struct node *n, void *ctx, int code, const struct node_gathered *g)
{
    (void)n;
    (void)ctx;
    got = (struct gathered){.ended = true, .code = code, .bad = g->bad, .moved = g->moved};
    for (unsigned s = 0; s < ALL && code == 0; s++) {
        got.bytes[s] = g->bytes[s];
        if (g->bytes[s] > 0) {
            memcpy(got.cell[s], g->cell[s], g->bytes[s]);
        }
    }
}

/* Object a of two stripes in one extent, each of 3+2, on five nodes that know it. */
static struct node_extent_info *put_stripes(void)
{
    by_finger = false;
    cluster(5, DATA, 2);
    text_content();
    ck_assert_int_eq(put(1, "a", SIZE), 0);
    for (unsigned node = 1; node <= 5; node++) {
        ck_assert_int_eq(get(node, "a", SIZE), 0);
    }
    struct node_extent_info *info =
        node_info_find(objects_of(1), node_version_of_wire(version_of("a")), 0);
    ck_assert_ptr_nonnull(info);
    return info;
}

/* returns: the same as a node knows it. */
static struct node_extent_info *known_to(unsigned node)
{
    struct node_extent_info *info =
        node_info_find(objects_of(node), node_version_of_wire(version_of("a")), 0);
    ck_assert_ptr_nonnull(info);
    return info;
}

static void gather(unsigned node, uint32_t stripe, uint32_t wanted)
{
    const struct node_gather_spec spec = {.info = known_to(node),
                                          .stripe = stripe,
                                          .wanted = wanted,
                                          .by_finger = by_finger,
                                          .lane = NODE_LANE_COMPUTE,
                                          .deadline_us =
                                              node_now(r->nodes[node - 1].node) + 10 * SECOND};
    got.ended = false;
    ck_assert_int_eq(node_gather_start(objects_of(node), &spec, NULL, gather_done), 0);
    for (unsigned i = 0; i < 2000 && !got.ended; i++) {
        rig_run(r, 10000);
    }
    ck_assert(got.ended);
}

static const uint8_t *content_of(uint32_t stripe, unsigned shard)
{
    return content + (size_t)(stripe * DATA + shard) * CELL;
}

/* Makes one byte of a cell wrong where it lies, and all checksums right. */
static void make_wrong(const struct node_extent_info *info, uint32_t stripe, unsigned shard,
                       uint32_t at)
{
    static uint8_t data[CELL];
    static uint8_t leaves[CELL / COMPUTE_LEAF_BYTES * COMPUTE_HASH_BYTES];
    static struct store_cell_info was;
    struct store_segments *s = r->nodes[info->e.holder[shard] - 1].segments;
    const struct node_cell_ref ref = {
        .version = info->version, .cell = node_info_cell(info, stripe), .shard = (uint8_t)shard};
    const struct store_cell_id id = node_cell_id(&ref);
    ck_assert_int_eq(store_segments_get(s, &id, 0, 0, NULL, &was), 0);
    ck_assert_uint_lt(at, was.bytes);
    ck_assert_int_eq(store_segments_get(s, &id, 0, was.bytes, data, &was), 0);
    data[at] ^= 0x10;
    compute_leaf_hashes(r->compute, data, was.bytes, leaves);
    const struct store_cell cell = {.id = id,
                                    .group = was.group,
                                    .bytes = was.bytes,
                                    .leaves_count = was.leaves_count,
                                    .leaves = leaves,
                                    .data = data};
    ck_assert_int_eq(store_segments_put(s, &cell), 0);
    ck_assert_int_eq(store_segments_sync(s), 0);
}

/* A node that holds parity: all that a stripe's data cells are decoded of is elsewhere, but that.
 */
static unsigned parity_node(const struct node_extent_info *info)
{
    return info->e.holder[DATA];
}

/* ---- what is compared ----------------------------------------------------------------------- */

START_TEST(a_wrong_source_is_found_by_what_is_decoded_of_it)
{
    const struct node_extent_info *info = put_stripes();
    by_finger = _i == 1;
    const unsigned node = parity_node(info);
    make_wrong(info, 0, 1, 40000);
    gather(node, 0, 1u << 0);
    ck_assert_int_eq(got.code, 0);
    ck_assert_mem_eq(got.cell[0], content_of(0, 0), CELL);
    ck_assert_uint_eq(got.bad, 1u << 1); /* who was to blame, and nobody else */
    ck_assert_uint_eq(objects_of(node)->counters.damage_reports, 1);
    ck_assert(repaired(1, "a"));
}
END_TEST

START_TEST(wrong_parity_is_found_by_what_is_decoded_of_it)
{
    const struct node_extent_info *info = put_stripes();
    by_finger = _i == 1;
    make_wrong(info, 0, DATA, 40000);
    gather(parity_node(info), 0, 1u << 0); /* of which it has the wrong one itself */
    ck_assert_int_eq(got.code, 0);
    ck_assert_mem_eq(got.cell[0], content_of(0, 0), CELL);
    ck_assert_uint_eq(got.bad, 1u << DATA);
}
END_TEST

START_TEST(a_wrong_byte_behind_the_end_of_a_short_cell_is_not_seen_and_does_no_harm)
{
    const struct node_extent_info *info = put_stripes();
    by_finger = _i == 1;
    const unsigned node = parity_node(info);
    make_wrong(info, 1, 0, SHORT);
    gather(node, 1, 1u << 1);
    ck_assert_int_eq(got.code, 0);
    ck_assert_uint_eq(got.bytes[1], SHORT);
    ck_assert_mem_eq(got.cell[1], content_of(1, 1), SHORT);
    ck_assert_uint_eq(got.bad, 0);
    ck_assert_uint_eq(objects_of(node)->counters.damage_reports, 0);
    make_wrong(info, 1, 0, SHORT - 1); /* its last byte */
    gather(node, 1, 1u << 1);
    ck_assert_int_eq(got.code, 0);
    ck_assert_mem_eq(got.cell[1], content_of(1, 1), SHORT);
    ck_assert_uint_eq(got.bad, 1u << 0);
}
END_TEST

START_TEST(sources_whose_wrong_bytes_show_nowhere_give_right_bytes)
{
    const struct node_extent_info *info = put_stripes();
    by_finger = _i == 1;
    make_wrong(info, 1, 0, SHORT + 7);
    make_wrong(info, 1, DATA, SHORT + 9);
    gather(info->e.holder[DATA + 1], 1, 1u << 1);
    ck_assert_int_eq(got.code, 0);
    ck_assert_mem_eq(got.cell[1], content_of(1, 1), SHORT);
}
END_TEST

/* A root in a node's memory that nothing fits: what is compared with it fails. */
START_TEST(decoded_cells_with_the_fingerprints_of_the_record_are_not_hashed)
{
    const struct node_extent_info *info = put_stripes();
    const unsigned node = parity_node(info);
    uint8_t *known = (uint8_t *)(uintptr_t)node_info_root(known_to(node), 0, 0);
    known[0] ^= 1;
    by_finger = true;
    gather(node, 0, 1u << 0);
    ck_assert_int_eq(got.code, 0);
    ck_assert_mem_eq(got.cell[0], content_of(0, 0), CELL);
    by_finger = false;
    gather(node, 0, 1u << 0);
    ck_assert_int_ne(got.code, 0);
}
END_TEST

START_TEST(a_decoded_cell_with_another_fingerprint_is_judged_by_its_root)
{
    const struct node_extent_info *info = put_stripes();
    const unsigned node = parity_node(info);
    uint8_t *fingers = (uint8_t *)(uintptr_t)known_to(node)->e.fingers.data;
    fingers[0] ^= 1;
    by_finger = true;
    gather(node, 0, 1u << 0);
    ck_assert_int_eq(got.code, 0);
    ck_assert_mem_eq(got.cell[0], content_of(0, 0), CELL);
    ck_assert_uint_eq(got.bad, 0);
}
END_TEST

START_TEST(parity_is_not_made_of_wrong_data)
{
    static uint8_t parity[CELL];
    const struct node_extent_info *info = put_stripes();
    const unsigned node = info->e.holder[DATA + 1];
    gather(node, 1, 1u << DATA);
    ck_assert_int_eq(got.code, 0);
    ck_assert_uint_eq(got.bad, 0);
    memcpy(parity, got.cell[DATA], CELL);
    make_wrong(info, 1, 0, CELL - 1);
    gather(node, 1, 1u << DATA);
    ck_assert_int_eq(got.code, 0);
    ck_assert_uint_eq(got.bad, 1u << 0);
    ck_assert_mem_eq(got.cell[DATA], parity, CELL);
}
END_TEST

/* What was read of it may lie in a frame, which has no room for the whole cell. */
START_TEST(a_wrong_short_cell_is_decoded_into_memory_of_its_own)
{
    const struct node_extent_info *info = put_stripes();
    const unsigned holder = info->e.holder[1];
    uint32_t found = 0;
    make_wrong(info, 1, 1, SHORT - 1);
    for (unsigned node = 1; node <= r->nodes_count; node++) {
        if (node != holder && node != info->e.holder[DATA]) {
            gather(node, 1, 1u << DATA);
            ck_assert_int_eq(got.code, 0);
            found |= got.bad;
        }
    }
    ck_assert_uint_eq(found, 1u << 1);
}
END_TEST

/* ---- what is moved -------------------------------------------------------------------------- */

START_TEST(a_cell_that_lies_where_another_one_is_decoded_is_not_moved)
{
    const struct node_extent_info *info = put_stripes();
    for (unsigned shard = 0; shard < ALL; shard++) {
        const unsigned lost = shard == 0 ? 1 : 0;
        gather(info->e.holder[shard], 0, 1u << lost);
        ck_assert_int_eq(got.code, 0);
        ck_assert_mem_eq(got.cell[lost], content_of(0, lost), CELL);
        ck_assert_uint_eq(got.moved, (DATA - 1) * CELL);
    }
}
END_TEST

START_TEST(a_damaged_cell_that_lies_where_another_one_is_decoded_is_found)
{
    const struct node_extent_info *info = put_stripes();
    const unsigned node = info->e.holder[1];
    struct store_segments *here = r->nodes[node - 1].segments;
    uint64_t deleted = 0;
    ck_assert_int_eq(store_segments_delete(here, info->version.grant, info->version.counter,
                                           UINT8_MAX, &deleted),
                     0);
    ck_assert_int_eq(store_segments_sync(here), 0);
    ck_assert_uint_gt(deleted, 0);
    gather(node, 0, 1u << 0);
    ck_assert_int_eq(got.code, 0);
    ck_assert_mem_eq(got.cell[0], content_of(0, 0), CELL);
    ck_assert_uint_eq(got.bad, 1u << 1);
    ck_assert_uint_eq(got.moved, (uint64_t)DATA * CELL);
}
END_TEST

START_TEST(a_disk_that_does_not_answer_is_waited_for_no_longer_than_a_node)
{
    const struct node_extent_info *info = put_stripes();
    const unsigned node = parity_node(info);
    r->nodes[node - 1].jobs_held = true;
    gather(node, 0, 1u << 0);
    ck_assert_int_eq(got.code, ERR_UNAVAILABLE);
    ck_assert(!node_work_empty(&objects_of(node)->gathers)); /* its job has its memory */
    r->nodes[node - 1].jobs_held = false;
    rig_run(r, SECOND / 10);
    ck_assert(node_work_empty(&objects_of(node)->gathers));
    gather(node, 0, 1u << 0);
    ck_assert_int_eq(got.code, 0);
}
END_TEST

/* ---- programs over lost cells of a stripe --------------------------------------------------- */

/* Two data cells of each stripe are lost. returns: a node that has another one. */
static unsigned lose_two(void)
{
    const struct node_extent_info *info = put_stripes();
    const unsigned node = parity_node(info);
    const unsigned first = info->e.holder[0];
    const unsigned second = info->e.holder[1];
    const unsigned other = info->e.holder[2];
    rig_stop(r, first);
    rig_stop(r, second);
    rig_run(r, 4 * SECOND);
    struct wire_node result;
    ck_assert_int_eq(stat_of(other, "a", &result), 0);
    struct span s = {.node = node, .bytes = CELL, .from = 2 * CELL};
    s.version = number(result, WIRE_FIELD_VERSION);
    ck_assert_int_eq(run_span(&s, "lines | count", &result), 0); /* it knows the extent */
    return node;
}

static uint64_t version_at(unsigned node)
{
    struct wire_node result;
    ck_assert_int_eq(stat_of(node, "a", &result), 0);
    return number(result, WIRE_FIELD_VERSION);
}

/* returns: bytes that were moved for a run over a cell that was decoded. */
static uint64_t moved_for(uint32_t asked)
{
    struct wire_node result;
    bool decoded = false;
    ck_assert_int_eq(wait_for(asked, &result), 0);
    ck_assert_int_eq(wire_node_bool(wire_node_find(result, WIRE_FIELD_DECODED), &decoded), 0);
    ck_assert(decoded);
    return number(result, WIRE_FIELD_MOVED);
}

START_TEST(lost_cells_of_a_stripe_that_are_asked_for_together_are_decoded_together)
{
    const unsigned node = lose_two();
    struct span s = {.node = node, .version = version_at(node), .bytes = CELL};
    const uint32_t first = run_ask(&s, "words | count");
    s.from = CELL;
    const uint32_t second = run_ask(&s, "words | count");
    ck_assert_uint_eq(moved_for(first) + moved_for(second), (DATA - 1) * CELL);
    ck_assert(node_work_empty(&objects_of(node)->decoded));
    ck_assert_uint_eq(objects_of(node)->run_bytes, 0);
}
END_TEST

START_TEST(a_lost_cell_is_kept_for_who_asks_for_it_next_and_given_once)
{
    const unsigned node = lose_two();
    struct span s = {.node = node, .version = version_at(node), .bytes = CELL};
    ck_assert_uint_eq(moved_for(run_ask(&s, "words | count")), (DATA - 1) * CELL);
    ck_assert_uint_eq(objects_of(node)->run_bytes, CELL);
    s.from = CELL;
    ck_assert_uint_eq(moved_for(run_ask(&s, "words | count")), 0);
    ck_assert_uint_eq(objects_of(node)->run_bytes, 0);
    ck_assert_uint_eq(moved_for(run_ask(&s, "words | count")), (DATA - 1) * CELL);
}
END_TEST

START_TEST(what_is_kept_goes_after_a_while_or_where_others_need_the_room)
{
    const unsigned node = lose_two();
    struct span s = {.node = node, .version = version_at(node), .bytes = CELL};
    struct node_objects *o = objects_of(node);
    (void)moved_for(run_ask(&s, "words | count"));
    ck_assert_uint_eq(o->run_bytes, CELL);
    rig_run(r, 3 * SECOND);
    ck_assert_uint_eq(o->run_bytes, 0);
    ck_assert(node_work_empty(&o->decoded));
    (void)moved_for(run_ask(&s, "words | count"));
    ck_assert(node_decoded_room(o, NODE_RUN_BYTES_OUT_MAX - CELL));
    ck_assert_uint_eq(o->run_bytes, CELL);
    ck_assert(node_decoded_room(o, NODE_RUN_BYTES_OUT_MAX));
    ck_assert_uint_eq(o->run_bytes, 0);
}
END_TEST

START_TEST(runs_over_the_same_lost_cell_share_it)
{
    const unsigned node = lose_two();
    struct span s = {.node = node, .version = version_at(node), .from = 3 * CELL, .bytes = 100};
    const uint32_t first = run_ask(&s, "words | count");
    s.from += CELL / 2;
    const uint32_t second = run_ask(&s, "words | count");
    ck_assert_uint_eq(moved_for(first) + moved_for(second), (DATA - 2) * CELL);
}
END_TEST

START_TEST(what_cannot_be_decoded_is_said_to_all_who_wait)
{
    struct wire_node result;
    const unsigned node = lose_two();
    struct span s = {.node = node, .version = version_at(node), .bytes = CELL};
    for (unsigned other = 1; other <= 5; other++) {
        if (other != node) {
            rig_isolate(r, other, true);
        }
    }
    rig_run(r, 4 * SECOND);
    const uint32_t first = run_ask(&s, "words | count");
    s.from = CELL;
    const uint32_t second = run_ask(&s, "words | count");
    ck_assert_int_eq(wait_for(first, &result), ERR_UNAVAILABLE);
    ck_assert_int_eq(wait_for(second, &result), ERR_UNAVAILABLE);
    ck_assert_uint_eq(objects_of(node)->run_bytes, 0);
    ck_assert_uint_eq(objects_of(node)->run_places, 0);
}
END_TEST

struct used {
    struct node_decoded_use use; /* first */
    unsigned told;
    int code;
};

static void use_done(struct node_decoded_use *use, int code, const struct node_decoded_cell *cell,
                     uint64_t moved)
{
    struct used *u = (struct used *)(void *)use;
    (void)cell;
    (void)moved;
    u->told++;
    u->code = code;
}

/* Of a stripe with two lost cells one is asked for; both cannot be had, and room for the other
 * runs short meanwhile: who waits is told. */
START_TEST(who_waits_is_told_where_it_cannot_be_begun_again)
{
    const unsigned node = lose_two();
    struct node_objects *o = objects_of(node);
    struct used u = {.use = {.shard = 0, .done = use_done}};
    struct node_extent_info *info = node_info_find(o, node_version_of_wire(version_at(node)), 0);
    ck_assert_ptr_nonnull(info);
    for (unsigned other = 1; other <= 5; other++) {
        if (other != node) {
            rig_isolate(r, other, true);
        }
    }
    rig_run(r, 4 * SECOND);
    const struct node_gather_spec spec = {.info = info,
                                          .wanted = 1u << u.use.shard,
                                          .lane = NODE_LANE_COMPUTE,
                                          .deadline_us =
                                              node_now(r->nodes[node - 1].node) + 10 * SECOND};
    ck_assert_int_eq(node_decoded_want(o, &spec, &u.use), 0);
    o->run_bytes += NODE_RUN_BYTES_OUT_MAX;
    rig_run(r, SECOND);
    ck_assert_uint_eq(u.told, 1);
    ck_assert_int_eq(u.code, ERR_UNAVAILABLE);
    ck_assert(node_work_empty(&o->decoded));
    ck_assert(node_work_empty(&o->gathers));
    ck_assert_uint_eq(o->run_bytes, NODE_RUN_BYTES_OUT_MAX);
    o->run_bytes = 0;
}
END_TEST

START_TEST(a_node_may_end_while_cells_are_decoded_or_kept)
{
    const unsigned node = lose_two();
    struct span s = {.node = node, .version = version_at(node), .bytes = CELL};
    (void)moved_for(run_ask(&s, "words | count"));
    s.from = 3 * CELL;
    (void)run_ask(&s, "words | count");
    r->nodes[node - 1].jobs_held = true;
    rig_run(r, SECOND / 10);
    ck_assert(!node_work_empty(&objects_of(node)->gathers));
    rig_stop(r, node);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gather");
    TCase *tc = tcase_create("gather");
    tcase_add_checked_fixture(tc, NULL, tear_down);
    tcase_set_timeout(tc, 240);
    tcase_add_loop_test(tc, a_wrong_source_is_found_by_what_is_decoded_of_it, 0, 2);
    tcase_add_loop_test(tc, wrong_parity_is_found_by_what_is_decoded_of_it, 0, 2);
    tcase_add_loop_test(
        tc, a_wrong_byte_behind_the_end_of_a_short_cell_is_not_seen_and_does_no_harm, 0, 2);
    tcase_add_loop_test(tc, sources_whose_wrong_bytes_show_nowhere_give_right_bytes, 0, 2);
    tcase_add_test(tc, decoded_cells_with_the_fingerprints_of_the_record_are_not_hashed);
    tcase_add_test(tc, a_decoded_cell_with_another_fingerprint_is_judged_by_its_root);
    tcase_add_test(tc, parity_is_not_made_of_wrong_data);
    tcase_add_test(tc, a_wrong_short_cell_is_decoded_into_memory_of_its_own);
    tcase_add_test(tc, a_cell_that_lies_where_another_one_is_decoded_is_not_moved);
    tcase_add_test(tc, a_damaged_cell_that_lies_where_another_one_is_decoded_is_found);
    tcase_add_test(tc, a_disk_that_does_not_answer_is_waited_for_no_longer_than_a_node);
    tcase_add_test(tc, lost_cells_of_a_stripe_that_are_asked_for_together_are_decoded_together);
    tcase_add_test(tc, a_lost_cell_is_kept_for_who_asks_for_it_next_and_given_once);
    tcase_add_test(tc, what_is_kept_goes_after_a_while_or_where_others_need_the_room);
    tcase_add_test(tc, runs_over_the_same_lost_cell_share_it);
    tcase_add_test(tc, what_cannot_be_decoded_is_said_to_all_who_wait);
    tcase_add_test(tc, who_waits_is_told_where_it_cannot_be_begun_again);
    tcase_add_test(tc, a_node_may_end_while_cells_are_decoded_or_kept);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
