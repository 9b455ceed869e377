/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Data directories: which are refused, and that nothing foreign is ever touched. scenario 47
 */
#include "server/host/data_dir.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct alloc heap;
static struct host_data_dir dir;
static struct wire_identity identity;
static struct wire_identity read_back;
static struct store_superblock sb;
static struct err_info why;
static char base[64];
static char path[128];

static void begin(void)
{
    heap = alloc_heap();
    (void)snprintf(base, sizeof(base), "data-dir-test.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(base));
    (void)snprintf(path, sizeof(path), "%s/data", base);
    memset(&why, 0, sizeof(why));
}

static void end(void)
{
    char command[128];
    (void)snprintf(command, sizeof(command), "rm -rf -- '%s'", base);
    ck_assert_int_eq(system(command), 0);
}

static void make_identity(uint8_t cluster, uint32_t node)
{
    static struct wire_identity_node nodes[3];
    struct wire_identity_plan plan = {
        .cluster = {cluster}, .nodes = nodes, .nodes_count = 3, .data_groups = 1};
    for (unsigned i = 0; i < 3; i++) {
        nodes[i].id = i + 1;
        nodes[i].client_port = (uint16_t)(7000 + i);
        nodes[i].peer_port = (uint16_t)(7100 + i);
        (void)snprintf(nodes[i].host, sizeof(nodes[i].host), "127.0.0.1");
    }
    ck_assert_int_eq(wire_identity_make(&plan, &identity, &why), 0);
    ck_assert_int_eq(wire_identity_claim(&identity, node), 0);
}

static int open_dir(enum host_data_dir_mode mode)
{
    return host_data_dir_open(&dir, path, mode, &heap, &why);
}

static void touch(const char *name, const char *text)
{
    char full[256];
    (void)snprintf(full, sizeof(full), "%s/%s", path, name);
    FILE *file = fopen(full, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

static void found(uint8_t cluster, uint32_t node)
{
    make_identity(cluster, node);
    ck_assert_int_eq(open_dir(HOST_DATA_DIR_CREATE), 0);
    ck_assert_int_eq(dir.content, HOST_DATA_DIR_EMPTY);
    ck_assert_int_eq(host_data_dir_found(&dir, &identity, &why), 0);
    ck_assert_int_eq(host_data_dir_start(&dir, 77, &read_back, &sb, &why), 0);
    host_data_dir_close(&dir);
}

START_TEST(a_new_directory_knows_its_node_and_counts_boots)
{
    begin();
    found(9, 2);
    ck_assert_uint_eq(sb.boot, 1);
    for (uint64_t boot = 2; boot < 5; boot++) {
        ck_assert_int_eq(open_dir(HOST_DATA_DIR_EXISTING), 0);
        ck_assert_int_eq(dir.content, HOST_DATA_DIR_USED);
        ck_assert_int_eq(host_data_dir_start(&dir, 78, &read_back, &sb, &why), 0);
        ck_assert_uint_eq(sb.boot, boot);
        ck_assert_uint_eq(sb.store_id, 77);
        ck_assert_uint_eq(read_back.node, 2);
        ck_assert_int_eq(memcmp(&read_back, &identity, sizeof(identity)), 0);
        host_data_dir_close(&dir);
    }
    end();
}
END_TEST

START_TEST(a_missing_directory_is_made_only_when_asked)
{
    struct stat st;
    begin();
    ck_assert_int_eq(open_dir(HOST_DATA_DIR_EXISTING), ERR_NOT_FOUND);
    ck_assert_int_ne(stat(path, &st), 0);
    ck_assert_int_eq(open_dir(HOST_DATA_DIR_CREATE), 0);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777u, 0700);
    ck_assert_int_eq(host_data_dir_start(&dir, 1, &read_back, &sb, &why), ERR_NOT_FOUND);
    host_data_dir_close(&dir);
    end();
}
END_TEST

START_TEST(a_directory_with_other_things_is_left_alone)
{
    char full[256];
    struct stat st;
    begin();
    ck_assert_int_eq(mkdir(path, 0700), 0);
    touch("diary.txt", "dear");
    ck_assert_int_eq(open_dir(HOST_DATA_DIR_CREATE), ERR_NOT_EMPTY);
    ck_assert_ptr_nonnull(strstr(why.text, "diary.txt"));
    (void)snprintf(full, sizeof(full), "%s/LOCK", path);
    ck_assert_int_ne(stat(full, &st), 0);
    end();
}
END_TEST

START_TEST(a_directory_in_use_is_refused)
{
    struct host_data_dir second;
    begin();
    found(9, 1);
    ck_assert_int_eq(open_dir(HOST_DATA_DIR_EXISTING), 0);
    ck_assert_int_eq(host_data_dir_open(&second, path, HOST_DATA_DIR_EXISTING, &heap, &why),
                     ERR_IN_USE);
    host_data_dir_close(&dir);
    ck_assert_int_eq(open_dir(HOST_DATA_DIR_EXISTING), 0);
    host_data_dir_close(&dir);
    end();
}
END_TEST

START_TEST(links_and_open_modes_are_refused)
{
    char link_path[160];
    begin();
    found(9, 1);
    (void)snprintf(link_path, sizeof(link_path), "%s/link", base);
    ck_assert_int_eq(symlink("data", link_path), 0);
    ck_assert_int_eq(host_data_dir_open(&dir, link_path, HOST_DATA_DIR_EXISTING, &heap, &why),
                     ERR_PERMISSION);
    ck_assert_int_eq(chmod(path, 0777), 0);
    ck_assert_int_eq(open_dir(HOST_DATA_DIR_EXISTING), ERR_PERMISSION);
    ck_assert_ptr_nonnull(strstr(why.text, "writable"));
    ck_assert_int_eq(chmod(path, 0700), 0);
    ck_assert_int_eq(open_dir(HOST_DATA_DIR_EXISTING), 0);
    host_data_dir_close(&dir);
    end();
}
END_TEST

START_TEST(a_linked_log_directory_is_refused)
{
    char wal[256];
    char elsewhere[256];
    begin();
    found(9, 1);
    (void)snprintf(wal, sizeof(wal), "%s/wal", path);
    (void)snprintf(elsewhere, sizeof(elsewhere), "%s/elsewhere", base);
    ck_assert_int_eq(rename(wal, elsewhere), 0);
    ck_assert_int_eq(symlink("../elsewhere", wal), 0);
    ck_assert_int_eq(open_dir(HOST_DATA_DIR_EXISTING), ERR_PERMISSION);
    end();
}
END_TEST

START_TEST(a_bundle_of_another_node_or_cluster_is_refused)
{
    static const struct {
        uint8_t cluster;
        uint32_t node;
    } others[] = {{9, 2}, {8, 1}};
    begin();
    found(9, 1);
    for (unsigned i = 0; i < 2; i++) {
        struct buf bundle;
        make_identity(others[i].cluster, others[i].node);
        buf_init(&bundle, &heap, WIRE_IDENTITY_BYTES_MAX);
        ck_assert_int_eq(wire_identity_encode(&identity, &bundle), 0);
        char full[256];
        (void)snprintf(full, sizeof(full), "%s/identity", path);
        FILE *file = fopen(full, "w");
        ck_assert_uint_eq(fwrite(bundle.data, 1, bundle.size, file), bundle.size);
        ck_assert_int_eq(fclose(file), 0);
        buf_release(&bundle);
        ck_assert_int_eq(open_dir(HOST_DATA_DIR_EXISTING), 0);
        ck_assert_int_eq(host_data_dir_start(&dir, 1, &read_back, &sb, &why), ERR_WRONG_CLUSTER);
        host_data_dir_close(&dir);
    }
    end();
}
END_TEST

START_TEST(data_without_superblocks_is_not_started_anew)
{
    char full[256];
    begin();
    found(9, 1);
    for (unsigned i = 0; i < 2; i++) {
        (void)snprintf(full, sizeof(full), "%s/sb%u", path, i);
        ck_assert_int_eq(unlink(full), 0);
    }
    ck_assert_int_eq(open_dir(HOST_DATA_DIR_CREATE), ERR_CORRUPT);
    end();
}
END_TEST

START_TEST(a_damaged_bundle_is_named)
{
    begin();
    ck_assert_int_eq(mkdir(path, 0700), 0);
    touch("identity", "these are no bytes of a bundle at all");
    ck_assert_int_eq(open_dir(HOST_DATA_DIR_EXISTING), 0);
    ck_assert_int_eq(dir.content, HOST_DATA_DIR_NEW);
    ck_assert_int_eq(host_data_dir_start(&dir, 1, &read_back, &sb, &why), ERR_CORRUPT);
    host_data_dir_close(&dir);
    end();
}
END_TEST

UNIT_MAIN("host_data_dir", a_new_directory_knows_its_node_and_counts_boots,
          a_missing_directory_is_made_only_when_asked, a_directory_with_other_things_is_left_alone,
          a_directory_in_use_is_refused, links_and_open_modes_are_refused,
          a_linked_log_directory_is_refused, a_bundle_of_another_node_or_cluster_is_refused,
          data_without_superblocks_is_not_started_anew, a_damaged_bundle_is_named)
