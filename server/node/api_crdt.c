/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * crdt.read and crdt.members. A read goes to one node after another until one has seen what the
 * token names: first this one, if it owns the key, once it has what is wanted or half the budget
 * is over; then the other owners. Each answer says what it has seen, so that nothing older than
 * the token is ever given; if nobody has it, the answer is BEHIND.
 */
#include "server/node/eventual_api_internal.h"
#include "server/node/eventual_once_internal.h"
#include "server/node/eventual_peers_internal.h"

struct ev_read {
    struct node_client client;
    struct node_ev_target target;
    struct node_ev_causal causal;
    struct node_ev_question question;
    struct crdt_context wanted;
    struct crdt_context seen;  /* of the last answer: all of it is in the items */
    struct crdt_context ahead; /* what may be in them besides: other records do not tell it yet */
    struct buf body;
    struct buf items; /* packed */
    uint32_t items_count;
    uint64_t time_us;
    uint64_t deadline_us;
    uint64_t budget_end_us;
    uint32_t nodes[NODE_EV_OWNERS_MAX + 1];
    unsigned nodes_count;
    unsigned at;
    bool owner; /* this node is one: what the token names comes here by itself */
    int last;   /* why the node before did not answer */
};

/* ---- targets -------------------------------------------------------------------------------- */

void node_ev_target_release(struct node_ev_target *t)
{
    buf_release(&t->memory);
}

int node_ev_path_of(struct wire_node list, bool any_type, struct crdt_path *out)
{
    uint32_t count = wire_node_count(list);
    *out = (struct crdt_path){.count = count / 2};
    if (wire_node_kind(list) != WIRE_ARRAY || count % 2 == 0) {
        return ERR_INVALID;
    }
    if (count / 2 > WIRE_CRDT_DEPTH_MAX) {
        return ERR_TOO_LARGE;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint64_t type = 0;
        if (i % 2 == 1) {
            TRY(wire_node_bytes(wire_node_at(list, i), WIRE_CRDT_ELEMENT_BYTES_MAX,
                                &out->names[i / 2]));
            continue;
        }
        TRY(wire_node_u64(wire_node_at(list, i), &type));
        bool last = i + 1 == count;
        if (type > CRDT_TYPES || (type == 0 && !(last && any_type)) ||
            (!last && type != CRDT_MAP)) {
            return ERR_INVALID;
        }
        out->types[i / 2] = (uint8_t)type;
    }
    return 0;
}

static struct bytes ev_target_keep(struct node_ev_target *t, struct bytes v)
{
    size_t at = t->memory.size;
    (void)buf_append(&t->memory, v.data, v.size);
    return bytes_of(t->memory.data + at, v.size);
}

int node_ev_target_of(struct node *n, const struct wire_rpc *req, bool any_type,
                      struct node_ev_target *t)
{
    struct bytes space;
    struct bytes name;
    struct crdt_path path;
    struct bytes element = {0};
    *t = (struct node_ev_target){0};
    buf_init(&t->memory, &n->alloc, 1u << 16);
    TRY(wire_param_bytes(req, 0, WIRE_NAME_BYTES_MAX, &space));
    TRY(wire_param_bytes(req, 1, WIRE_NAME_BYTES_MAX, &name));
    TRY(wire_name_check(space));
    TRY(wire_name_check(name));
    TRY(node_ev_path_of(wire_node_at(req->params, 2), any_type, &path));
    TRY(wire_param_bytes_or_nil(req, 3, NODE_NAME_BYTES_MAX, &t->has_element, &element));
    size_t bytes = 4 + space.size + name.size + element.size;
    for (uint32_t i = 0; i < path.count; i++) {
        bytes += path.names[i].size;
    }
    TRY(buf_reserve(&t->memory, bytes)); /* so that views into it last */
    TRY(node_ev_key(space, name, &t->memory));
    t->key = buf_view(&t->memory);
    t->region = node_ev_region(name);
    t->path = path;
    for (uint32_t i = 0; i < path.count; i++) {
        t->path.names[i] = ev_target_keep(t, path.names[i]);
    }
    t->element = ev_target_keep(t, element);
    return t->memory.err;
}

void node_ev_ask(struct node *n, uint32_t node, uint8_t op, struct bytes body, uint64_t deadline_us,
                 void *ctx, node_done_fn *done)
{
    if (node == n->self) {
        node_query(n, NODE_GROUP_OWN, op, body, true, deadline_us, ctx, done);
        return;
    }
    struct buf *head = &n->scratch;
    ASSERT(body.data != head->data);
    buf_clear(head);
    (void)buf_put_u64(head, deadline_us - NUM_MIN(n->now, deadline_us));
    (void)buf_put_u8(head, op);
    (void)buf_append(head, body.data, body.size);
    n->counters.forwards++;
    node_call(n, node, NODE_CALL_EV_ASK, buf_view(head), NULL, deadline_us, ctx, done);
}

static void ev_ask_served(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct node_request *request = ctx;
    node_answer(n, *request, code, reply, NULL);
    alloc_put(&n->alloc, request, sizeof *request);
}

/* From another node, about what this one has. */
static void ev_ask_serve(struct node *n, struct node_request request, struct bytes body)
{
    struct bytes_reader r = bytes_reader_of(body);
    uint64_t left_us = bytes_take_u64(&r);
    uint8_t op = bytes_take_u8(&r);
    bool known = op == NODE_QUERY_EV_READ || op == NODE_QUERY_EV_NAMES || op == NODE_QUERY_EV_WHO;
    struct node_request *ctx = r.failed || !known ? NULL : alloc_get(&n->alloc, sizeof *ctx);
    if (ctx == NULL) {
        node_answer(n, request, known ? ERR_NO_MEMORY : ERR_INVALID, bytes_of(NULL, 0), NULL);
        return;
    }
    *ctx = request;
    node_query(n, NODE_GROUP_OWN, op, bytes_of(r.at, r.left), true,
               n->now + NUM_MIN(left_us, (uint64_t)600 * 1000000), ctx, ev_ask_served);
}

const struct node_method node_ev_ask_methods[] = {
    {NODE_CALL_EV_ASK, ev_ask_serve},
    {0, NULL},
};

/* ---- answers -------------------------------------------------------------------------------- */

static void ev_read_free(struct node *n, struct ev_read *r)
{
    node_ev_target_release(&r->target);
    node_ev_causal_release(&r->causal);
    crdt_context_release(&r->wanted);
    crdt_context_release(&r->seen);
    crdt_context_release(&r->ahead);
    buf_release(&r->body);
    buf_release(&r->items);
    alloc_put(&n->alloc, r, sizeof *r);
}

static void ev_read_refuse(struct node *n, struct ev_read *r, int code)
{
    node_reply_error(n, r->client, code, NULL);
    ev_read_free(n, r);
}

static void ev_pack_clock(struct buf *out, const struct crdt_context *seen)
{
    (void)wire_pack_text(out, WIRE_FIELD_CLOCK);
    (void)wire_pack_array(out, (uint32_t)seen->count);
    for (size_t i = 0; i < seen->count; i++) {
        (void)wire_pack_array(out, 4);
        (void)wire_pack_u64(out, seen->ranges[i].actor.node);
        (void)wire_pack_u64(out, seen->ranges[i].actor.epoch);
        (void)wire_pack_u64(out, seen->ranges[i].from);
        (void)wire_pack_u64(out, seen->ranges[i].to);
    }
}

static void ev_read_reply(struct node *n, struct ev_read *r)
{
    struct buf *out = &n->scratch;
    bool members = r->question.mode == NODE_EV_MEMBERS;
    buf_clear(out);
    (void)wire_pack_map(out, members ? 7 : 6);
    if (!members) {
        (void)wire_pack_text(out, WIRE_FIELD_ITEMS);
        (void)wire_pack_array(out, r->items_count);
    }
    (void)buf_append(out, r->items.data, r->items.size);
    ev_pack_clock(out, &r->seen);
    (void)wire_pack_text(out, WIRE_FIELD_TIME_US);
    (void)wire_pack_u64(out, r->time_us);
    (void)wire_pack_text(out, WIRE_FIELD_NODE);
    (void)wire_pack_u64(out, r->nodes[r->at]);
    node_ev_token_fold(n, &r->causal.token);
    int err = node_ev_token_add(&r->causal.token, r->target.region, &r->seen);
    err = err != 0 ? err : node_ev_token_add(&r->causal.token, r->target.region, &r->ahead);
    err = err != 0 ? err
                   : node_ev_pack_causal(out, &r->causal.token,
                                         r->causal.session ? WIRE_CONSISTENCY_SESSION
                                                           : WIRE_CONSISTENCY_EVENTUAL);
    if (err != 0 || r->items.err != 0) {
        ev_read_refuse(n, r, err != 0 ? err : r->items.err);
        return;
    }
    node_reply_ok(n, r->client, buf_view(out));
    ev_read_free(n, r);
}

/* ---- one node after another ----------------------------------------------------------------- */

static void ev_read_go(struct node *n, struct ev_read *r);

/* The question was found to be right here: a node that calls it INVALID is of a version that does
 * not know it. */
static void ev_read_next_node(struct node *n, struct ev_read *r, int code)
{
    bool unknown = code == ERR_INVALID && r->nodes[r->at] != n->self;
    r->last = unknown ? ERR_UNAVAILABLE : code;
    r->at++;
    r->question.from_type = 0;
    r->items_count = 0;
    buf_clear(&r->items);
    while (r->at < r->nodes_count && !node_peer_is_up(n, r->nodes[r->at])) {
        r->at++;
    }
    if (r->at < r->nodes_count && n->now < r->deadline_us && !n->closing) {
        ev_read_go(n, r);
        return;
    }
    bool refused = err_outcome_of(r->last) == ERR_OUTCOME_REFUSED;
    ev_read_refuse(n, r, refused || r->wanted.count == 0 ? r->last : ERR_BEHIND);
}

/* Takes the answer of the node asked. returns: 0; *again: a further type is to be asked for. */
static int ev_read_take(struct ev_read *r, struct bytes reply, bool *again)
{
    struct crdt_limits limits = crdt_limits_default();
    struct bytes_reader in = bytes_reader_of(reply);
    uint64_t time_us = bytes_take_u64(&in);
    struct bytes clock = bytes_take_bytes(&in, NODE_REPLY_BYTES_MAX);
    struct bytes ahead = bytes_take_bytes(&in, NODE_REPLY_BYTES_MAX);
    struct alloc alloc = r->seen.alloc;
    crdt_context_release(&r->seen);
    crdt_context_release(&r->ahead);
    crdt_context_init(&r->seen, &alloc);
    crdt_context_init(&r->ahead, &alloc);
    if (in.failed) {
        return ERR_PROTOCOL;
    }
    TRY(crdt_context_decode(&r->seen, clock, &limits));
    TRY(ahead.size > 0 ? crdt_context_decode(&r->ahead, ahead, &limits) : 0);
    if (!crdt_context_leq(&r->wanted, &r->seen)) {
        return ERR_BEHIND;
    }
    r->time_us = time_us;
    *again = false;
    if (r->question.mode != NODE_EV_MEMBERS) {
        uint8_t type = bytes_take_u8(&in);
        uint8_t next = bytes_take_u8(&in);
        r->items_count += type != 0;
        *again = next > r->question.from_type && next <= CRDT_TYPES;
        r->question.from_type = next;
    }
    return in.failed ? ERR_PROTOCOL : buf_append(&r->items, in.at, in.left);
}

static void ev_read_ask(struct node *n, struct ev_read *r);

static void ev_read_answered(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct ev_read *r = ctx;
    bool again = false;
    if (code == 0) {
        code = ev_read_take(r, reply, &again);
    }
    if (code != 0) {
        ev_read_next_node(n, r, code);
    } else if (again) {
        ev_read_ask(n, r);
    } else {
        ev_read_reply(n, r);
    }
}

static void ev_read_ask(struct node *n, struct ev_read *r)
{
    uint32_t node = r->nodes[r->at];
    uint64_t share_us = NUM_MAX(r->causal.budget_us / 2, (uint64_t)20000);
    bool last = r->at + 1 == r->nodes_count;
    uint64_t until_us = last ? r->deadline_us : NUM_MIN(r->deadline_us, n->now + share_us);
    int err = node_ev_read_body(&r->target, &r->question, &r->body);
    if (err != 0) {
        ev_read_refuse(n, r, err);
        return;
    }
    node_ev_ask(n, node, NODE_QUERY_EV_READ, buf_view(&r->body),
                node == n->self ? r->deadline_us : until_us, r, ev_read_answered);
}

static void ev_read_waited(struct node *n, void *ctx, int code, struct bytes reply)
{
    struct ev_read *r = ctx;
    (void)reply;
    if (code == 0) {
        ev_read_ask(n, r);
    } else if (code == ERR_INVALID) { /* the token is not of this cluster as it is now */
        ev_read_refuse(n, r, code);
    } else {
        ev_read_next_node(n, r, code);
    }
}

/* This node first if it owns the key, last if not. */
static void ev_read_nodes(struct node *n, struct ev_read *r)
{
    uint32_t owners[NODE_EV_OWNERS_MAX];
    bool self = false;
    unsigned count = node_ev_owners(n, r->target.region, owners, &self);
    r->owner = self;
    self = self && node_ev_serves(n, r->target.region); /* else others are asked first */
    if (self) {
        r->nodes[r->nodes_count++] = n->self;
    }
    for (unsigned sure = 0; sure < 2; sure++) { /* those that are sure to answer come first */
        for (unsigned i = 0; i < count; i++) {
            bool is_sure = node_peer_sure(n, owners[i]);
            if (owners[i] != n->self && node_peer_is_up(n, owners[i]) && is_sure == (sure == 0)) {
                r->nodes[r->nodes_count++] = owners[i];
            }
        }
    }
    if (!self) {
        r->nodes[r->nodes_count++] = n->self;
    }
}

/* Asks the node whose turn it is. This one waits first for what is wanted: half the budget where
 * others may have it, else all that is left. */
static void ev_read_go(struct node *n, struct ev_read *r)
{
    bool last = r->at + 1 == r->nodes_count;
    bool waits = r->nodes[r->at] == n->self && (r->at == 0 || r->owner);
    uint64_t until_us = r->budget_end_us - (last ? 0 : r->causal.budget_us / 2);
    if (waits && n->now < until_us && !node_ev_causal_met(n, r->target.region, &r->wanted)) {
        node_ev_wait(n, r->target.region, &r->wanted, NUM_MIN(r->deadline_us, until_us), r,
                     ev_read_waited);
        return;
    }
    ev_read_ask(n, r);
}

static void ev_read_start(struct node *n, struct ev_read *r)
{
    r->budget_end_us = n->now + r->causal.budget_us;
    ev_read_nodes(n, r);
    ev_read_go(n, r);
}

/* ---- requests ------------------------------------------------------------------------------- */

static bool ev_is_set(uint8_t type)
{
    return type == CRDT_AW_SET || type == CRDT_RW_SET || type == CRDT_G_SET;
}

static int ev_read_of(struct node *n, const struct wire_rpc *req, struct ev_read *r)
{
    struct wire_options o;
    TRY(wire_options_of(req, &o));
    TRY(node_ev_causal_of(n, &o, &r->causal));
    TRY(node_ev_target_of(n, req, r->question.mode == NODE_EV_VALUE, &r->target));
    TRY(node_ev_causal_context(&r->causal, r->target.region, &r->wanted));
    r->deadline_us = node_options_deadline(n, &o);
    return 0;
}

static struct ev_read *ev_read_new(struct node *n, struct node_client client,
                                   enum node_ev_read_mode mode)
{
    struct ev_read *r = alloc_get_zeroed(&n->alloc, 1, sizeof *r);
    if (r == NULL) {
        node_reply_error(n, client, ERR_NO_MEMORY, NULL);
        return NULL;
    }
    r->client = client;
    r->question.mode = mode;
    crdt_context_init(&r->wanted, &n->alloc);
    crdt_context_init(&r->seen, &n->alloc);
    crdt_context_init(&r->ahead, &n->alloc);
    buf_init(&r->body, &n->alloc, 1u << 17);
    buf_init(&r->items, &n->alloc, 4u << 20);
    buf_init(&r->target.memory, &n->alloc, 1u << 16);
    wire_token_init(&r->causal.token, &n->alloc);
    return r;
}

static void node_crdt_read_serve(struct node *n, struct node_client client,
                                 const struct wire_rpc *req)
{
    struct ev_read *r = ev_read_new(n, client, NODE_EV_VALUE);
    if (r == NULL) {
        return;
    }
    int err = wire_params_check(req, 3, 4);
    err = err != 0 ? err : ev_read_of(n, req, r);
    if (err == 0 && r->target.has_element) {
        r->question.mode = NODE_EV_HAS;
        err = ev_is_set(r->target.path.types[r->target.path.count]) ? 0 : ERR_INVALID;
    }
    if (err != 0) {
        ev_read_refuse(n, r, err);
        return;
    }
    ev_read_start(n, r);
}

static void node_crdt_members_serve(struct node *n, struct node_client client,
                                    const struct wire_rpc *req)
{
    uint64_t limit = 0;
    struct ev_read *r = ev_read_new(n, client, NODE_EV_MEMBERS);
    if (r == NULL) {
        return;
    }
    int err = wire_params_check(req, 5, 5);
    err = err != 0 ? err : wire_param_u64(req, 4, &limit);
    err = err != 0 ? err : ev_read_of(n, req, r);
    if (err == 0) {
        uint8_t type = r->target.path.types[r->target.path.count];
        uint64_t most = NUM_MIN((uint64_t)WIRE_SCAN_ITEMS_MAX, n->options.limits.scan_items);
        r->question.limit = (uint32_t)(limit == 0 ? most : NUM_MIN(limit, most));
        r->question.after = r->target.element;
        err = type == CRDT_MAP || ev_is_set(type) ? 0 : ERR_INVALID;
    }
    if (err != 0) {
        ev_read_refuse(n, r, err);
        return;
    }
    ev_read_start(n, r);
}

/* ---- operations ------------------------------------------------------------------------------ */

static int node_ev_value_check(const struct node_ev_op *op)
{
    uint8_t type = op->path.types[op->path.count];
    switch (type) {
    case CRDT_AW_SET:
    case CRDT_RW_SET:
    case CRDT_G_SET:
        if (op->op.value.size == 0) {
            return ERR_INVALID;
        }
        return op->op.value.size > WIRE_CRDT_ELEMENT_BYTES_MAX ? ERR_TOO_LARGE : 0;
    case CRDT_MAP: return op->op.value.size > WIRE_CRDT_ELEMENT_BYTES_MAX ? ERR_TOO_LARGE : 0;
    default: return op->op.value.size > WIRE_CRDT_VALUE_BYTES_MAX ? ERR_TOO_LARGE : 0;
    }
}

enum { EV_OP_NAME, EV_OP_PATH, EV_OP_VERB, EV_OP_AMOUNT, EV_OP_VALUE, EV_OP_TO, EV_OP_FIELDS };
#define EV_FIELD(text)                                            \
    {                                                             \
        .data = (const uint8_t *)(text), .size = sizeof(text) - 1 \
    }
static const struct bytes ev_op_fields[EV_OP_FIELDS] = {
    [EV_OP_NAME] = EV_FIELD(WIRE_FIELD_NAME),   [EV_OP_PATH] = EV_FIELD(WIRE_FIELD_PATH),
    [EV_OP_VERB] = EV_FIELD(WIRE_FIELD_VERB),   [EV_OP_AMOUNT] = EV_FIELD(WIRE_FIELD_AMOUNT),
    [EV_OP_VALUE] = EV_FIELD(WIRE_FIELD_VALUE), [EV_OP_TO] = EV_FIELD(WIRE_FIELD_TO),
};

int node_ev_op_of(struct wire_node item, struct node_ev_op *op, bool *create)
{
    uint64_t verb = 0;
    struct wire_node fields[EV_OP_FIELDS];
    TRY(wire_node_check_map(item, WIRE_OPTIONS_MAX));
    wire_node_pick(item, ev_op_fields, EV_OP_FIELDS, fields);
    struct wire_node amount = fields[EV_OP_AMOUNT];
    struct wire_node value = fields[EV_OP_VALUE];
    struct wire_node to = fields[EV_OP_TO];
    TRY(wire_node_bytes(fields[EV_OP_NAME], WIRE_NAME_BYTES_MAX, &op->name));
    TRY(wire_name_check(op->name));
    TRY(node_ev_path_of(fields[EV_OP_PATH], false, &op->path));
    TRY(wire_node_u64(fields[EV_OP_VERB], &verb));
    *create = verb == WIRE_CRDT_CREATE && op->path.types[op->path.count] == CRDT_BOUNDED;
    if (verb == 0 || (verb > CRDT_TRANSFER && !*create)) {
        return ERR_INVALID;
    }
    op->op.verb = *create ? CRDT_GRANT : (enum crdt_verb)verb;
    TRY(wire_node_is_nil(to) ? 0 : wire_node_u32(to, &op->op.to.node));
    TRY(wire_node_is_nil(amount) ? 0 : wire_node_i64(amount, &op->op.amount));
    TRY(wire_node_is_nil(value) ? 0
                                : wire_node_bytes(value, WIRE_CRDT_VALUE_BYTES_MAX, &op->op.value));
    if ((*create && op->op.amount <= 0) || (op->op.verb == CRDT_TRANSFER && op->op.to.node == 0)) {
        return ERR_INVALID;
    }
    return node_ev_value_check(op);
}

/* ---- methods --------------------------------------------------------------------------------- */

const struct node_api node_ev_api[] = {
    {WIRE_METHOD_CRDT_UPDATE, node_crdt_update_serve},
    {WIRE_METHOD_CRDT_ONCE, node_crdt_once_serve},
    {WIRE_METHOD_CRDT_READ, node_crdt_read_serve},
    {WIRE_METHOD_CRDT_MEMBERS, node_crdt_members_serve},
    {NULL, NULL},
};
