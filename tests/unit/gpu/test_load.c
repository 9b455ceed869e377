/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What is loaded and what is refused; and the plug-in of this build, if there is one, on this
 * machine, whether it has a device or not.
 */
#include "base/rng.h"
#include "compute/compute.h"
#include "gpu/load.h"
#include "gpu/sum.h"
#include "tests/unit/unit.h"

#include <string.h>

#define BYTES 500000u
#define VALUES 100000u

static void refuse(const char *path, int expected, const char *text)
{
    struct gpu_plugin plugin = {.handle = NULL, .table = NULL};
    struct err_info why;
    ck_assert_int_eq(gpu_load(&plugin, path, &why), expected);
    ck_assert_int_eq(why.code, expected);
    ck_assert_msg(strstr(why.text, text) != NULL, "%s", why.text);
    ck_assert_ptr_null(plugin.handle);
    ck_assert_int_eq(gpu_load(&plugin, path, NULL), expected);
}

START_TEST(a_plug_in_that_is_not_there_is_not_found)
{
    refuse("/nowhere/holdfast-gpu.so", ERR_NOT_FOUND,
           "no plug-in '/nowhere/holdfast-gpu.so': No such file or directory");
}
END_TEST

START_TEST(a_path_that_a_search_would_complete_is_refused)
{
    refuse("holdfast-gpu.so", ERR_INVALID, "path of the plug-in, 'holdfast-gpu.so', has no '/'");
}
END_TEST

START_TEST(a_file_that_is_no_shared_object_is_refused)
{
    refuse(TEST_SOURCE, ERR_INVALID, "cannot load the plug-in: " TEST_SOURCE);
}
END_TEST

START_TEST(a_shared_object_without_a_table_is_refused)
{
    refuse(PLUGIN_WITHOUT_TABLE, ERR_INVALID,
           "has no 'gpu_table': it is not a plug-in for devices");
}
END_TEST

START_TEST(a_table_of_another_version_is_refused_with_both_versions)
{
    char text[GPU_WHY_BYTES];
    (void)snprintf(text, sizeof(text), "has a table of version 4711, not %u", GPU_TABLE_VERSION);
    refuse(PLUGIN_OF_OTHER_VERSION, ERR_LEVEL, text);
}
END_TEST

START_TEST(a_table_of_another_size_is_refused_with_both_sizes)
{
    refuse(PLUGIN_OF_OTHER_BYTES, ERR_LEVEL, "has a table of 12 bytes, not ");
}
END_TEST

#ifdef PLUGIN
/* A device, where there is one: the same bits as the plain twins. */
static void use_device(const struct gpu_table *table)
{
    static uint8_t data[4][BYTES];
    static uint8_t coded[2][BYTES];
    static uint8_t plain[2][BYTES];
    static uint8_t hashes[(BYTES / GPU_LEAF_BYTES + 1) * GPU_HASH_BYTES];
    uint8_t twin[GPU_HASH_BYTES];
    static double values[VALUES];
    uint8_t matrix[6 * 4];
    const uint8_t *const sources[4] = {data[0], data[1], data[2], data[3]};
    uint8_t *const results[2] = {coded[0], coded[1]};
    uint8_t *const twins[2] = {plain[0], plain[1]};
    char why[GPU_WHY_BYTES];
    struct gpu *gpu = NULL;
    struct rng r;
    rng_init(&r, unit_seed("the_plug_in_of_this_build_loads", 1));
    rng_fill(&r, data, sizeof(data));
    compute_rs_matrix(4, 2, matrix);
    ck_assert_msg(table->open(&gpu, 0, NULL, why, sizeof(why)) == 0, "%s", why);
    const struct gpu_rs_job job = {4, 2, matrix + 16, sources, results, BYTES};
    const struct compute_rs_job same = {4, 2, NULL, sources, twins, BYTES};
    ck_assert_msg(table->rs(gpu, &job) == 0, "%s", table->failure(gpu));
    compute_rs_encode_plain(&same, matrix + 16);
    ck_assert_mem_eq(coded, plain, sizeof(coded));
    ck_assert_msg(table->leaf_hashes(gpu, data[0], BYTES, hashes) == 0, "%s", table->failure(gpu));
    for (size_t from = 0; from < BYTES; from += GPU_LEAF_BYTES) {
        compute_leaf_hash(data[0] + from,
                          BYTES - from < GPU_LEAF_BYTES ? BYTES - from : GPU_LEAF_BYTES, twin);
        ck_assert_mem_eq(hashes + from / GPU_LEAF_BYTES * GPU_HASH_BYTES, twin, sizeof(twin));
    }
    struct compute_exact sum;
    struct compute_exact exact;
    compute_exact_init(&sum);
    compute_exact_init(&exact);
    for (size_t i = 0; i < VALUES; i++) {
        values[i] = (double)rng_next(&r) * 0x1p-60 - 7;
    }
    ck_assert_msg(gpu_sum_add_f64s(table, gpu, &sum, values, VALUES) == 0, "%s",
                  table->failure(gpu));
    compute_exact_add_f64s_by(COMPUTE_LANES_PLAIN, &exact, values, VALUES);
    const struct alloc heap = alloc_heap();
    struct buf a;
    struct buf b;
    buf_init(&a, &heap, COMPUTE_EXACT_ENCODED_MAX);
    buf_init(&b, &heap, COMPUTE_EXACT_ENCODED_MAX);
    ck_assert_int_eq(compute_exact_encode(&sum, &a), 0);
    ck_assert_int_eq(compute_exact_encode(&exact, &b), 0);
    ck_assert(bytes_equal(buf_view(&a), buf_view(&b))); /* rounded they could hide a difference */
    buf_release(&a);
    buf_release(&b);
    table->close(gpu);
}

START_TEST(the_plug_in_of_this_build_loads)
{
    struct gpu_plugin plugin;
    struct err_info info;
    struct gpu_device about;
    struct gpu *gpu = NULL;
    char why[GPU_WHY_BYTES];
    char again[GPU_WHY_BYTES];
    unsigned count = 7;
    ck_assert_msg(gpu_load(&plugin, PLUGIN, &info) == 0, "%s", info.text);
    plugin.table->probe(&count, why, sizeof(why));
    if (count > 0) {
        ck_assert_str_eq(why, "");
        ck_assert_int_eq(plugin.table->describe(0, &about, why, sizeof(why)), 0);
        printf("device 0: %s\n", about.name);
        use_device(plugin.table);
    } else {
        printf("no device: %s\n", why);
        ck_assert_str_ne(why, "");
        ck_assert_int_eq(plugin.table->open(&gpu, 0, NULL, again, sizeof(again)), ERR_NOT_FOUND);
        ck_assert_str_eq(again, why);
        ck_assert_ptr_null(gpu);
    }
    gpu_unload(&plugin);
}
END_TEST
#else
START_TEST(the_plug_in_of_this_build_loads)
{
    printf("no plug-in was built\n");
}
END_TEST
#endif

UNIT_MAIN("gpu_load", a_plug_in_that_is_not_there_is_not_found,
          a_path_that_a_search_would_complete_is_refused,
          a_file_that_is_no_shared_object_is_refused, a_shared_object_without_a_table_is_refused,
          a_table_of_another_version_is_refused_with_both_versions,
          a_table_of_another_size_is_refused_with_both_sizes, the_plug_in_of_this_build_loads)
