/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The simulator's kv model: the contract, and the faults it can be told to have.
 */
#include "tests/sim/model_kv.h"
#include "tests/unit/store/kv_contract.h"

static struct alloc_budget budget;

static void model_open(struct store_kv *out, uint64_t limit_bytes)
{
    struct alloc alloc = alloc_budget_init(&budget, alloc_heap(), UINT64_MAX);
    ck_assert_int_eq(sim_kv_new(out, limit_bytes, &alloc), 0);
}

static void model_reopen(struct store_kv *kv)
{
    sim_kv_crash(kv);
}

static void model_close(struct store_kv *kv)
{
    kv->close(kv->ctx);
    ck_assert_uint_eq(budget.used_bytes, 0);
}

static const struct kv_contract model = {
    .open = model_open, .reopen = model_reopen, .close = model_close};

static int put_one(struct store_kv *kv, const char *key, const char *value)
{
    TRY(kv->begin(kv->ctx));
    ck_assert_int_eq(kv->put(kv->ctx, bytes_of_text(key), bytes_of_text(value)), 0);
    return kv->commit(kv->ctx);
}

static int get_one(struct store_kv *kv, const char *key, struct bytes *value)
{
    struct store_kv_reader *r = NULL;
    TRY(kv->reader_open(kv->ctx, &r));
    int err = kv->get(r, bytes_of_text(key), value);
    kv->reader_close(r);
    return err;
}

START_TEST(a_failed_commit_changes_nothing_and_latches)
{
    struct store_kv kv;
    struct bytes value = {0};
    model_open(&kv, 1 << 20);
    ck_assert_int_eq(put_one(&kv, "a", "1"), 0);
    sim_kv_fail_commit(&kv, ERR_IO);
    ck_assert_int_eq(put_one(&kv, "a", "2"), ERR_IO);
    ck_assert_int_eq(put_one(&kv, "a", "3"), ERR_IO);
    ck_assert_int_eq(get_one(&kv, "a", &value), ERR_IO);
    sim_kv_crash(&kv);
    ck_assert_int_eq(get_one(&kv, "a", &value), 0);
    ck_assert_int_eq(value.data[0], '1');
    sim_kv_fail_commit(&kv, ERR_DISK_FULL);
    ck_assert_int_eq(put_one(&kv, "a", "2"), ERR_DISK_FULL);
    ck_assert_int_eq(put_one(&kv, "a", "3"), 0);
    model_close(&kv);
}
END_TEST

START_TEST(a_crash_ends_readers_and_the_open_transaction)
{
    struct store_kv kv;
    struct store_kv_reader *r[3] = {0};
    struct bytes value = {0};
    model_open(&kv, 1 << 20);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_int_eq(kv.reader_open(kv.ctx, &r[i]), 0);
        ck_assert_int_eq(put_one(&kv, "a", i == 2 ? "3" : "1"), 0);
    }
    ck_assert_int_eq(kv.begin(kv.ctx), 0);
    ck_assert_int_eq(kv.del(kv.ctx, bytes_of_text("a")), 0);
    sim_kv_crash(&kv);
    ck_assert_int_eq(get_one(&kv, "a", &value), 0);
    ck_assert_int_eq(value.data[0], '3');
    model_close(&kv);
}
END_TEST

START_TEST(a_rotten_record_reads_as_corrupt_until_written_again)
{
    struct store_kv kv;
    struct bytes value = {0};
    model_open(&kv, 1 << 20);
    ck_assert_int_eq(sim_kv_rot(&kv, bytes_of_text("a")), ERR_NOT_FOUND);
    ck_assert_int_eq(put_one(&kv, "a", "1"), 0);
    ck_assert_int_eq(sim_kv_rot(&kv, bytes_of_text("a")), 0);
    ck_assert_int_eq(get_one(&kv, "a", &value), ERR_CORRUPT);
    ck_assert_int_eq(put_one(&kv, "a", "2"), 0);
    ck_assert_int_eq(get_one(&kv, "a", &value), 0);
    model_close(&kv);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("model_kv");
    TCase *tc = tcase_create("faults");
    kv_contract_add(suite, &model);
    tcase_add_test(tc, a_failed_commit_changes_nothing_and_latches);
    tcase_add_test(tc, a_crash_ends_readers_and_the_open_transaction);
    tcase_add_test(tc, a_rotten_record_reads_as_corrupt_until_written_again);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
