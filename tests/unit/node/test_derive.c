/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Uploads whose cells follow from those of another version: the bytes of the scan, on the holders
 * of the input, with parity that repairs; with nodes lost before and meanwhile; and what is
 * refused.
 */
#include "compute/carry.h"
#include "finger_rig.h"
#include "run_rig.h"

#define SIZE 600000u /* two extents of six cells, the last one short */
#define CELLS ((SIZE + CELL - 1) / CELL)
#define EXTENT_CELLS 6u
#define PROGRAM "u64 | scan exclusive max"

static uint8_t input[BYTES_MAX];
static struct buf carry; /* behind the last cell */
static uint8_t roots[BYTES_MAX / CELL * MERKLE_HASH_BYTES];
static unsigned decoded_cells;
static uint64_t moved_bytes;

static int open_from(unsigned node, uint64_t version, const char *into, const char *program,
                     uint64_t *upload)
{
    struct buf out;
    struct wire_node result;
    const uint32_t msgid = ++r->next_msgid;
    buf_init(&out, &r->heap, 1u << 16);
    (void)wire_pack_request(&out, msgid, WIRE_METHOD_OBJECT_DERIVE, 6);
    (void)wire_pack_bin(&out, bytes_of("b", 1));
    (void)wire_pack_bin(&out, bytes_of("a", 1));
    (void)wire_pack_u64(&out, version);
    (void)wire_pack_bin(&out, bytes_of_text(into)); /* the bucket */
    (void)wire_pack_bin(&out, bytes_of("new", 3));
    (void)wire_pack_bin(&out, bytes_of_text(program));
    rig_send(r, node, buf_view(&out));
    buf_release(&out);
    const int code = wait_for(msgid, &result);
    if (code == 0) {
        *upload = number(result, WIRE_FIELD_UPLOAD);
        ck_assert_uint_eq(number(result, WIRE_FIELD_CELL_BYTES), CELL);
    }
    return code;
}

static void carry_begin(const char *program)
{
    struct compute_program *p = NULL;
    buf_release(&carry);
    buf_init(&carry, &r->heap, COMPUTE_CARRY_BYTES_MAX);
    ck_assert_int_eq(compute_program_new(&p, &r->heap, bytes_of_text(program), NULL), 0);
    ck_assert_int_eq(compute_carry_of(p, NULL, &carry), 0);
    compute_program_free(p);
    decoded_cells = 0;
    moved_bytes = 0;
}

static uint32_t ask_cell(unsigned node, uint64_t upload, uint64_t cell, struct bytes with)
{
    struct buf out;
    const uint32_t msgid = ++r->next_msgid;
    buf_init(&out, &r->heap, 1u << 16);
    (void)wire_pack_request(&out, msgid, WIRE_METHOD_OBJECT_DERIVE_CELL, 3);
    (void)wire_pack_u64(&out, upload);
    (void)wire_pack_u64(&out, cell);
    (void)wire_pack_bin(&out, with);
    rig_send(r, node, buf_view(&out));
    buf_release(&out);
    return msgid;
}

/* Derives the next cell, with the carry of the one before. */
static int next_cell(unsigned node, uint64_t upload, uint64_t cell)
{
    struct wire_node result;
    struct bytes v;
    bool decoded = false;
    const int code = wait_for(ask_cell(node, upload, cell, buf_view(&carry)), &result);
    if (code != 0) {
        return code;
    }
    ck_assert_int_eq(wire_node_bytes(wire_node_find(result, WIRE_FIELD_ROOT), 32, &v), 0);
    memcpy(roots + cell * MERKLE_HASH_BYTES, v.data, MERKLE_HASH_BYTES);
    ck_assert_int_eq(wire_node_bytes(wire_node_find(result, WIRE_FIELD_DATA), 1000, &v), 0);
    buf_clear(&carry);
    ck_assert_int_eq(buf_append(&carry, v.data, v.size), 0);
    ck_assert_int_eq(wire_node_bool(wire_node_find(result, WIRE_FIELD_DECODED), &decoded), 0);
    decoded_cells += decoded;
    moved_bytes += number(result, WIRE_FIELD_MOVED);
    return 0;
}

static int cells(unsigned node, uint64_t upload, uint64_t from, uint64_t to)
{
    for (uint64_t cell = from; cell < to; cell++) {
        const int code = next_cell(node, upload, cell);
        if (code != 0) {
            return code;
        }
    }
    return 0;
}

static int commit_of(unsigned node, uint64_t upload, uint64_t size)
{
    struct wire_node result;
    merkle_root_of(roots, (size + CELL - 1) / CELL, root);
    const int code = wait_for(send_commit(node, upload, size), &result);
    if (code == 0) {
        moved_bytes += number(result, WIRE_FIELD_MOVED);
    }
    return code;
}

static int commit(unsigned node, uint64_t upload)
{
    return commit_of(node, upload, SIZE);
}

/* The input, put as a; and content is what the scan gives of it. */
static uint64_t begin_of(unsigned nodes, unsigned k, unsigned m, uint64_t size)
{
    cluster(nodes, k, m);
    ck_assert_int_eq(put(1, "a", size), 0);
    uint64_t most = 0;
    memcpy(input, content, size);
    for (size_t at = 0; at + 8 <= size; at += 8) {
        const uint64_t word = num_get_u64(content + at);
        num_put_u64(content + at, most);
        most = NUM_MAX(most, word);
    }
    carry_begin(PROGRAM);
    return version_of("a");
}

static uint64_t begin(unsigned nodes, unsigned k, unsigned m)
{
    return begin_of(nodes, k, m, SIZE);
}

static void end(void)
{
    buf_release(&carry);
    tear_down();
}

static void holders_of(const char *name, uint64_t version, uint32_t *into)
{
    char words[100];
    struct wire_node result;
    (void)snprintf(words, sizeof words, "s:b|s:%s|u:%llu|u:0|u:9", name,
                   (unsigned long long)version);
    ck_assert_int_eq(rig_call(r, 1, WIRE_METHOD_OBJECT_EXTENTS, words, &result), 0);
    ck_assert_uint_eq(wire_node_count(result), 2);
    for (uint32_t x = 0; x < 2; x++) {
        const struct wire_node list = wire_node_find(wire_node_at(result, x), WIRE_FIELD_HOLDERS);
        for (uint32_t s = 0; s < 5; s++) {
            ck_assert_int_eq(wire_node_u32(wire_node_at(list, s), &into[x * 5 + s]), 0);
        }
    }
}

static void check_records(unsigned node)
{
    for (uint32_t i = 0; i < 2; i++) {
        struct node_extent_info *info = extent_of(node, "new", i);
        check_fingers(info);
        node_info_release(info);
    }
}

START_TEST(the_new_object_lies_where_the_old_one_does)
{
    uint32_t old[10];
    uint32_t new[10];
    uint64_t upload = 0;
    const uint64_t v = begin(5, 3, 2);
    ck_assert_int_eq(open_from(2, v, "b", PROGRAM, &upload), 0);
    ck_assert_int_eq(cells(2, upload, 0, CELLS), 0);
    ck_assert_int_eq(commit(2, upload), 0);
    ck_assert_int_eq(get(3, "new", SIZE), 0);
    ck_assert_uint_eq(verify_bad(4, "new"), 0);
    holders_of("a", v, old);
    holders_of("new", version_of("new"), new);
    ck_assert_mem_eq(old, new, sizeof old);
    ck_assert_uint_eq(decoded_cells, 0);
    check_records(3);
    /* k - 1 cells to who makes parity, and m from there; carries; the last stripe is padded */
    ck_assert_uint_le(moved_bytes, 4 * CELL * ((CELLS + 2) / 3) + CELLS * 100);
    ck_assert_uint_gt(moved_bytes, SIZE);
}
END_TEST

/* What was made of parity there is shown by what is decoded from it. */
START_TEST(its_parity_gives_back_what_is_lost)
{
    uint64_t upload = 0;
    const uint64_t v = begin(5, 3, 2);
    ck_assert_int_eq(open_from(1, v, "b", PROGRAM, &upload), 0);
    ck_assert_int_eq(cells(1, upload, 0, CELLS), 0);
    ck_assert_int_eq(commit(1, upload), 0);
    for (unsigned lost = 2; lost <= 4; lost++) {
        rig_stop(r, lost);
        rig_stop(r, lost + 1);
        rig_run(r, SECOND);
        ck_assert_int_eq(get(1, "new", SIZE), 0);
        rig_start(r, lost);
        rig_start(r, lost + 1);
        rig_run(r, SECOND);
    }
    ck_assert(repaired(1, "new"));
}
END_TEST

START_TEST(cells_of_nodes_that_are_down_are_decoded)
{
    uint64_t upload = 0;
    const uint64_t v = begin(6, 3, 2);
    uint32_t holders[10];
    holders_of("a", v, holders);
    const unsigned lost = holders[0] == 1 ? holders[1] : holders[0]; /* of a data shard */
    rig_stop(r, lost);
    rig_run(r, 4 * SECOND);
    ck_assert_int_eq(open_from(1, v, "b", PROGRAM, &upload), 0);
    ck_assert_int_eq(cells(1, upload, 0, CELLS), 0);
    ck_assert_uint_gt(decoded_cells, 0);
    ck_assert_int_eq(commit(1, upload), 0);
    ck_assert_int_eq(get(1, "new", SIZE), 0);
    rig_start(r, lost);
    rig_run(r, SECOND);
    ck_assert(repaired(1, "new"));
    ck_assert_int_eq(get(lost, "new", SIZE), 0);
}
END_TEST

/* returns: on how many nodes a byte of the input's cell was flipped. */
static unsigned damage(uint64_t from)
{
    unsigned found = 0;
    for (unsigned i = 0; i < r->nodes_count; i++) {
        struct mem_disk *d = r->nodes[i].mem;
        const char *name = NULL;
        for (unsigned f = 0; (name = mem_disk_name(d, "seg/", f)) != NULL; f++) {
            const uint8_t *data = mem_disk_data(d, name);
            for (uint64_t at = 0; at + 64 <= mem_disk_bytes(d, name); at++) {
                if (memcmp(data + at, input + from, 64) == 0) {
                    mem_disk_flip(d, name, at, 0x20);
                    found++;
                    break;
                }
            }
        }
    }
    return found;
}

START_TEST(a_damaged_cell_is_never_computed_on)
{
    uint64_t upload = 0;
    const uint64_t v = begin(5, 3, 2);
    ck_assert_uint_eq(damage(4 * CELL + 40000), 1);
    ck_assert_int_eq(open_from(1, v, "b", PROGRAM, &upload), 0);
    ck_assert_int_eq(cells(1, upload, 0, CELLS), 0);
    ck_assert_uint_ge(decoded_cells, 1);
    ck_assert_int_eq(commit(1, upload), 0);
    ck_assert_int_eq(get(2, "new", SIZE), 0);
    ck_assert(repaired(1, "a"));
    ck_assert_uint_eq(verify_bad(1, "new"), 0);
}
END_TEST

START_TEST(a_holder_that_is_lost_meanwhile_ends_the_upload_and_another_one_is_done)
{
    uint64_t upload = 0;
    uint32_t holders[10];
    const uint64_t v = begin(6, 3, 2);
    const uint64_t before = cells_everywhere();
    holders_of("a", v, holders);
    unsigned shard = holders[0] == 1 ? 1 : 0;
    ck_assert_int_eq(open_from(1, v, "b", PROGRAM, &upload), 0);
    ck_assert_int_eq(cells(1, upload, 0, 3), 0);
    rig_stop(r, holders[shard]);
    const int code = cells(1, upload, 3, 6);
    ck_assert_msg(code == ERR_CANCELLED, "%s", err_name(code));
    rig_run(r, 4 * SECOND);
    carry_begin(PROGRAM);
    ck_assert_int_eq(open_from(1, v, "b", PROGRAM, &upload), 0);
    ck_assert_int_eq(cells(1, upload, 0, CELLS), 0);
    ck_assert_int_eq(commit(1, upload), 0);
    ck_assert_int_eq(get(1, "new", SIZE), 0);
    rig_start(r, holders[shard]);
    rig_run(r, SECOND);
    ck_assert(repaired(1, "new"));
    rig_run(r, 40 * SECOND); /* what the first one left is taken away */
    ck_assert_uint_eq(cells_everywhere(), 2 * before);
}
END_TEST

START_TEST(what_nobody_commits_is_taken_away)
{
    uint64_t upload = 0;
    const uint64_t v = begin(5, 3, 2);
    const uint64_t before = cells_everywhere();
    ck_assert_int_eq(open_from(2, v, "b", PROGRAM, &upload), 0);
    ck_assert_int_eq(cells(2, upload, 0, CELLS), 0);
    ck_assert_uint_gt(cells_everywhere(), before);
    rig_hang_up(r, 2);
    rig_run(r, 40 * SECOND);
    ck_assert_uint_eq(cells_everywhere(), before);
    ck_assert_int_eq(get(1, "new", SIZE), ERR_NOT_FOUND);
}
END_TEST

START_TEST(what_cannot_follow_is_refused)
{
    uint64_t upload = 0;
    struct wire_node result;
    const uint64_t v = begin(5, 3, 2);
    ck_assert_int_eq(open_from(1, v + 1000, "b", PROGRAM, &upload), ERR_VERSION_GONE);
    ck_assert_int_eq(open_from(1, v, "no-bucket", PROGRAM, &upload), ERR_NOT_FOUND);
    ck_assert_int_eq(rig_call(r, 1, WIRE_METHOD_BUCKET_CREATE, "s:other|u:2|u:1", NULL), 0);
    ck_assert_int_eq(open_from(1, v, "other", PROGRAM, &upload), ERR_SCHEME);
    ck_assert_int_eq(open_from(1, v, "b", "lines | count", &upload), 0);
    ck_assert_int_eq(wait_for(ask_cell(1, upload, 0, buf_view(&carry)), &result), ERR_INVALID);
    ck_assert_int_eq(open_from(1, v, "b", "u64 | scan sum", &upload), 0);
    ck_assert_int_eq(wait_for(ask_cell(1, upload, 0, buf_view(&carry)), &result), ERR_PROTOCOL);
    carry_begin("u64 | scan sum");
    ck_assert_int_eq(wait_for(ask_cell(1, upload, 0, buf_view(&carry)), &result), ERR_OVERFLOW);
    carry_begin(PROGRAM);
    ck_assert_int_eq(open_from(1, v, "b", PROGRAM, &upload), 0);
    ck_assert_int_eq(wait_for(ask_cell(1, upload, CELLS, buf_view(&carry)), &result), ERR_RANGE);
    ck_assert_int_eq(wait_for(ask_cell(1, upload, UINT64_MAX, buf_view(&carry)), &result),
                     ERR_RANGE);
    ck_assert_int_eq(wait_for(ask_cell(1, upload, 7, buf_view(&carry)), &result), ERR_BUSY);
    ck_assert_int_eq(wait_for(ask_cell(1, upload + 99, 0, buf_view(&carry)), &result),
                     ERR_CANCELLED);
    ck_assert_int_eq(put_parts(1, upload, 0, 100), ERR_INVALID);
    struct buf first;
    buf_init(&first, &r->heap, COMPUTE_CARRY_BYTES_MAX);
    ck_assert_int_eq(buf_append(&first, carry.data, carry.size), 0);
    ck_assert_int_eq(next_cell(1, upload, 0), 0);
    ck_assert_int_eq(wait_for(ask_cell(1, upload, 0, buf_view(&first)), &result), ERR_DONE);
    buf_release(&first);
    merkle_root_of(roots, CELLS, root);
    ck_assert_int_eq(wait_for(send_commit(1, upload, SIZE), NULL), ERR_CORRUPT);
    ck_assert_int_eq(put_open(1, "plain", SIZE, &upload), 0);
    ck_assert_int_eq(wait_for(ask_cell(1, upload, 0, buf_view(&carry)), &result), ERR_INVALID);
}
END_TEST

/* What is no fault of the cell is not reported as damage of it. */
START_TEST(an_object_of_other_records_is_refused_and_stays_whole)
{
    uint64_t upload = 0;
    const uint64_t v = begin_of(5, 3, 2, SIZE + 3);
    ck_assert_int_eq(open_from(1, v, "b", PROGRAM, &upload), ERR_INVALID);
    rig_run(r, SECOND);
    ck_assert_uint_eq(verify_bad(1, "a"), 0);
    for (unsigned i = 0; i < r->nodes_count; i++) {
        ck_assert_uint_eq(node_objects_get(r->nodes[i].node)->counters.damage_reports, 0);
    }
}
END_TEST

static void coders_busy(bool busy)
{
    for (unsigned i = 0; i < r->nodes_count; i++) {
        node_objects_get(r->nodes[i].node)->parities_count = busy ? NODE_PARITIES_MAX : 0;
    }
}

/* Parity that is due is waited for, and not made by one node for all. */
START_TEST(cells_wait_for_parity_and_parity_for_its_coder)
{
    uint64_t upload = 0;
    const uint64_t v = begin_of(5, 3, 2, BYTES_MAX);
    struct wire_node result;
    ck_assert_int_eq(open_from(1, v, "b", PROGRAM, &upload), 0);
    coders_busy(true);
    ck_assert_int_eq(cells(1, upload, 0, 2 * EXTENT_CELLS), 0);
    for (unsigned i = 0; i < 5; i++) {
        ck_assert_int_eq(wait_for(ask_cell(1, upload, 2 * EXTENT_CELLS, buf_view(&carry)), &result),
                         ERR_BUSY);
        rig_run(r, SECOND);
    }
    coders_busy(false);
    rig_run(r, SECOND);
    ck_assert_int_eq(cells(1, upload, 2 * EXTENT_CELLS, BYTES_MAX / CELL), 0);
    ck_assert_int_eq(commit_of(1, upload, BYTES_MAX), 0);
    ck_assert_int_eq(get(3, "new", BYTES_MAX), 0);
    ck_assert_uint_eq(verify_bad(4, "new"), 0);
}
END_TEST

/* Calls for parity come to nothing. */
static void cut_parity(void *ctx, struct rig_message *m)
{
    unsigned *cut = ctx;
    if (m->kind == NODE_FRAME_CALL && m->body.size > 100 && m->body.data[8] == NODE_CALL_PARITY) {
        m->body.size -= 10;
        (*cut)++;
    }
}

START_TEST(parity_that_nobody_else_makes_is_made_here_with_its_fingerprints)
{
    uint64_t upload = 0;
    uint32_t holders[10];
    unsigned node = 1;
    unsigned cut = 0;
    const uint64_t v = begin(5, 3, 2);
    holders_of("a", v, holders);
    while (node == holders[0] || node == holders[5]) {
        node++;
    }
    r->on_message = cut_parity;
    r->on_message_ctx = &cut;
    ck_assert_int_eq(open_from(node, v, "b", PROGRAM, &upload), 0);
    ck_assert_int_eq(cells(node, upload, 0, CELLS), 0);
    ck_assert_int_eq(commit(node, upload), 0);
    ck_assert_uint_ge(cut, 2);
    r->on_message = NULL;
    check_records(node);
    ck_assert_uint_eq(verify_bad(1, "new"), 0);
}
END_TEST

/* Bodies of calls between nodes that are cut off, or of no cell. */
START_TEST(calls_that_are_none_are_refused)
{
    uint8_t body[96];
    struct rng rng;
    cluster(3, 2, 1);
    rng_init(&rng, 17);
    printf("calls: seed=17\n");
    for (unsigned i = 0; i < 400; i++) {
        const size_t size = (size_t)rng_below(&rng, sizeof body + 1);
        rng_fill(&rng, body, sizeof body);
        node_derive_serve(r->nodes[0].node, (struct node_request){.peer = 2, .id = i},
                          bytes_of(body, size));
        node_parity_serve(r->nodes[0].node, (struct node_request){.peer = 2, .id = i},
                          bytes_of(body, size));
    }
    rig_run(r, SECOND);
    ck_assert_uint_eq(node_objects_get(r->nodes[0].node)->derive_bytes, 0);
    ck_assert_uint_eq(node_objects_get(r->nodes[0].node)->parities_count, 0);
}
END_TEST

START_TEST(a_node_may_end_while_cells_are_made)
{
    uint64_t upload = 0;
    const uint64_t v = begin(5, 3, 2);
    ck_assert_int_eq(open_from(1, v, "b", PROGRAM, &upload), 0);
    ck_assert_int_eq(cells(1, upload, 0, 5), 0);
    (void)ask_cell(1, upload, 5, buf_view(&carry));
    rig_stop(r, 1);
    rig_run(r, SECOND);
    rig_start(r, 1);
    rig_run(r, 40 * SECOND);
    ck_assert_int_eq(get(2, "new", SIZE), ERR_NOT_FOUND);
    memcpy(content, input, SIZE);
    ck_assert_int_eq(get(2, "a", SIZE), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("derive");
    TCase *tc = tcase_create("derive");
    tcase_add_checked_fixture(tc, NULL, end);
    tcase_set_timeout(tc, 240);
    tcase_add_test(tc, the_new_object_lies_where_the_old_one_does);
    tcase_add_test(tc, its_parity_gives_back_what_is_lost);
    tcase_add_test(tc, cells_of_nodes_that_are_down_are_decoded);
    tcase_add_test(tc, a_damaged_cell_is_never_computed_on);
    tcase_add_test(tc, a_holder_that_is_lost_meanwhile_ends_the_upload_and_another_one_is_done);
    tcase_add_test(tc, what_nobody_commits_is_taken_away);
    tcase_add_test(tc, what_cannot_follow_is_refused);
    tcase_add_test(tc, an_object_of_other_records_is_refused_and_stays_whole);
    tcase_add_test(tc, cells_wait_for_parity_and_parity_for_its_coder);
    tcase_add_test(tc, parity_that_nobody_else_makes_is_made_here_with_its_fingerprints);
    tcase_add_test(tc, calls_that_are_none_are_refused);
    tcase_add_test(tc, a_node_may_end_while_cells_are_made);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
