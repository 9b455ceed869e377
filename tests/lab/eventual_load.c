/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * eventual_load --dir LAB --tool tests/lab/lab [--rounds N] [--seed S] [--history FILE]
 *               [--hold-ms MS] [--bound-ms MS]
 *
 * Eventual mode on five real processes: three clients on each host count, add and remove, write
 * and read, while the network is cut in two, nodes are killed and started again, or stopped for a
 * while. In every fault each client that still hears a living node has to get a write through, and
 * soon: only writes that were on their way to a node that is gone may take their whole time. When
 * it is over, the clients rest, and all nodes have to hold the same within five seconds, by the
 * hash of their regions; how long it took is printed. At the end every value is compared with the
 * history (eventual_check.c).
 *
 * The seed draws the schedule, printed first, and what clients do. Scenarios C26, C27, C48.
 */
#include "base/err.h"
#include "base/num.h"
#include "tests/lab/eventual.h"
#include "wire/api.h"
#include "wire/value.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>

#define EV_BOUND_NS (UINT64_C(60) * 1000000000u) /* for states that have no bound of their own */
#define EV_ROUNDS_MAX 1000u

/* ---- the schedule ---------------------------------------------------------------------------- */

/* A cut, with a kill or a pause within; or these without a cut. */
struct ev_round {
    unsigned side; /* bits of the hosts on one side; 0: no cut */
    unsigned kill; /* host, or 0 */
    unsigned pause;
    unsigned loss; /* percent, of all packets */
};

static unsigned ev_bits(unsigned mask)
{
    unsigned count = 0;
    for (unsigned host = 1; host <= EV_HOSTS; host++) {
        count += mask >> host & 1u;
    }
    return count;
}

static unsigned ev_side(struct rng *rng, unsigned hosts)
{
    unsigned side = 0;
    while (ev_bits(side) < hosts) {
        side |= 1u << rng_between(rng, 1, EV_HOSTS);
    }
    return side;
}

/* Somebody whose side has others that live. */
static unsigned ev_victim(struct rng *rng, unsigned side)
{
    for (;;) {
        unsigned host = (unsigned)rng_between(rng, 1, EV_HOSTS);
        unsigned others = (side >> host & 1u) != 0 ? ev_bits(side) : EV_HOSTS - ev_bits(side);
        if (others >= 2) {
            return host;
        }
    }
}

/* The first four are the kinds; then they mix. */
static void ev_draw(struct rng *rng, unsigned number, struct ev_round *r)
{
    unsigned kind = number < 4 ? number : (unsigned)rng_below(rng, 6);
    *r = (struct ev_round){0};
    switch (kind) {
    case 0: r->side = ev_side(rng, 2); break;
    case 1:
        r->side = ev_side(rng, 2);
        r->kill = ev_victim(rng, r->side);
        break;
    case 2:
        r->kill = (unsigned)rng_between(rng, 1, EV_HOSTS);
        r->pause = r->kill % EV_HOSTS + 1;
        break;
    case 3:
        r->side = ev_side(rng, (unsigned)rng_between(rng, 1, 4));
        r->pause = ev_victim(rng, r->side);
        break;
    case 4:
        r->side = ev_side(rng, (unsigned)rng_between(rng, 1, 4));
        r->loss = 10;
        break;
    default: r->side = ev_side(rng, (unsigned)rng_between(rng, 1, 4)); break;
    }
}

static void ev_hosts(unsigned mask, char out[32])
{
    size_t at = 0;
    for (unsigned host = 1; host <= EV_HOSTS; host++) {
        if ((mask >> host & 1u) != 0) {
            at += (size_t)snprintf(out + at, 32 - at, "%s%u", at > 0 ? "," : "", host);
        }
    }
}

static unsigned ev_rest(unsigned mask)
{
    return ~mask & ((1u << (EV_HOSTS + 1)) - 2u);
}

static void ev_describe(const struct ev_round *r, char *out, size_t bytes)
{
    char a[32] = "";
    char b[32] = "";
    char cut[96] = "";
    char more[96] = "";
    ev_hosts(r->side, a);
    ev_hosts(ev_rest(r->side), b);
    if (r->side != 0) {
        (void)snprintf(cut, sizeof(cut), "partition %s | %s, ", a, b);
    }
    if (r->loss != 0) {
        (void)snprintf(more, sizeof(more), "lose %u %%, ", r->loss);
    }
    (void)snprintf(out, bytes, "%s%skill %u, pause %u", cut, more, r->kill, r->pause);
}

/* ---- the lab --------------------------------------------------------------------------------- */

static bool ev_lab(const struct ev_load *l, const char *format, ...)
{
    char verb[128];
    char command[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(verb, sizeof(verb), format, args);
    va_end(args);
    (void)snprintf(command, sizeof(command), "%s %s %s", l->tool, l->dir, verb);
    int status = system(command);
    bool ok = status >= 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!ok) {
        (void)printf("'%s' failed\n", command);
    }
    return ok;
}

/* What a node says of its regions. */
struct ev_state {
    uint64_t epoch; /* 0: it makes no dots yet, and passes writes on */
    uint64_t hash;
    uint64_t regions;
    uint64_t restored; /* records that it got although it had seen what made them */
};

/* returns: whether it answered. */
static bool ev_ask_state(unsigned host, struct ev_state *out)
{
    static const struct wire_scan_limits limits = {
        .bytes_max = 1u << 20, .items_max = 1u << 16, .depth_max = WIRE_DEPTH_MAX};
    struct hf_client *client = ev_connect(host);
    struct alloc heap = alloc_heap();
    struct wire_decoder *decoder = NULL;
    struct hf_answer answer = {0};
    struct wire_node root;
    char endpoint[64];
    (void)snprintf(endpoint, sizeof(endpoint), "10.77.0.%u:7701", host);
    int err = hf_ask(client, WIRE_METHOD_CRDT_STATUS, endpoint, &answer, hf_answer_done);
    err = err == 0 ? hf_wait(client, &answer) : err;
    err = err == 0 ? wire_decoder_new(&heap, &limits, &decoder) : err;
    if (err == 0) {
        const struct hf_bytes *value = &answer.result.value;
        err = wire_decode(decoder, bytes_of(value->data, value->size), &root);
        err = err == 0 ? wire_node_u64(wire_node_find(root, "epoch"), &out->epoch) : err;
        err = err == 0 ? wire_node_u64(wire_node_find(root, "hash"), &out->hash) : err;
        err = err == 0 ? wire_node_u64(wire_node_find(root, "regions"), &out->regions) : err;
        err = err == 0 ? wire_node_u64(wire_node_find(root, "restored"), &out->restored) : err;
        wire_decoder_free(decoder);
    }
    hf_answer_release(&answer);
    hf_client_free(client);
    return err == 0;
}

/* Whether all nodes hold the same, and something, and take writes themselves: who starts in a
 * minority does not (docs/adr/0009), so no fault may begin before a start has got its epochs. */
static bool ev_same(struct ev_state states[EV_HOSTS])
{
    bool same = true;
    for (unsigned host = 1; host <= EV_HOSTS; host++) {
        struct ev_state *at = &states[host - 1];
        *at = (struct ev_state){.hash = 0}; /* no answer */
        same = ev_ask_state(host, at) && at->epoch > 0 && at->regions > 0 && same &&
               at->hash == states[0].hash;
    }
    return same;
}

/* Waits until every node makes dots: the cluster has only just been founded. */
static bool ev_all_act(void)
{
    uint64_t until = ev_now_ns() + EV_BOUND_NS;
    for (unsigned host = 1; host <= EV_HOSTS; host++) {
        struct ev_state state = {0};
        while (!ev_ask_state(host, &state) || state.epoch == 0) {
            if (ev_now_ns() > until) {
                (void)printf("node %u takes no writes\n", host);
                return false;
            }
            ev_pause_ms(10);
        }
    }
    return true;
}

/* ---- clients --------------------------------------------------------------------------------- */

static void ev_set_phase(struct ev_load *l, enum ev_phase phase, bool cut)
{
    (void)pthread_mutex_lock(&l->lock);
    l->phase = phase;
    l->cut = cut;
    (void)pthread_mutex_unlock(&l->lock);
}

static bool ev_all_held(struct ev_load *l)
{
    bool held = true;
    (void)pthread_mutex_lock(&l->lock);
    for (unsigned i = 0; i < EV_CLIENTS; i++) {
        held = held && l->clients[i].held;
    }
    (void)pthread_mutex_unlock(&l->lock);
    return held;
}

/* Waits until each client has written: one write that began after `since` went well. */
static bool ev_all_wrote(struct ev_load *l, uint64_t since_ns, const char *when)
{
    uint64_t until = ev_now_ns() + EV_BOUND_NS;
    for (;;) {
        unsigned missing = 0;
        unsigned who = 0;
        (void)pthread_mutex_lock(&l->lock);
        for (unsigned i = 0; i < EV_CLIENTS; i++) {
            bool wrote = l->clients[i].wrote_ns > since_ns;
            missing += !wrote;
            who = wrote ? who : i;
        }
        (void)pthread_mutex_unlock(&l->lock);
        if (missing == 0) {
            return true;
        }
        if (ev_now_ns() > until) {
            (void)printf("%s: %u clients got no write through, client %u on host %u is one\n", when,
                         missing, who, l->clients[who].host);
            return false;
        }
        ev_pause_ms(10);
    }
}

/* ---- rounds ---------------------------------------------------------------------------------- */

static bool ev_break(struct ev_load *l, const struct ev_round *r)
{
    char a[32] = "";
    char b[32] = "";
    bool ok = true;
    ev_hosts(r->side, a);
    ev_hosts(ev_rest(r->side), b);
    ok = r->loss == 0 || ev_lab(l, "rule all all loss=%u%% delay=2ms jitter=2ms", r->loss);
    ok = ok && (r->side == 0 || ev_lab(l, "partition %s %s", a, b));
    ok = ok && (r->kill == 0 || ev_lab(l, "kill %u", r->kill));
    return ok && (r->pause == 0 || ev_lab(l, "pause %u", r->pause));
}

/* The killed one starts again, the stopped one goes on, then the network is whole. */
static bool ev_mend(struct ev_load *l, const struct ev_round *r, uint64_t *healed_ns)
{
    uint64_t until = ev_now_ns() + EV_BOUND_NS;
    struct ev_state state;
    bool ok = (r->kill == 0 || ev_lab(l, "start %u", r->kill));
    ok = ok && (r->pause == 0 || ev_lab(l, "resume %u", r->pause));
    while (ok && r->kill != 0 && !ev_ask_state(r->kill, &state)) {
        ok = ev_now_ns() < until;
    }
    ev_set_phase(l, EV_HOLD, false);
    *healed_ns = ev_now_ns();
    return ok && ev_lab(l, "heal");
}

/* Who differs, when it takes long. */
static void ev_tell(uint64_t healed_ns, const struct ev_state states[EV_HOSTS])
{
    (void)printf("  after %" PRIu64 " ms:", (ev_now_ns() - healed_ns) / 1000000);
    for (unsigned host = 1; host <= EV_HOSTS; host++) {
        (void)printf(" %u=%016" PRIx64 " (epoch %" PRIu64 ", %" PRIu64 " restored)", host,
                     states[host - 1].hash, states[host - 1].epoch, states[host - 1].restored);
    }
    (void)printf("\n");
}

static bool ev_converge(struct ev_load *l, uint64_t healed_ns)
{
    struct ev_state states[EV_HOSTS];
    uint64_t restored = 0;
    uint64_t until = ev_now_ns() + EV_BOUND_NS;
    while (!ev_all_held(l)) {
        ev_pause_ms(1);
    }
    uint64_t rest_ms = (ev_now_ns() - healed_ns) / 1000000;
    bool same = false;
    uint64_t tell_ns = healed_ns + l->bound_ms * 500000;
    while (!same && ev_now_ns() < until) {
        same = ev_same(states);
        if (!same && ev_now_ns() > tell_ns) {
            tell_ns = ev_now_ns() + 1000000000u;
            ev_tell(healed_ns, states);
        }
    }
    uint64_t took_ms = (ev_now_ns() - healed_ns) / 1000000;
    (void)printf("  all nodes hold %s %" PRIu64 " ms after (the last client rested after %" PRIu64
                 " ms): %016" PRIx64 "\n",
                 same ? "the same" : "DIFFERENT states", took_ms, rest_ms, states[0].hash);
    for (unsigned host = 0; host < EV_HOSTS; host++) {
        restored += states[host].restored;
    }
    if (restored > 0) {
        (void)printf("  %" PRIu64 " records were restored, and no disk is damaged\n", restored);
    }
    if (took_ms > l->bound_ms) {
        (void)printf("  more than %" PRIu64 " ms\n", l->bound_ms);
    }
    return same && took_ms <= l->bound_ms;
}

static bool ev_round(struct ev_load *l, unsigned number, const struct ev_round *r)
{
    char text[256];
    uint64_t began_ns = ev_now_ns();
    uint64_t healed_ns = 0;
    ev_describe(r, text, sizeof(text));
    (void)printf("%6.1f s  round %u: %s\n", (double)(began_ns - l->from_ns) / 1e9, number, text);
    (void)pthread_mutex_lock(&l->lock);
    l->generation++;
    (void)pthread_mutex_unlock(&l->lock);
    ev_set_phase(l, EV_RUN, false);
    bool ok = ev_all_wrote(l, began_ns, "before the fault") && ev_break(l, r);
    uint64_t broken_ns = ev_now_ns();
    ev_set_phase(l, EV_RUN, r->side != 0);
    ok = ok && ev_all_wrote(l, broken_ns, "in the fault");
    uint64_t wrote_ns = ev_now_ns();
    while (ok && ev_now_ns() - broken_ns < l->hold_ms * 1000000) {
        ev_pause_ms(10);
    }
    ok = ok && ev_all_wrote(l, NUM_MAX(wrote_ns, ev_now_ns() - 1000000), "late in the fault");
    (void)printf("  every client wrote in it, the last of them after %" PRIu64 " ms\n",
                 (wrote_ns - broken_ns) / 1000000);
    ok = ev_mend(l, r, &healed_ns) && ok;
    ok = ev_converge(l, healed_ns) && ok;
    (void)fflush(stdout);
    return ok;
}

/* ---- all ------------------------------------------------------------------------------------- */

/* returns: whether nobody was kept from writing for long. */
static bool ev_report(const struct ev_load *l)
{
    uint64_t ops = 0;
    bool ok = true;
    (void)printf("client host session  operations refused unknown behind  longest time without a "
                 "write, ms; in a cut; not counting unknown ones\n");
    for (unsigned i = 0; i < EV_CLIENTS; i++) {
        const struct ev_client *c = &l->clients[i];
        ops += c->count;
        ok = ok && c->stall_ns <= EV_STALL_MS * UINT64_C(1000000);
        (void)printf("%6u %4u %7s %11u %7u %7u %6u %13" PRIu64 "; %" PRIu64 "; %" PRIu64 "\n", i,
                     c->host, c->session ? "yes" : "no", c->count, c->refused, c->unknown,
                     c->behind, c->gap_ns / 1000000, c->gap_cut_ns / 1000000,
                     c->stall_ns / 1000000);
    }
    (void)printf("operations: %" PRIu64 "\n", ops);
    if (!ok) {
        (void)printf("more than %u ms without a write, although a node could be reached\n",
                     EV_STALL_MS);
    }
    return ok;
}

static void ev_start(struct ev_load *l)
{
    for (unsigned i = 0; i < EV_CLIENTS; i++) {
        struct ev_client *c = &l->clients[i];
        *c = (struct ev_client){.l = l,
                                .number = i,
                                .host = i / EV_EACH + 1,
                                .session = i % EV_EACH != 0,
                                .held = true};
        rng_init(&c->rng, l->seed * 64 + i);
        c->ops = calloc(EV_OPS_MAX, sizeof(*c->ops));
        c->covers = c->session ? calloc(EV_OPS_MAX, sizeof(*c->covers)) : NULL;
        ASSERT(c->ops != NULL && (c->covers != NULL || !c->session));
        ASSERT(pthread_create(&c->thread, NULL, ev_work, c) == 0);
    }
}

static void ev_stop(struct ev_load *l)
{
    ev_set_phase(l, EV_STOP, false);
    for (unsigned i = 0; i < EV_CLIENTS; i++) {
        (void)pthread_join(l->clients[i].thread, NULL);
    }
}

static void ev_release(struct ev_load *l)
{
    for (unsigned i = 0; i < EV_CLIENTS; i++) {
        free(l->clients[i].ops);
        free(l->clients[i].covers);
        free(l->clients[i].token);
    }
}

static bool ev_run(struct ev_load *l)
{
    static struct ev_round rounds[EV_ROUNDS_MAX];
    struct rng rng;
    char text[256];
    bool ok = true;
    rng_init(&rng, l->seed);
    for (unsigned i = 0; i < l->rounds; i++) {
        ev_draw(&rng, i, &rounds[i]);
        ev_describe(&rounds[i], text, sizeof(text));
        (void)printf("schedule, round %u: %s\n", i + 1, text);
    }
    l->phase = EV_HOLD;
    l->from_ns = ev_now_ns();
    if (!ev_enter(l, 0)) {
        (void)printf("cannot enter the network of host 0 of lab '%s'\n", l->tag);
        return false;
    }
    ok = ev_all_act();
    ev_start(l);
    for (unsigned i = 0; i < l->rounds && ok; i++) {
        ok = ev_round(l, i + 1, &rounds[i]);
    }
    ev_stop(l);
    ok = ev_report(l) && ok;
    ok = ev_check(l) && ok && !l->bad;
    if (l->history != NULL) {
        FILE *to = fopen(l->history, "w");
        ASSERT(to != NULL && ev_history(l, to) && fclose(to) == 0);
    }
    ev_release(l);
    return ok;
}

/* The lab's tag: the first word of DIR/lab. */
static bool ev_tag(const char *dir, char out[32])
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/lab", dir);
    FILE *from = fopen(path, "r");
    bool ok = from != NULL && fgets(out, 32, from) != NULL;
    if (from != NULL) {
        (void)fclose(from);
    }
    if (ok) {
        out[strcspn(out, " \n")] = '\0';
    }
    return ok;
}

int main(int argc, char **argv)
{
    static struct ev_load l = {.seed = 1, .rounds = 4, .hold_ms = 3000, .bound_ms = 5000};
    char tag[32] = "";
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--dir") == 0) {
            l.dir = argv[i + 1];
        } else if (strcmp(argv[i], "--tool") == 0) {
            l.tool = argv[i + 1];
        } else if (strcmp(argv[i], "--history") == 0) {
            l.history = argv[i + 1];
        } else if (strcmp(argv[i], "--rounds") == 0) {
            l.rounds = (unsigned)strtoul(argv[i + 1], NULL, 10);
        } else if (strcmp(argv[i], "--seed") == 0) {
            l.seed = strtoull(argv[i + 1], NULL, 10);
        } else if (strcmp(argv[i], "--hold-ms") == 0) {
            l.hold_ms = strtoull(argv[i + 1], NULL, 10);
        } else if (strcmp(argv[i], "--bound-ms") == 0) {
            l.bound_ms = strtoull(argv[i + 1], NULL, 10);
        }
    }
    if (l.dir == NULL || l.tool == NULL || l.rounds > EV_ROUNDS_MAX || !ev_tag(l.dir, tag)) {
        (void)fprintf(stderr, "usage: eventual_load --dir LAB --tool LAB-TOOL [--rounds N] "
                              "[--seed S] [--history FILE] [--hold-ms MS] [--bound-ms MS]\n");
        return 2;
    }
    l.tag = tag;
    (void)signal(SIGPIPE, SIG_IGN);
    (void)pthread_mutex_init(&l.lock, NULL);
    (void)printf("eventual_load: seed %" PRIu64 ", %u rounds\n", l.seed, l.rounds);
    bool ok = ev_run(&l);
    (void)printf("eventual_load: %s\n", ok ? "ok" : "FAILED");
    return ok ? 0 : 1;
}
