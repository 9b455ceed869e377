/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * AVL trees (Adelson-Velsky and Landis, 1962) whose nodes lie in what they order: no allocation,
 * no recursion; a path is at most 1.44 log2(n) long.
 */
#include "crdt/crdt_internal.h"

static int crdt_tree_height(const struct crdt_node *n)
{
    return n == NULL ? 0 : n->height;
}

static void crdt_tree_measure(struct crdt_node *n)
{
    int left = crdt_tree_height(n->left);
    int right = crdt_tree_height(n->right);
    n->height = 1 + (left > right ? left : right);
}

/* Puts b where a was, under a's parent. */
static void crdt_tree_replace(struct crdt_node **root, struct crdt_node *a, struct crdt_node *b)
{
    struct crdt_node *parent = a->parent;
    if (parent == NULL) {
        *root = b;
    } else if (parent->left == a) {
        parent->left = b;
    } else {
        parent->right = b;
    }
    if (b != NULL) {
        b->parent = parent;
    }
}

/* Raises the left (right) child of n over it. */
static struct crdt_node *crdt_tree_rotate(struct crdt_node **root, struct crdt_node *n,
                                          bool raise_left)
{
    struct crdt_node *up = raise_left ? n->left : n->right;
    struct crdt_node *middle = raise_left ? up->right : up->left;
    crdt_tree_replace(root, n, up);
    if (raise_left) {
        n->left = middle;
        up->right = n;
    } else {
        n->right = middle;
        up->left = n;
    }
    if (middle != NULL) {
        middle->parent = n;
    }
    n->parent = up;
    crdt_tree_measure(n);
    crdt_tree_measure(up);
    return up;
}

static void crdt_tree_balance(struct crdt_node **root, struct crdt_node *n)
{
    for (; n != NULL; n = n->parent) {
        crdt_tree_measure(n);
        int lean = crdt_tree_height(n->left) - crdt_tree_height(n->right);
        if (lean > 1) {
            if (crdt_tree_height(n->left->left) < crdt_tree_height(n->left->right)) {
                (void)crdt_tree_rotate(root, n->left, false);
            }
            n = crdt_tree_rotate(root, n, true);
        } else if (lean < -1) {
            if (crdt_tree_height(n->right->right) < crdt_tree_height(n->right->left)) {
                (void)crdt_tree_rotate(root, n->right, true);
            }
            n = crdt_tree_rotate(root, n, false);
        }
    }
}

struct crdt_node *crdt_tree_find(struct crdt_node *root, const void *sought, crdt_order_fn *order)
{
    while (root != NULL) {
        int side = order(sought, root);
        if (side == 0) {
            return root;
        }
        root = side < 0 ? root->left : root->right;
    }
    return NULL;
}

struct crdt_node *crdt_tree_from(struct crdt_node *root, const void *sought, crdt_order_fn *order)
{
    struct crdt_node *best = NULL;
    while (root != NULL) {
        if (order(sought, root) <= 0) {
            best = root;
            root = root->left;
        } else {
            root = root->right;
        }
    }
    return best;
}

void crdt_tree_insert(struct crdt_node **root, struct crdt_node *n, const void *sought,
                      crdt_order_fn *order)
{
    struct crdt_node *parent = NULL;
    struct crdt_node **link = root;
    while (*link != NULL) {
        int side = order(sought, *link);
        ASSERT(side != 0);
        parent = *link;
        link = side < 0 ? &parent->left : &parent->right;
    }
    *n = (struct crdt_node){.parent = parent, .height = 1};
    *link = n;
    crdt_tree_balance(root, parent);
}

void crdt_tree_remove(struct crdt_node **root, struct crdt_node *n)
{
    struct crdt_node *from = n->parent;
    if (n->left == NULL) {
        crdt_tree_replace(root, n, n->right);
    } else if (n->right == NULL) {
        crdt_tree_replace(root, n, n->left);
    } else {
        struct crdt_node *next = crdt_tree_first(n->right);
        from = next->parent == n ? next : next->parent;
        if (next->parent != n) {
            crdt_tree_replace(root, next, next->right);
            next->right = n->right;
            next->right->parent = next;
        }
        crdt_tree_replace(root, n, next);
        next->left = n->left;
        next->left->parent = next;
    }
    crdt_tree_balance(root, from);
}

struct crdt_node *crdt_tree_first(struct crdt_node *root)
{
    while (root != NULL && root->left != NULL) {
        root = root->left;
    }
    return root;
}

struct crdt_node *crdt_tree_next(struct crdt_node *n)
{
    if (n->right != NULL) {
        return crdt_tree_first(n->right);
    }
    while (n->parent != NULL && n->parent->right == n) {
        n = n->parent;
    }
    return n->parent;
}
