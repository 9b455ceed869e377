/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Fingerprints in the records of extents: who makes them, who keeps them, and what becomes of
 * objects whose records have none.
 */
#include "finger_rig.h"

START_TEST(a_record_has_the_fingerprints_of_its_cells)
{
    cluster(5, 3, 2);
    ck_assert_int_eq(put(1, "a", 700001), 0);
    for (uint32_t i = 0; i < 2; i++) {
        struct node_extent_info *info = extent_of(2, "a", i);
        check_fingers(info);
        node_info_release(info);
    }
}
END_TEST

/* Copies in place of a code, stripes of one cell, cells of one byte, and cells that are empty. */
START_TEST(small_codes_and_stripes_have_them_too)
{
    static const uint64_t sizes[] = {16385, 65536, 65537, 131072, 131073, 300001};
    static const struct erasure_scheme schemes[] = {{1, 2}, {2, 1}, {4, 1}};
    const struct erasure_scheme scheme = schemes[_i];
    cluster(5, scheme.k, scheme.m);
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        ck_assert_int_eq(put(1, "a", sizes[i]), 0);
        struct node_extent_info *info = extent_of(2, "a", 0);
        check_fingers(info);
        ck_assert_uint_eq(verify_bad(3, "a"), 0);
        cell_flip(info, 0, scheme.k, 7);
        node_info_release(info);
        ck_assert_uint_eq(verify_bad(3, "a"), 1);
        ck_assert(repaired(1, "a"));
        ck_assert_uint_eq(verify_bad(3, "a"), 0);
    }
}
END_TEST

START_TEST(without_parity_there_are_none)
{
    cluster(3, 2, 0);
    ck_assert_int_eq(put(1, "a", 300000), 0);
    struct node_extent_info *info = extent_of(2, "a", 0);
    struct erasure_finger finger;
    ck_assert_uint_eq(info->e.fingers.size, 0);
    ck_assert(!node_info_finger(info, 0, 0, &finger));
    node_info_release(info);
    ck_assert_int_eq(get(2, "a", 300000), 0);
}
END_TEST

START_TEST(a_record_that_is_written_again_keeps_its_fingerprints)
{
    uint64_t upload = 0;
    cluster(5, 3, 2);
    ck_assert_int_eq(put_open(1, "a", 900000, &upload), 0);
    ck_assert_int_eq(put_parts(1, upload, 0, 500000), 0);
    rig_stop(r, 3);
    rig_stop(r, 5);
    rig_run(r, 3 * SECOND);
    ck_assert_int_eq(put_parts(1, upload, 500000, 900000), 0);
    root_set(900000);
    ck_assert_int_eq(wait_for(send_commit(1, upload, 900000), NULL), 0);
    rig_start(r, 3);
    rig_start(r, 5);
    ck_assert(repaired(4, "a"));
    for (uint32_t i = 0; i < 3; i++) {
        struct node_extent_info *info = extent_of(2, "a", i);
        check_fingers(info);
        node_info_release(info);
    }
}
END_TEST

/* ---- records of before ---------------------------------------------------------------------- */

enum harm { HARM_STRIP, HARM_FLIP, HARM_ROOT };

/* What one node asks another one to put into the log of group 1, as it would be without
 * fingerprints, or with a wrong one, or a wrong root, of the first cell. */
static void change_extents(void *ctx, struct rig_message *m)
{
    const enum harm *harm = ctx;
    static struct node_object_cmd c;
    struct bytes_reader in = bytes_reader_of(buf_view(&m->body));
    struct node_cmd cmd;
    struct buf body;
    (void)bytes_take_u64(&in);
    const uint8_t method = bytes_take_u8(&in);
    (void)bytes_take_u32(&in);
    (void)bytes_take_u64(&in);
    if (m->kind != NODE_FRAME_CALL || method != NODE_CALL_PROPOSE ||
        node_cmd_decode(bytes_of(in.at, in.left), &cmd) != 0 || cmd.op != NODE_OP_PUT_EXTENT) {
        return;
    }
    ck_assert_int_eq(node_object_cmd_decode(cmd.op, cmd.body, &c), 0);
    buf_init(&body, &r->heap, 1u << 20);
    (void)buf_append(&body, m->body.data, (size_t)(cmd.body.data - m->body.data));
    if (*harm == HARM_STRIP) {
        c.extent.fingers = bytes_of(NULL, 0);
    } else if (*harm == HARM_ROOT && c.extent.roots.size > 0) {
        m->body.data[c.extent.roots.data - m->body.data] ^= 1;
    } else if (*harm == HARM_FLIP && c.extent.fingers.size > 0) {
        m->body.data[c.extent.fingers.data - m->body.data] ^= 1;
    }
    ck_assert_int_eq(node_object_cmd_encode(cmd.op, &c, &body), 0);
    buf_release(&m->body);
    m->body = body;
}

/* Puts a at a node that does not lead, so that its commands travel. returns: it. */
static unsigned put_changed(enum harm *harm, uint64_t size)
{
    const unsigned node = rig_leader(r, 1) % r->nodes_count + 1;
    r->on_message = change_extents;
    r->on_message_ctx = harm;
    ck_assert_int_eq(put(node, "a", size), 0);
    r->on_message = NULL;
    return node;
}

START_TEST(an_object_whose_record_has_none_is_read_and_repaired)
{
    enum harm harm = HARM_STRIP;
    cluster(5, 3, 2);
    (void)put_changed(&harm, 500000);
    struct node_extent_info *info = extent_of(2, "a", 0);
    ck_assert_uint_eq(info->e.fingers.size, 0);
    node_info_release(info);
    ck_assert_int_eq(get(1, "a", 500000), 0);
    rig_stop(r, 4);
    rig_stop(r, 5);
    rig_run(r, 4 * SECOND);
    ck_assert_int_eq(get(1, "a", 500000), 0);
    rig_start(r, 4);
    rig_start(r, 5);
    ck_assert(repaired(1, "a"));
    ck_assert_uint_eq(verify_bad(3, "a"), 0);
}
END_TEST

/* ---- wrong parity --------------------------------------------------------------------------- */

/* Parity of the first extent of a, of which a bit is flipped, with right checksums. */
static struct node_extent_info *flip_parity(uint32_t stripe, uint8_t shard, uint64_t bit)
{
    struct node_extent_info *info = extent_of(1, "a", 0);
    cell_flip(info, stripe, shard, bit);
    return info;
}

/* Whatever was flipped is as it was. */
static void check_mended(struct node_extent_info *info)
{
    node_info_release(info);
    ck_assert(repaired(1, "a"));
    info = extent_of(2, "a", 0);
    check_fingers(info);
    node_info_release(info);
}

START_TEST(the_scrub_finds_wrong_parity_and_mends_it)
{
    cluster(5, 3, 2);
    ck_assert_int_eq(put(1, "a", 700001), 0);
    struct node_extent_info *info = flip_parity(1, 4, 7);
    for (unsigned i = 0; i < 300 && cells_wrong() == 0; i++) {
        rig_run(r, SECOND); /* its second pass reads bytes */
    }
    ck_assert_uint_eq(cells_wrong(), 1);
    ck_assert_uint_ge(damage_reports(), 1);
    rig_run(r, 5 * SECOND);
    check_mended(info);
    rig_run(r, 150 * SECOND);
    ck_assert_uint_eq(cells_wrong(), 1);
}
END_TEST

START_TEST(verification_counts_wrong_parity_as_damaged_and_it_is_mended)
{
    cluster(5, 3, 2);
    ck_assert_int_eq(put(1, "a", 700001), 0);
    struct node_extent_info *info = flip_parity(0, 3, 65536 * 8 - 1);
    ck_assert_uint_eq(verify_bad(2, "a"), 1);
    ck_assert_uint_eq(cells_wrong(), 1);
    rig_run(r, 5 * SECOND);
    check_mended(info);
    ck_assert_uint_eq(cells_wrong(), 1);
}
END_TEST

/* What the node finds on its own disk is not taken for the shard that is missing. */
START_TEST(a_repair_does_not_take_up_wrong_parity)
{
    cluster(5, 3, 2);
    ck_assert_int_eq(put(1, "a", 700001), 0);
    struct node_extent_info *info = flip_parity(1, 3, 12345);
    node_info_damaged(info, 3); /* so its home looks */
    rig_run(r, 5 * SECOND);
    check_mended(info);
}
END_TEST

START_TEST(healthy_reads_look_at_no_parity)
{
    cluster(5, 3, 2);
    ck_assert_int_eq(put(1, "a", 300000), 0);
    struct node_extent_info *info = flip_parity(0, 3, 0);
    node_info_release(info);
    for (unsigned i = 1; i <= 5; i++) {
        ck_assert_int_eq(get(i, "a", 300000), 0);
    }
    ck_assert_uint_eq(cells_wrong(), 0);
    ck_assert_uint_eq(damage_reports(), 0);
}
END_TEST

/* A record of before tells nothing of parity. */
START_TEST(without_fingerprints_parity_is_taken_by_its_checksums)
{
    enum harm harm = HARM_STRIP;
    cluster(5, 3, 2);
    (void)put_changed(&harm, 300000);
    struct node_extent_info *info = flip_parity(0, 3, 0);
    node_info_release(info);
    ck_assert_uint_eq(verify_bad(2, "a"), 0);
    ck_assert_uint_eq(cells_wrong(), 0);
}
END_TEST

/* ---- decoding ------------------------------------------------------------------------------- */

static uint64_t fingers_wrong(void)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < r->nodes_count; i++) {
        count += r->nodes[i].up ? node_objects_get(r->nodes[i].node)->counters.fingers_wrong : 0;
    }
    return count;
}

static uint64_t missing(unsigned node)
{
    struct wire_node result;
    ck_assert_int_eq(stat_of(node, "a", &result), 0);
    return number(result, WIRE_FIELD_SHARDS_MISSING);
}

/* Stops the holders of a data shard or two of an extent of a. returns: a node that is up. */
static unsigned stop_holders(uint32_t extent, unsigned from, unsigned to)
{
    unsigned node = 1;
    struct node_extent_info *info = extent_of(1, "a", extent);
    uint32_t holder[NODE_OBJECT_SHARDS_MAX];
    memcpy(holder, info->e.holder, sizeof holder);
    node_info_release(info);
    for (unsigned s = from; s < to; s++) {
        rig_stop(r, holder[s]);
    }
    while (!r->nodes[node - 1].up) {
        node++;
    }
    rig_run(r, 4 * SECOND);
    return node;
}

static void start_all(void)
{
    for (unsigned i = 1; i <= r->nodes_count; i++) {
        if (!r->nodes[i - 1].up) {
            rig_start(r, i);
        }
    }
    rig_run(r, 5 * SECOND);
}

START_TEST(a_degraded_read_finds_wrong_parity_returns_the_bytes_and_has_it_mended)
{
    cluster(5, 3, 2);
    ck_assert_int_eq(put(1, "a", 700001), 0);
    const unsigned node = stop_holders(0, 0, 1);
    struct node_extent_info *info = extent_of(node, "a", 0);
    cell_flip(info, 0, 3, 4711);
    ck_assert_int_eq(get(node, "a", 700001), 0);
    ck_assert_uint_ge(cells_wrong(), 1);
    rig_run(r, 5 * SECOND);
    check_fingers(info);
    start_all();
    check_mended(info);
}
END_TEST

/* Two cells are gone, and one of three of parity is wrong, the second. Who leaves out one after
 * another has too few left before it comes to that. */
START_TEST(the_wrong_one_of_several_is_known_at_once)
{
    cluster(6, 3, 3);
    ck_assert_int_eq(put(1, "a", 300000), 0);
    const unsigned node = stop_holders(0, 0, 2);
    struct node_extent_info *info = extent_of(node, "a", 0);
    cell_flip(info, 0, 4, 100);
    ck_assert_int_eq(get(node, "a", 300000), 0);
    ck_assert_uint_ge(cells_wrong(), 1);
    start_all();
    check_mended(info);
}
END_TEST

/* The bit lies behind the end of the cell that is decoded: it shows in no byte of data. */
START_TEST(parity_is_not_made_of_wrong_parity)
{
    const uint64_t size = 393216 + 65536 + 1000;
    cluster(6, 3, 3);
    ck_assert_int_eq(put(1, "a", size), 0);
    const unsigned node = stop_holders(1, 1, 2);
    struct node_extent_info *info = extent_of(node, "a", 1);
    ck_assert_uint_eq(node_info_cell_bytes(info, 0, 1), 1000);
    cell_flip(info, 0, 3, 50000 * 8);
    cell_flip(info, 0, 5, 3);
    node_info_damaged(info, 5);
    rig_run(r, 10 * SECOND);
    ck_assert_uint_ge(cells_wrong(), 1);
    check_fingers(info);
    node_info_release(info);
    start_all();
    ck_assert(repaired(1, "a"));
}
END_TEST

/* Changes a source once, after it was read and hashed: what is made fits what it is made of. */
static void flips_a_source(void *ctx, const struct compute_rs_job *job)
{
    unsigned *left = ctx;
    if (*left > 0 && --*left == 0) {
        union {
            const uint8_t *read;
            uint8_t *written;
        } cell = {.read = job->data[0]};
        cell.written[5] ^= 4;
    }
    compute_rs_encode(job);
}

START_TEST(parity_made_of_a_cell_that_changed_in_memory_is_made_again)
{
    unsigned left = 0;
    cluster(5, 3, 2);
    r->kernel = (struct erasure_kernel){.ctx = &left, .run = flips_a_source};
    for (unsigned i = 1; i <= 5; i++) {
        rig_stop(r, i);
    }
    for (unsigned i = 1; i <= 5; i++) {
        rig_start(r, i);
    }
    ck_assert_uint_ne(rig_leader(r, 1), 0);
    rig_run(r, SECOND);
    ck_assert_int_eq(put(1, "a", 300000), 0);
    struct node_extent_info *info = flip_parity(0, 4, 0);
    left = 1;
    node_info_damaged(info, 4);
    rig_run(r, 5 * SECOND);
    ck_assert_uint_eq(left, 0);
    ck_assert_uint_eq(fingers_wrong(), 0);
    check_mended(info);
}
END_TEST

/* The record has a wrong fingerprint of the first cell. It costs work, and no byte. */
START_TEST(a_root_outweighs_a_fingerprint)
{
    enum harm harm = HARM_FLIP;
    cluster(5, 3, 2);
    (void)put_changed(&harm, 300000);
    ck_assert_int_eq(get(1, "a", 300000), 0);
    ck_assert_uint_eq(cells_wrong() + fingers_wrong(), 0);
    const unsigned node = stop_holders(0, 0, 1);
    ck_assert_int_eq(get(node, "a", 300000), 0);
    start_all();
    ck_assert_uint_eq(verify_bad(node, "a"), 2); /* both of the first stripe */
    for (unsigned i = 0; i < 100 && (missing(node) > 0 || fingers_wrong() == 0); i++) {
        rig_run(r, SECOND);
    }
    ck_assert_uint_eq(missing(node), 0);
    ck_assert_uint_ge(fingers_wrong(), 1);
    (void)stop_holders(0, 0, 1);
    ck_assert_int_eq(get(node, "a", 300000), 0);
}
END_TEST

/* The record has a wrong fingerprint, and a data cell is wrong that another one is decoded of: what
 * has a root is judged first, and parity only if that explains nothing. */
START_TEST(a_wrong_record_does_not_take_parity_away_beside_wrong_data)
{
    enum harm harm = HARM_FLIP;
    cluster(5, 3, 2);
    (void)put_changed(&harm, 300000);
    const unsigned node = stop_holders(0, 0, 1);
    struct node_extent_info *info = extent_of(node, "a", 0);
    cell_flip(info, 0, 1, 4711);
    node_info_release(info);
    ck_assert_int_eq(get(node, "a", 300000), 0);
}
END_TEST

/* Nobody knows who is wrong: the root of the first cell, but parity fits its fingerprints. */
START_TEST(parity_that_fits_the_record_is_not_blamed_for_a_wrong_root)
{
    enum harm harm = HARM_ROOT;
    cluster(5, 3, 2);
    (void)put_changed(&harm, 300000);
    const unsigned node = stop_holders(0, 0, 1);
    ck_assert_int_ne(get(node, "a", 300000), 0);
    rig_run(r, 5 * SECOND);
    ck_assert_uint_eq(cells_wrong(), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fingers");
    TCase *tc = tcase_create("fingers");
    tcase_add_checked_fixture(tc, NULL, tear_down);
    tcase_set_timeout(tc, 240);
    tcase_add_test(tc, a_record_has_the_fingerprints_of_its_cells);
    tcase_add_loop_test(tc, small_codes_and_stripes_have_them_too, 0, 3);
    tcase_add_test(tc, without_parity_there_are_none);
    tcase_add_test(tc, a_record_that_is_written_again_keeps_its_fingerprints);
    tcase_add_test(tc, an_object_whose_record_has_none_is_read_and_repaired);
    tcase_add_test(tc, the_scrub_finds_wrong_parity_and_mends_it);
    tcase_add_test(tc, verification_counts_wrong_parity_as_damaged_and_it_is_mended);
    tcase_add_test(tc, a_repair_does_not_take_up_wrong_parity);
    tcase_add_test(tc, healthy_reads_look_at_no_parity);
    tcase_add_test(tc, without_fingerprints_parity_is_taken_by_its_checksums);
    tcase_add_test(tc, a_degraded_read_finds_wrong_parity_returns_the_bytes_and_has_it_mended);
    tcase_add_test(tc, the_wrong_one_of_several_is_known_at_once);
    tcase_add_test(tc, parity_is_not_made_of_wrong_parity);
    tcase_add_test(tc, parity_made_of_a_cell_that_changed_in_memory_is_made_again);
    tcase_add_test(tc, a_root_outweighs_a_fingerprint);
    tcase_add_test(tc, a_wrong_record_does_not_take_parity_away_beside_wrong_data);
    tcase_add_test(tc, parity_that_fits_the_record_is_not_blamed_for_a_wrong_root);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
