/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Runs that belong to a job: what they commit, what another one finds of it, and whom they meet at
 * their keys.
 */
#include "run_fake.h"

#include "kv_fake.h"

#include "client/job_internal.h"

static const char *const programs[] = {
    "words | by $0 count | top 100",
    "words | by $0 count, distinct $0",
    "lines | where $3 < 100 | select $1, $2",
    "lines | sort $3 down | select $1",
    "lines | select $1 scan sum $3",
    "csv | count",
    "u8 | histogram 8 0 256",
    "i64 | sum",
    "f32,x4 | where $1 > 0 | dot $1, $1",
};
#define PROGRAMS (sizeof(programs) / sizeof(programs[0]))

static void job_begin(void)
{
    begin(SIZE);
    kv_clear();
    object.before = kv_serve;
    ran.job = "job";
}

static void job_end(void)
{
    end();
    kv_clear();
}

/* Once more; what was printed before is forgotten. */
static int again(const char *text)
{
    const char *job = ran.job;
    buf_release(&ran.printed);
    memset(&ran, 0, sizeof(ran));
    ran.job = job;
    object.parts_all = 0;
    return run(text);
}

static void task_name(unsigned cell, char name[64])
{
    (void)snprintf(name, 64, "job/00000000/%08u", cell);
}

static struct kv_key *task_of(unsigned cell)
{
    char name[64];
    task_name(cell, name);
    return kv_find(name);
}

/* Quoted fields with commas and ends of lines, over the ends of cells. */
static void fill_quoted(void)
{
    static const char line[] = "17,\"a, \"\"b\"\"\nand c\",4\r\n";
    for (size_t at = 0; at < SIZE; at++) {
        const bool whole = at < SIZE / (sizeof(line) - 1) * (sizeof(line) - 1);
        object.data[at] = (uint8_t)(whole ? line[at % (sizeof(line) - 1)] : '\n');
    }
}

/* ---- commits -------------------------------------------------------------------------------- */

START_TEST(a_job_gives_what_the_program_gives_and_commits_every_cell)
{
    for (unsigned p = 0; p < PROGRAMS; p++) {
        job_begin();
        const int err = run(programs[p]);
        ck_assert_msg(err == 0 || err == ERR_RANGE, "%s: %s", programs[p], ran.text);
        check_printed(programs[p]);
        ck_assert_uint_eq(ran.cost.tasks_committed, CELLS);
        ck_assert_uint_eq(ran.cost.tasks_resumed, 0);
        ck_assert_uint_eq(kv.count, CELLS + 2);
        ck_assert_ptr_nonnull(kv_find("job"));
        ck_assert_ptr_nonnull(kv_find("job/00000000"));
        ck_assert_ptr_nonnull(task_of(CELLS - 1));
        job_end();
    }
}
END_TEST

START_TEST(a_run_without_a_job_commits_nothing)
{
    job_begin();
    ran.job = NULL;
    ck_assert_int_eq(run("lines | count"), 0);
    ck_assert_uint_eq(kv.cas + kv.reads, 0);
    job_end();
}
END_TEST

START_TEST(another_run_computes_what_is_not_committed_and_gives_the_same)
{
    for (unsigned p = 0; p < PROGRAMS; p++) {
        job_begin();
        (void)run(programs[p]);
        for (unsigned left = 0; left <= CELLS; left += p == 0 ? 1 : 4) {
            char name[64];
            for (unsigned cell = left; cell < CELLS; cell++) {
                task_name(cell, name);
                kv_drop(name);
            }
            (void)again(programs[p]);
            check_printed(programs[p]);
            ck_assert_uint_ge(object.parts_all, CELLS - left); /* of CSV some come again */
            ck_assert_uint_le(object.parts_all, 2 * (CELLS - left));
            ck_assert_uint_eq(ran.cost.tasks_resumed, left);
            ck_assert_uint_eq(ran.cost.tasks_committed, CELLS - left);
            ck_assert_uint_eq(kv.count, CELLS + 2);
        }
        job_end();
    }
}
END_TEST

START_TEST(gaps_in_what_is_committed_are_computed)
{
    job_begin();
    ck_assert_int_eq(run(programs[1]), 0);
    char name[64];
    for (unsigned cell = 1; cell < CELLS; cell += 3) {
        task_name(cell, name);
        kv_drop(name);
    }
    ck_assert_int_eq(again(programs[1]), 0);
    check_printed(programs[1]);
    ck_assert_uint_eq(object.parts_all, 4);
    ck_assert_uint_eq(ran.cost.tasks_resumed, CELLS - 4);
    job_end();
}
END_TEST

/* The state of a cell is the same however it was found out how it begins. */
START_TEST(states_of_csv_are_those_of_the_way_in_which_they_are_read)
{
    static const char text[] = "csv | by $3 count, sum $1";
    uint8_t digests[CELLS][MERKLE_HASH_BYTES];
    job_begin();
    fill_quoted();
    ck_assert_int_eq(run(text), 0);
    check_printed(text);
    for (unsigned cell = 0; cell < CELLS; cell++) {
        struct job_task t;
        const struct kv_key *k = task_of(cell);
        ck_assert_ptr_nonnull(k);
        ck_assert_int_eq(hf_job_task_take(bytes_of(k->value, k->bytes), &t), 0);
        memcpy(digests[cell], t.digest.data, MERKLE_HASH_BYTES);
    }
    for (unsigned most = 1000; most <= 30000; most *= 3) { /* cells in parts, told and not told */
        job_end();
        job_begin();
        fill_quoted();
        object.most = most;
        ck_assert_int_eq(run(text), 0);
        check_printed(text);
        for (unsigned cell = 0; cell < CELLS; cell++) {
            struct job_task t;
            const struct kv_key *k = task_of(cell);
            ck_assert_int_eq(hf_job_task_take(bytes_of(k->value, k->bytes), &t), 0);
            ck_assert_mem_eq(digests[cell], t.digest.data, MERKLE_HASH_BYTES);
        }
        ck_assert_int_eq(again(text), 0);
        check_printed(text);
        ck_assert_uint_eq(object.parts_all, 0);
    }
    job_end();
}
END_TEST

static void digests_of(uint8_t out[CELLS][MERKLE_HASH_BYTES])
{
    for (unsigned cell = 0; cell < CELLS; cell++) {
        struct job_task t;
        const struct kv_key *k = task_of(cell);
        ck_assert_ptr_nonnull(k);
        ck_assert_int_eq(hf_job_task_take(bytes_of(k->value, k->bytes), &t), 0);
        memcpy(out[cell], t.digest.data, MERKLE_HASH_BYTES);
    }
}

/* Two clients of a job may have had the same cell in other parts. */
START_TEST(states_do_not_depend_on_the_parts_that_a_cell_was_computed_in)
{
    static const char *const more[] = {
        "lines | by $2 count, sum $1, var $3, max $1 | top 3",
        "lines | sum $3, distinct $2",
        "lines | sample 0.3 | estimate count, mean $3",
        "csv header | by $3 count",
        "csv | sort $3 | select $1",
        "csv | select $1 scan count from $3 = 4",
        "f32 | where $1 > 0 | mean, var, min",
        "u64,x1 | top 5",
        "i16 | where $1 > 5 | scan count",
    };
    for (unsigned i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
        const char *text = more[i];
        for (unsigned quoted = 0; quoted < (text[0] == 'c' ? 2u : 1u); quoted++) {
            uint8_t whole[CELLS][MERKLE_HASH_BYTES];
            for (unsigned most = 0; most <= 9000; most += 9000) {
                uint8_t parts[CELLS][MERKLE_HASH_BYTES];
                job_begin();
                if (quoted == 1) {
                    fill_quoted();
                }
                object.most = most;
                (void)run(text);
                check_printed(text);
                ck_assert_uint_eq(ran.cost.tasks_committed, CELLS);
                digests_of(parts);
                memcpy(whole, most == 0 ? parts : whole, sizeof(whole));
                ck_assert_msg(memcmp(whole, parts, sizeof(whole)) == 0, "%s: %u", text, most);
                job_end();
            }
        }
    }
}
END_TEST

/* Lines that become much longer: a cell's state has more bytes than are kept. */
START_TEST(of_large_states_the_digest_is_committed_and_they_are_computed_again)
{
    static const char text[] =
        "lines | select \"0123456789012345678901234567890123456789\", $0, $0";
    job_begin();
    ck_assert_int_eq(run(text), 0);
    check_printed(text);
    ck_assert_uint_eq(ran.cost.tasks_committed, CELLS);
    ck_assert_uint_lt(task_of(0)->bytes, 100);
    ck_assert_int_eq(again(text), 0);
    check_printed(text);
    ck_assert_uint_eq(ran.cost.tasks_resumed, 1); /* the last one is small */
    job_end();
}
END_TEST

/* The same, but that even the digest would cost too much memory. */
START_TEST(of_states_that_are_very_large_nothing_is_committed)
{
    char text[256];
    (void)snprintf(text, sizeof(text), "lines | select \"%0130d\"", 0);
    job_begin();
    memset(object.data, '\n', 6 * CELL); /* each of these has 8.6 MB of lines */
    object.most = CELL / 8;
    ck_assert_int_eq(run(text), 0);
    check_printed(text);
    ck_assert_uint_eq(ran.cost.tasks_committed, CELLS - 6);
    ck_assert_int_eq(again(text), 0);
    check_printed(text);
    job_end();
}
END_TEST

START_TEST(what_an_error_of_the_program_ends_is_printed_up_to_there)
{
    static const char text[] = "lines | select $1, $3 / ($1 - 20000)";
    job_begin();
    ck_assert_int_eq(run(text), ERR_INVALID);
    check_printed(text);
    ck_assert_int_eq(again(text), ERR_INVALID);
    check_printed(text);
    job_end();
}
END_TEST

START_TEST(objects_that_are_small_have_a_record_and_no_tasks)
{
    begin(16384);
    kv_clear();
    object.before = kv_serve;
    ran.job = "job";
    ck_assert_int_eq(run("lines | count"), 0);
    check_printed("lines | count");
    ck_assert_uint_eq(kv.count, 2);
    job_end();
}
END_TEST

/* ---- others at the keys --------------------------------------------------------------------- */

START_TEST(a_job_of_another_program_or_version_is_named)
{
    job_begin();
    ck_assert_int_eq(run("lines | count"), 0);
    const unsigned before = kv.count;
    ck_assert_int_eq(again("lines | sum $1"), ERR_CONFLICT);
    ck_assert_ptr_nonnull(strstr(ran.text, "the job is of another program, 'lines | count'"));
    ck_assert_uint_eq(ran.printed.size, 0);
    kv_find("job/00000000")->value[13] ^= 1; /* its version */
    ck_assert_int_eq(again("lines | count"), ERR_CONFLICT);
    ck_assert_ptr_nonnull(strstr(ran.text, "the job is over version 4, the object has 5 now"));
    ck_assert_uint_eq(ran.printed.size, 0);
    ck_assert_uint_eq(kv.count, before);
    kv_set("job", "mine", 4);
    ck_assert_int_eq(again("lines | count"), ERR_CONFLICT);
    ck_assert_ptr_nonnull(strstr(ran.text, "job key 'job': its value is no job's"));
    job_end();
}
END_TEST

START_TEST(a_job_that_is_done_is_begun_anew)
{
    struct job_head head;
    struct buf done;
    job_begin();
    ck_assert_int_eq(run("lines | count"), 0);
    struct kv_key *k = kv_find("job");
    ck_assert_int_eq(hf_job_head_take(bytes_of(k->value, k->bytes), &head), 0);
    head.done = true;
    buf_init(&done, &heap, 65536);
    ck_assert_int_eq(hf_job_head_put(&done, &head), 0);
    kv_set("job", done.data, done.size);
    buf_release(&done);
    ck_assert_int_eq(again("lines | sum $1"), 0);
    check_printed("lines | sum $1");
    ck_assert_uint_eq(ran.cost.tasks_committed, CELLS);
    ck_assert_uint_eq(kv.count, CELLS + 2);
    job_end();
}
END_TEST

START_TEST(a_damaged_state_is_computed_again_and_replaced)
{
    job_begin();
    ck_assert_int_eq(run(programs[1]), 0);
    struct kv_key *k = task_of(4);
    const size_t bytes = k->bytes;
    k->value[bytes - 1] ^= 4;
    task_of(5)->bytes -= 1;
    task_of(6)->bytes = 20;
    ck_assert_int_eq(again(programs[1]), 0);
    check_printed(programs[1]);
    ck_assert_uint_eq(object.parts_all, 3);
    ck_assert_uint_eq(ran.cost.tasks_replaced, 3);
    ck_assert_int_eq(again(programs[1]), 0);
    check_printed(programs[1]);
    ck_assert_uint_eq(object.parts_all, 0);
    ck_assert_uint_eq(task_of(4)->bytes, bytes);
    job_end();
}
END_TEST

START_TEST(what_another_job_left_is_replaced)
{
    job_begin();
    ck_assert_int_eq(run("lines | count"), 0);
    kv_drop("job");
    kv_drop("job/00000000");
    ck_assert_int_eq(again("words | count"), 0);
    check_printed("words | count");
    ck_assert_uint_eq(ran.cost.tasks_replaced, CELLS);
    ck_assert_int_eq(again("words | count"), 0);
    check_printed("words | count");
    ck_assert_uint_eq(object.parts_all, 0);
    kv_set("job/00000000/00000003", "mine", 4);
    ck_assert_int_eq(again("words | count"), ERR_CONFLICT);
    ck_assert_ptr_nonnull(strstr(ran.text, "'job/00000000/00000003': its value is no job's"));
    ck_assert_uint_eq(task_of(3)->bytes, 4);
    job_end();
}
END_TEST

/* Another run commits the same state just before, computed by node 3. */
static void another_is_first(const char *name, struct bytes value)
{
    if (hf_job_value_of(value) == JOB_VALUE_TASK && kv_find(name) == NULL) {
        kv_set(name, value.data, value.size);
        kv_find(name)->value[6] = 3;
    }
}

START_TEST(of_two_runs_at_once_both_end_well)
{
    job_begin();
    kv.first = another_is_first;
    ck_assert_int_eq(run(programs[1]), 0);
    check_printed(programs[1]);
    ck_assert_uint_eq(kv.count, CELLS + 2);
    ck_assert_uint_eq(kv_find("job/00000000/00000004")->value[6], 3);
    job_end();
}
END_TEST

/* Another run ends the job meanwhile. */
static void another_ends_it(const char *name, struct bytes value)
{
    (void)value;
    if (strcmp(name, "job/00000000/00000006") == 0) {
        while (kv.count > 0) {
            kv_drop(kv.keys[0].name);
        }
        kv.first = NULL;
    }
}

START_TEST(a_job_that_another_run_ends_goes_on)
{
    job_begin();
    kv.first = another_ends_it;
    ck_assert_int_eq(run(programs[1]), 0);
    check_printed(programs[1]);
    job_end();
}
END_TEST

START_TEST(commits_whose_answers_are_lost_are_looked_up)
{
    job_begin();
    kv.lost = 4;
    ck_assert_int_eq(run(programs[2]), 0);
    check_printed(programs[2]);
    ck_assert_uint_eq(kv.count, CELLS + 2);
    ck_assert_uint_eq(ran.cost.tasks_replaced, 0);
    job_end();
}
END_TEST

START_TEST(nothing_is_printed_that_is_not_committed)
{
    job_begin();
    kv.refuses = ERR_INVALID;
    ck_assert_int_eq(run(programs[2]), ERR_INVALID);
    ck_assert_uint_eq(ran.printed.size, 0);
    ck_assert_ptr_nonnull(strstr(ran.text, "job key 'job/00000000/0000"));
    job_end();
}
END_TEST

/* ---- the end -------------------------------------------------------------------------------- */

static int forget(const char *key, bool *found)
{
    const struct hf_kv job = {.key = hf_text(key)};
    struct hf_answer a = {.ended = false};
    ck_assert_int_eq(hf_job_forget(fake.client, &job, &a, hf_answer_done), 0);
    const int err = fake_wait(&fake, &a);
    *found = a.result.found;
    hf_answer_release(&a);
    return err;
}

START_TEST(a_job_is_forgotten_and_no_other_key)
{
    static const char *const others[] = {
        "job/", "job/00000000/0000000x", "job/0000000a",         "job/00000000/00000000/1",
        "job2", "job/00000007",          "job/00000001/00000001"};
    bool found = false;
    job_begin();
    for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        kv_set(others[i], "HFJ", 3);
    }
    ck_assert_int_eq(run("lines | count"), 0);
    ck_assert_int_eq(forget("job", &found), 0);
    ck_assert(found);
    ck_assert_uint_eq(kv.count, sizeof(others) / sizeof(others[0]));
    ck_assert_int_eq(forget("job", &found), 0);
    ck_assert(!found);
    ck_assert_int_eq(forget("job2", &found), ERR_CONFLICT);
    ck_assert_uint_eq(kv.count, sizeof(others) / sizeof(others[0]));
    job_end();
}
END_TEST

START_TEST(what_is_left_without_a_head_is_forgotten_too)
{
    bool found = false;
    job_begin();
    ck_assert_int_eq(run("lines | count"), 0);
    kv_drop("job");
    ck_assert_int_eq(forget("job", &found), 0);
    ck_assert(found);
    ck_assert_uint_eq(kv.count, 0);
    job_end();
}
END_TEST

START_TEST(keys_that_are_too_long_are_refused)
{
    static char key[1024];
    const struct hf_program program = {.text = hf_text("lines"),
                                       .job = {.data = key, .size = 1007}};
    const struct hf_object o = {.bucket = hf_text("bucket"), .name = hf_text("name")};
    const struct hf_sink sink = {.ctx = &ran, .write = ran_write};
    const struct hf_kv job = {.key = {.data = key, .size = 1007}};
    struct hf_answer a = {.ended = false};
    memset(key, 'k', sizeof(key));
    job_begin();
    ck_assert_int_eq(hf_object_run(fake.client, &o, &program, &sink, &a, hf_answer_done),
                     ERR_TOO_LARGE);
    ck_assert_int_eq(hf_job_forget(fake.client, &job, &a, hf_answer_done), ERR_TOO_LARGE);
    job_end();
}
END_TEST

UNIT_MAIN("client_run_job", a_job_gives_what_the_program_gives_and_commits_every_cell,
          a_run_without_a_job_commits_nothing,
          another_run_computes_what_is_not_committed_and_gives_the_same,
          gaps_in_what_is_committed_are_computed,
          states_of_csv_are_those_of_the_way_in_which_they_are_read,
          states_do_not_depend_on_the_parts_that_a_cell_was_computed_in,
          of_large_states_the_digest_is_committed_and_they_are_computed_again,
          of_states_that_are_very_large_nothing_is_committed,
          what_an_error_of_the_program_ends_is_printed_up_to_there,
          objects_that_are_small_have_a_record_and_no_tasks,
          a_job_of_another_program_or_version_is_named, a_job_that_is_done_is_begun_anew,
          a_damaged_state_is_computed_again_and_replaced, what_another_job_left_is_replaced,
          of_two_runs_at_once_both_end_well, a_job_that_another_run_ends_goes_on,
          commits_whose_answers_are_lost_are_looked_up, nothing_is_printed_that_is_not_committed,
          a_job_is_forgotten_and_no_other_key, what_is_left_without_a_head_is_forgotten_too,
          keys_that_are_too_long_are_refused)
