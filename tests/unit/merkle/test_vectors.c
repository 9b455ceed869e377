/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Published vectors: nine roots, and every vector of HOLDFAST_DATA/merkle/vectors.jsonl: inclusion
 * and consistency, of whole trees and of subtrees. The reader knows just the JSON of that file: one
 * object a line, keys that appear once, numbers, strings in base64, arrays of strings.
 */
#include "base/bytes.h"
#include "compute/compute.h"
#include "merkle/merkle.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES_MAX 65536u
#define PROOF_NODES_MAX 200u

/* Where the value of a key begins, after `"key": `; NULL if the line has no such key. */
static const char *value_of(const char *line, const char *key)
{
    char quoted[40];
    (void)snprintf(quoted, sizeof(quoted), "\"%s\": ", key);
    const char *at = strstr(line, quoted);
    return at == NULL ? NULL : at + strlen(quoted);
}

static uint64_t number_of(const char *line, const char *key)
{
    const char *at = value_of(line, key);
    ck_assert_ptr_nonnull(at);
    return strtoull(at, NULL, 10);
}

static bool flag_of(const char *line, const char *key)
{
    const char *at = value_of(line, key);
    ck_assert_ptr_nonnull(at);
    return strncmp(at, "true", 4) == 0;
}

/* Decodes the base64 string that starts, with its quote, at *at; moves *at behind it.
 * returns: how many bytes it has, of which at most max are written. */
static size_t take_base64(const char **at, uint8_t *into, size_t max)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t bytes = 0;
    uint32_t bits = 0;
    unsigned held = 0;
    ck_assert_int_eq(**at, '"');
    for ((*at)++; **at != '"'; (*at)++) {
        const char *digit = strchr(digits, **at);
        if (**at == '=') {
            continue;
        }
        ck_assert_ptr_nonnull(digit);
        bits = (bits << 6) | (uint32_t)(digit - digits);
        held += 6;
        if (held >= 8) {
            held -= 8;
            if (bytes < max) {
                into[bytes] = (uint8_t)(bits >> held);
            }
            bytes++;
        }
    }
    (*at)++;
    return bytes;
}

/* Some vectors have roots and leaves that are no hashes; they are cut or filled with zeros.
 * returns: whether it is a hash. */
static bool hash_of_key(const char *line, const char *key, uint8_t hash[MERKLE_HASH_BYTES])
{
    const char *at = value_of(line, key);
    ck_assert_ptr_nonnull(at);
    memset(hash, 0, MERKLE_HASH_BYTES);
    return take_base64(&at, hash, MERKLE_HASH_BYTES) == MERKLE_HASH_BYTES;
}

/* returns: false if an element is no hash: our proofs cannot say that, so it counts as refused. */
static bool proof_of(const char *line, uint8_t *nodes, struct bytes *proof)
{
    const char *at = value_of(line, "proof");
    unsigned count = 0;
    bool whole = true;
    ck_assert_ptr_nonnull(at);
    *proof = bytes_of(nodes, 0);
    if (*at != '[') {
        return true;
    }
    at++;
    while (*at != ']') {
        if (*at == ',' || *at == ' ') {
            at++;
            continue;
        }
        ck_assert_uint_lt(count, PROOF_NODES_MAX);
        size_t bytes =
            take_base64(&at, nodes + (size_t)count * MERKLE_HASH_BYTES, MERKLE_HASH_BYTES);
        whole = whole && bytes == MERKLE_HASH_BYTES;
        count++;
    }
    proof->size = (size_t)count * MERKLE_HASH_BYTES;
    return whole;
}

static bool inclusion_holds(const char *line)
{
    uint8_t nodes[PROOF_NODES_MAX * MERKLE_HASH_BYTES];
    uint8_t root[MERKLE_HASH_BYTES];
    uint8_t leaf[MERKLE_HASH_BYTES];
    struct bytes proof;
    bool whole = proof_of(line, nodes, &proof);
    (void)hash_of_key(line, "root", root);
    whole = hash_of_key(line, "leafHash", leaf) && whole;
    int err = merkle_inclusion_verify(number_of(line, "treeSize"), number_of(line, "leafIdx"), leaf,
                                      proof, root);
    ck_assert(err == 0 || err == ERR_CORRUPT);
    return whole && err == 0;
}

static bool consistency_holds(const char *line)
{
    uint8_t nodes[PROOF_NODES_MAX * MERKLE_HASH_BYTES];
    uint8_t root1[MERKLE_HASH_BYTES];
    uint8_t root2[MERKLE_HASH_BYTES];
    struct bytes proof;
    bool whole = proof_of(line, nodes, &proof);
    /* equal sizes with equal roots that are no hashes are consistent */
    (void)hash_of_key(line, "root1", root1);
    (void)hash_of_key(line, "root2", root2);
    int err = merkle_consistency_verify(number_of(line, "size1"), number_of(line, "size2"), root1,
                                        root2, proof);
    ck_assert(err == 0 || err == ERR_CORRUPT);
    return whole && err == 0;
}

static bool subtree_inclusion_holds(const char *line)
{
    uint8_t nodes[PROOF_NODES_MAX * MERKLE_HASH_BYTES];
    uint8_t root[MERKLE_HASH_BYTES];
    uint8_t leaf[MERKLE_HASH_BYTES];
    const struct merkle_subtree sub = {number_of(line, "start"), number_of(line, "end")};
    struct bytes proof;
    bool whole = proof_of(line, nodes, &proof);
    (void)hash_of_key(line, "root", root);
    whole = hash_of_key(line, "leafHash", leaf) && whole;
    int err = merkle_subtree_inclusion_verify(&sub, number_of(line, "leafIdx"), leaf, proof, root);
    ck_assert(err == 0 || err == ERR_CORRUPT);
    return whole && err == 0;
}

static bool subtree_consistency_holds(const char *line)
{
    uint8_t nodes[PROOF_NODES_MAX * MERKLE_HASH_BYTES];
    uint8_t root1[MERKLE_HASH_BYTES];
    uint8_t root2[MERKLE_HASH_BYTES];
    const struct merkle_subtree sub = {number_of(line, "start"), number_of(line, "end")};
    struct bytes proof;
    bool whole = proof_of(line, nodes, &proof);
    /* an empty subtree is consistent with any tree, and equal trees with roots that are no hashes
     */
    (void)hash_of_key(line, "root1", root1);
    (void)hash_of_key(line, "root2", root2);
    int err = merkle_subtree_consistency_verify(number_of(line, "size"), &sub, root1, root2, proof);
    ck_assert(err == 0 || err == ERR_CORRUPT);
    return whole && err == 0;
}

/* Runs all vectors of a kind. returns: how many there were. */
static unsigned run_vectors(const char *kind, bool (*holds)(const char *line))
{
    char path[512];
    char wanted[64];
    char *line = malloc(LINE_BYTES_MAX);
    const char *folder = getenv("HOLDFAST_DATA");
    unsigned count = 0;
    ck_assert_ptr_nonnull(line);
    ck_assert_msg(folder != NULL, "HOLDFAST_DATA names the folder of vectors");
    (void)snprintf(path, sizeof(path), "%s/merkle/vectors.jsonl", folder);
    (void)snprintf(wanted, sizeof(wanted), "\"kind\": \"%s\"", kind);
    FILE *file = fopen(path, "r");
    ck_assert_msg(file != NULL, "cannot open '%s'", path);
    while (fgets(line, LINE_BYTES_MAX, file) != NULL) {
        if (strstr(line, wanted) == NULL) {
            continue;
        }
        count++;
        ck_assert_msg(holds(line) == !flag_of(line, "wantErr"), "%.200s", line);
    }
    ck_assert_int_eq(fclose(file), 0);
    free(line);
    return count;
}

START_TEST(every_published_inclusion_vector_is_answered_right)
{
    ck_assert_uint_eq(run_vectors("inclusion", inclusion_holds), 98);
}
END_TEST

START_TEST(every_published_consistency_vector_is_answered_right)
{
    ck_assert_uint_eq(run_vectors("consistency", consistency_holds), 98);
}
END_TEST

START_TEST(every_published_subtree_inclusion_vector_is_answered_right)
{
    ck_assert_uint_eq(run_vectors("subtreeinclusion", subtree_inclusion_holds), 204);
}
END_TEST

START_TEST(every_published_subtree_consistency_vector_is_answered_right)
{
    ck_assert_uint_eq(run_vectors("subtreeconsistency", subtree_consistency_holds), 118);
}
END_TEST

static void expect_hex(const uint8_t *hash, const char *hex)
{
    char text[2 * MERKLE_HASH_BYTES + 1];
    for (size_t i = 0; i < MERKLE_HASH_BYTES; i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", hash[i]);
    }
    ck_assert_str_eq(text, hex);
}

START_TEST(the_nine_published_roots_come_out)
{
    static const struct bytes leaves[8] = {
        {(const uint8_t *)"", 0},
        {(const uint8_t *)"\x00", 1},
        {(const uint8_t *)"\x10", 1},
        {(const uint8_t *)"\x20\x21", 2},
        {(const uint8_t *)"\x30\x31", 2},
        {(const uint8_t *)"\x40\x41\x42\x43", 4},
        {(const uint8_t *)"\x50\x51\x52\x53\x54\x55\x56\x57", 8},
        {(const uint8_t *)"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f", 16},
    };
    static const char *const roots[9] = {
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    };
    uint8_t hashes[8 * MERKLE_HASH_BYTES];
    for (unsigned i = 0; i < 8; i++) {
        compute_leaf_hash(leaves[i].data, leaves[i].size, hashes + i * MERKLE_HASH_BYTES);
    }
    for (unsigned n = 0; n <= 8; n++) {
        uint8_t root[MERKLE_HASH_BYTES];
        merkle_root_of(hashes, n, root);
        expect_hex(root, roots[n]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("merkle_vectors");
    TCase *tests = tcase_create("vectors");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, every_published_inclusion_vector_is_answered_right);
    tcase_add_test(tests, every_published_consistency_vector_is_answered_right);
    tcase_add_test(tests, every_published_subtree_inclusion_vector_is_answered_right);
    tcase_add_test(tests, every_published_subtree_consistency_vector_is_answered_right);
    tcase_add_test(tests, the_nine_published_roots_come_out);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
