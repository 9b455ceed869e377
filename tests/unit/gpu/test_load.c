/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What is loaded and what is refused; and all devices that there are: those of an emulated plug-in,
 * and those of the plug-in of this build, if there is one, on this machine, which may have none.
 */
#include "gpu/load.h"
#include "tests/unit/gpu/twins.h"
#include "tests/unit/unit.h"

#include <string.h>

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

/* Devices of a plug-in, by what came of them. */
struct found {
    unsigned used;
    unsigned too_old;
};

/* Every kernel can be timed, and takes some time. */
static void time_device(const struct gpu_table *table, unsigned device)
{
    const struct gpu_settings small = {.lane_bytes = GPU_LANE_BYTES_MIN + 32, .lanes = 2};
    const uint8_t coefficients[2] = {3, 5};
    char why[GPU_WHY_BYTES];
    struct gpu *gpu = NULL;
    ck_assert_msg(table->open(&gpu, device, &small, why, sizeof(why)) == 0, "%s", why);
    for (int kernel = GPU_KERNEL_COPY; kernel < GPU_KERNELS; kernel++) {
        const struct gpu_rate_job job = {.kernel = (enum gpu_kernel)kernel,
                                         .rounds = 3,
                                         .k = 2,
                                         .rows = 1,
                                         .coefficients = coefficients,
                                         .fill = kernel % 2 == 0 ? coefficients : NULL,
                                         .fill_bytes = sizeof(coefficients)};
        struct gpu_rate rate = {0, -1};
        ck_assert_msg(table->rate(gpu, &job, &rate) == 0, "%s", table->failure(gpu));
        ck_assert_uint_gt(rate.bytes, GPU_LANE_BYTES_MIN / 2);
        ck_assert(rate.seconds > 0);
    }
    table->close(gpu);
}

static void use_device(const struct gpu_table *table, unsigned device)
{
    char said[TWINS_SAID_BYTES];
    const unsigned long long seed = unit_seed("devices_give_the_bits_of_the_plain_twins", 1);
    ck_assert_msg(twins_agree(table, device, seed, said), "device %u: %s", device, said);
    time_device(table, device);
}

static void refuse_device(const struct gpu_table *table, unsigned device,
                          const struct gpu_device *about)
{
    char why[GPU_WHY_BYTES];
    char text[GPU_WHY_BYTES];
    struct gpu *gpu = NULL;
    (void)snprintf(text, sizeof(text), "device %u, '%s', has compute capability %u.%u: at least 8",
                   device, about->name, about->major, about->minor);
    ck_assert_int_eq(table->open(&gpu, device, NULL, why, sizeof(why)), ERR_NOT_FOUND);
    ck_assert_str_eq(why, text);
    ck_assert_ptr_null(gpu);
}

/* Every device: the bits of the plain twins, or refused for its age with these words. Without any,
 * an open says what the count said. */
static struct found use_plugin(const char *path)
{
    struct gpu_plugin plugin;
    struct err_info info;
    struct gpu_device about;
    struct gpu *gpu = NULL;
    char why[GPU_WHY_BYTES];
    char again[GPU_WHY_BYTES];
    struct found found = {0, 0};
    unsigned count = 7;
    ck_assert_msg(gpu_load(&plugin, path, &info) == 0, "%s", info.text);
    plugin.table->probe(&count, why, sizeof(why));
    for (unsigned device = 0; device < count; device++) {
        ck_assert_str_eq(why, "");
        ck_assert_int_eq(plugin.table->describe(device, &about, why, sizeof(why)), 0);
        const bool is_old = about.major < 8;
        printf("device %u: %s, compute capability %u.%u%s\n", device, about.name, about.major,
               about.minor, is_old ? ": too old, is to be refused" : "");
        if (is_old) {
            refuse_device(plugin.table, device, &about);
            found.too_old++;
        } else {
            use_device(plugin.table, device);
            found.used++;
        }
    }
    if (count == 0) {
        printf("no device: %s\n", why);
        ck_assert_str_ne(why, "");
        ck_assert_int_eq(plugin.table->open(&gpu, 0, NULL, again, sizeof(again)), ERR_NOT_FOUND);
        ck_assert_str_eq(again, why);
        ck_assert_ptr_null(gpu);
    }
    gpu_unload(&plugin);
    return found;
}

START_TEST(a_device_that_is_too_old_is_refused_and_the_next_one_used)
{
    const struct found found = use_plugin(PLUGIN_EMULATED);
    ck_assert_uint_eq(found.too_old, 1);
    ck_assert_uint_eq(found.used, 1);
}
END_TEST

/* Two devices that work: a late one and an eager one. */
START_TEST(the_driver_over_a_fake_cuda_gives_the_bits_of_the_plain_twins)
{
#ifdef PLUGIN_OVER_FAKE_CUDA
    const struct found found = use_plugin(PLUGIN_OVER_FAKE_CUDA);
    ck_assert_uint_eq(found.too_old, 1);
    ck_assert_uint_eq(found.used, 2);
#else
    printf("no compiler of C++\n");
#endif
}
END_TEST

START_TEST(the_plug_in_of_this_build_loads)
{
#ifdef PLUGIN_NEEDS_OPEN_GAP
    const char *options = getenv("ASAN_OPTIONS");
    ck_assert_msg(options != NULL && strstr(options, "protect_shadow_gap=0") != NULL,
                  "CUDA needs ASAN_OPTIONS=protect_shadow_gap=0 under AddressSanitizer");
#endif
#ifdef PLUGIN
    (void)use_plugin(PLUGIN);
#else
    printf("no plug-in was built\n");
#endif
}
END_TEST

UNIT_MAIN("gpu_load", a_plug_in_that_is_not_there_is_not_found,
          a_path_that_a_search_would_complete_is_refused,
          a_file_that_is_no_shared_object_is_refused, a_shared_object_without_a_table_is_refused,
          a_table_of_another_version_is_refused_with_both_versions,
          a_table_of_another_size_is_refused_with_both_sizes,
          a_device_that_is_too_old_is_refused_and_the_next_one_used,
          the_driver_over_a_fake_cuda_gives_the_bits_of_the_plain_twins,
          the_plug_in_of_this_build_loads)
