/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Cuts: which members are faulty together (Suresh et al., "Stable and Consistent Membership at
 * Scale with Rapid", ATC 2018). Each member has K observers, one on each ring, drawn by hash from
 * the roster. Whatever holds a member faulty makes its observers ask it once a probe interval for a
 * window; an observer that misses too many answers alerts everyone. A cut is given when some member
 * has at least H alerts and none is between L and H, so that all nodes give the same one: who
 * suspects others wrongly, by its own fault, is alone with it and stays below L. Alerts outlive
 * what they tell of, a partition that has healed for one: who lives as far as this node knows is
 * cut only after its observers had time for a quick look, by which they take back what is over.
 */
#include "gossip/gossip_internal.h"

#define CUT_MISSING_PERCENT 40u /* of a window's answers */
#define CUT_LOSS_PERCENT 30u    /* and so much above what this node loses with anybody */
#define CUT_LOSS_OWN 13107u     /* of 65,536: who loses so much with anybody calls no observers */
#define CUT_SAMPLES_LEAST 8u    /* probes from which the own loss is known well enough to judge */
#define CUT_SETTLE_US 2000000u  /* no alert changed for so long */
#define CUT_WINDOWS_KEPT 6u     /* an alert not renewed for so many windows is over */
#define CUT_QUICK 10u           /* questions of a quick look, four in a probe interval */
#define CUT_QUICK_WELL 7u       /* answers to them that take an alert back */
#define CUT_LOOK_US 3000000u    /* for a quick look, and for all to hear of it */

uint32_t gossip_cut_rings(const struct gossip *g)
{
    uint32_t rings = NUM_MIN(g->rules.cut_observers, GOSSIP_RINGS_MAX);
    return g->roster_count < 2 ? 0 : NUM_MIN(rings, g->roster_count - 1);
}

static bool cut_on(const struct gossip *g)
{
    return g->rules.cuts && g->roster_count >= g->rules.cut_from;
}

/* H or L of K, for as many rings as there are. */
static uint32_t cut_scaled(const struct gossip *g, uint32_t of_all)
{
    uint32_t all = NUM_MAX(NUM_MIN(g->rules.cut_observers, GOSSIP_RINGS_MAX), 1u);
    return NUM_MAX((uint32_t)num_div_up((uint64_t)of_all * gossip_cut_rings(g), all), 1u);
}

/* returns: how many; distinct members, none the subject. */
static uint32_t cut_observers(const struct gossip *g, uint32_t subject, uint32_t *out)
{
    uint32_t rings = gossip_cut_rings(g);
    for (uint32_t ring = 0; ring < rings; ring++) {
        uint64_t h = hash_mix(hash_mix(subject) + ring);
        uint32_t place = (uint32_t)(h % g->count);
        bool used = true;
        for (uint32_t steps = 0; used && steps < g->count; steps++) {
            const struct gossip_entry *e = &g->entries[place];
            used = e->id == subject || e->state == GOSSIP_REMOVED;
            for (uint32_t i = 0; i < ring; i++) {
                used = used || out[i] == e->id;
            }
            out[ring] = e->id;
            place = (place + 1) % g->count;
        }
        out[ring] = used ? 0 : out[ring];
    }
    return rings;
}

uint32_t gossip_cut_observer(const struct gossip *g, uint32_t subject, uint32_t ring)
{
    uint32_t observers[GOSSIP_RINGS_MAX];
    return ring < cut_observers(g, subject, observers) ? observers[ring] : 0;
}

/* ---- watching ------------------------------------------------------------------------------- */

/* The first look is a whole probe, by relays and stream too: observers confirm a suspicion. */
static void watch_start(struct gossip *g, struct gossip_entry *e, uint16_t rings)
{
    uint32_t subject = e->id;
    for (uint32_t i = 0; i < g->watch_count; i++) {
        if (g->watches[i].subject == subject) {
            return;
        }
    }
    if (g->watch_count == GOSSIP_WATCHES_MAX) {
        return;
    }
    g->watches[g->watch_count++] = (struct gossip_watch){.subject = subject,
                                                         .rings = rings,
                                                         .epoch = e->epoch,
                                                         .start_us = g->now_us,
                                                         .next_us = g->now_us};
    g->watch_us = NUM_MIN(g->watch_us, g->now_us);
    if (g->demand_on && e->state != GOSSIP_DEAD) {
        gossip_probe_start(g, e, false);
    }
}

void gossip_cut_doubt(struct gossip *g, struct gossip_entry *e)
{
    if (!cut_on(g) || e == gossip_self(g)) {
        return;
    }
    uint32_t observers[GOSSIP_RINGS_MAX];
    uint32_t count = cut_observers(g, e->id, observers);
    unsigned rings = 0;
    for (uint32_t ring = 0; ring < count; ring++) {
        rings |= observers[ring] == g->options.self ? 1u << ring : 0;
    }
    if (rings != 0) {
        watch_start(g, e, (uint16_t)rings);
    }
}

void gossip_cut_call(struct gossip *g, struct gossip_entry *e)
{
    if (!cut_on(g) || g->direct_loss > CUT_LOSS_OWN || !gossip_health_may_declare(g)) {
        return; /* the fault is likely this node's */
    }
    gossip_cut_doubt(g, e);
    uint32_t observers[GOSSIP_RINGS_MAX];
    uint32_t count = cut_observers(g, e->id, observers);
    for (uint32_t ring = 0; ring < count; ring++) {
        if (observers[ring] == 0 || observers[ring] == g->options.self) {
            continue;
        }
        struct gossip_out *o =
            gossip_out_add(g, observers[ring], GOSSIP_TYPE_WATCH, GOSSIP_DATAGRAM);
        if (o != NULL) {
            o->target = e->id;
        }
    }
}

bool gossip_cut_ack(struct gossip *g, uint32_t sender, uint32_t seq)
{
    for (uint32_t i = 0; i < g->watch_count; i++) {
        struct gossip_watch *w = &g->watches[i];
        if (w->subject == sender && w->seq == seq && w->waits) {
            struct gossip_entry *e = gossip_entry_of(g, sender);
            w->waits = false;
            if (w->quick) {
                w->quick_answered++;
            } else {
                w->answered++;
            }
            g->answered_us = g->now_us;
            if (e != NULL) {
                gossip_probe_answered(g, e);
            }
            return true;
        }
    }
    return false;
}

static struct gossip_report *report_of(struct gossip *g, uint32_t subject)
{
    for (uint32_t i = 0; i < GOSSIP_REPORTS_MAX && g->report_count > 0; i++) {
        if (g->reports[i].subject == subject) {
            return &g->reports[i];
        }
    }
    return NULL;
}

void gossip_cut_refuted(struct gossip *g, struct gossip_entry *e)
{
    struct gossip_report *report = report_of(g, e->id);
    if (report != NULL && g->now_us - report->called_us >= g->rules.cut_window_us) {
        report->called_us = g->now_us;
        gossip_cut_call(g, e);
    }
}

void gossip_cut_release(struct gossip *g, struct gossip_entry *e)
{
    if ((e->flags & GOSSIP_FLAG_CUT) != 0) {
        gossip_members_unhash(g, e);
        e->flags &= (uint8_t)~GOSSIP_FLAG_CUT;
        gossip_members_hash(g, e);
    }
}

/* Dead for all, so that views are equal while it goes on to refute what only some hold. */
static void cut_hold(struct gossip *g, struct gossip_entry *e)
{
    gossip_suspicion_end(g, e);
    gossip_members_unhash(g, e);
    e->flags |= GOSSIP_FLAG_CUT;
    gossip_members_hash(g, e);
    gossip_record_state(g, e, GOSSIP_DEAD);
    if (e->rumor != 0) {
        gossip_rumors_drop(g, e->rumor); /* all hear the alerts */
    }
}

static void report_drop(struct gossip *g, struct gossip_report *report)
{
    for (unsigned ring = 0; ring < GOSSIP_RINGS_MAX; ring++) {
        if (report->rumors[ring] != 0) {
            gossip_rumors_drop(g, report->rumors[ring]);
        }
    }
    struct gossip_entry *e = gossip_entry_of(g, report->subject);
    if (e != NULL && report->cut) {
        gossip_cut_release(g, e);
    }
    *report = (struct gossip_report){.subject = 0};
    g->report_count--;
}

static struct gossip_report *report_new(struct gossip *g, const struct gossip_entry *e)
{
    for (uint32_t i = 0; i < GOSSIP_REPORTS_MAX; i++) {
        if (g->reports[i].subject == 0) {
            g->reports[i] = (struct gossip_report){.subject = e->id,
                                                   .epoch = e->epoch,
                                                   .since_ms = gossip_ms(g),
                                                   .changed_us = g->now_us};
            g->report_count++;
            return &g->reports[i];
        }
    }
    g->counters.queue_dropped++;
    return NULL;
}

/* The word of one observer: newer rounds replace older. */
static void report_word(struct gossip *g, const struct gossip_entry *e, unsigned ring,
                        uint32_t round, bool bad)
{
    struct gossip_report *report = report_of(g, e->id);
    if (report != NULL && report->epoch != e->epoch) {
        report_drop(g, report);
        report = NULL;
    }
    if (report == NULL && bad) {
        report = report_new(g, e);
    }
    if (report == NULL || round <= report->rounds[ring]) {
        return;
    }
    unsigned bit = 1u << ring;
    unsigned mask = bad ? report->bad | bit : report->bad & ~bit;
    bool changed = mask != report->bad;
    report->bad = (uint16_t)mask;
    report->rounds[ring] = round;
    report->changed_us = changed || bad ? g->now_us : report->changed_us;
    gossip_rumors_alert(g, report, (uint8_t)ring);
    if (changed) {
        g->cut_us = g->now_us + CUT_SETTLE_US;
    }
}

/* An alert that stands is told again soon, for who missed it, and then ever less often, so that it
 * just does not grow old: each telling is a rumor to everybody, and a member that is starved for
 * long is judged faulty every few seconds.
 * returns: whether this node's own alert on this ring is young enough. */
static bool watch_told(const struct gossip *g, const struct gossip_report *report, unsigned ring)
{
    if (report == NULL || (report->bad & (1u << ring)) == 0) {
        return false;
    }
    uint64_t most_ms = CUT_WINDOWS_KEPT * g->rules.cut_window_us / 2000u;
    uint32_t now_ms = gossip_ms(g);
    most_ms = NUM_MIN(most_ms, (now_ms - report->since_ms) / 2u);
    return now_ms - report->rounds[ring] < most_ms;
}

/* last: of this watch; the others' last alerts begin the next one. */
static void watch_verdict(struct gossip *g, struct gossip_watch *w, bool bad, bool last)
{
    const struct gossip_entry *e = gossip_entry_of(g, w->subject);
    bool early = g->direct_count < CUT_SAMPLES_LEAST;
    if (e == NULL || (bad && (early || g->direct_loss > 32768u))) {
        return;
    }
    const struct gossip_report *report = report_of(g, w->subject);
    for (unsigned ring = 0; ring < GOSSIP_RINGS_MAX; ring++) {
        bool told = bad && !last && watch_told(g, report, ring);
        if ((w->rings & (1u << ring)) != 0 && !told) {
            report_word(g, e, ring, gossip_ms(g), bad);
        }
    }
}

/* returns: whether the window is judged; a verdict that the rest cannot change comes early. */
static bool watch_judged(const struct gossip *g, const struct gossip_watch *w, bool *bad)
{
    uint64_t whole = NUM_MAX(g->rules.cut_window_us / g->rules.probe_interval_us, 5u);
    uint64_t own_loss = ((uint64_t)gossip_health_direct_loss(g) * 100u) >> 16;
    uint64_t most = NUM_MIN(NUM_MAX(CUT_MISSING_PERCENT, own_loss + CUT_LOSS_PERCENT), 90u);
    uint64_t missing = w->sent - w->answered;
    *bad = missing * 100u >= most * whole;
    return *bad || w->sent >= whole || (uint64_t)w->answered * 100u > (100u - most) * whole;
}

/* returns: whether this node alerted others of the subject not long ago. Who missed that it took
 * this back goes on to hold the cut and calls the observers: they say it again. */
static bool watch_spoke(struct gossip *g, const struct gossip_watch *w)
{
    const struct gossip_report *report = report_of(g, w->subject);
    bool spoke = false;
    for (unsigned ring = 0; report != NULL && ring < GOSSIP_RINGS_MAX; ring++) {
        spoke = spoke || ((w->rings & (1u << ring)) != 0 && report->rounds[ring] != 0);
    }
    return spoke;
}

/* returns: whether it goes on. */
static bool watch_step(struct gossip *g, struct gossip_watch *w)
{
    const struct gossip_entry *e = gossip_entry_of(g, w->subject);
    bool bad = false;
    if (e == NULL || e->state == GOSSIP_LEFT || e->state == GOSSIP_REMOVED ||
        e->epoch != w->epoch) { /* what an earlier start did not answer is not held against it */
        return false;
    }
    bool well = w->quick_answered >= CUT_QUICK_WELL;
    if (well || watch_judged(g, w, &bad)) {
        bad = bad && !well;
        bool long_enough = g->now_us - w->start_us >= CUT_WINDOWS_KEPT * g->rules.cut_window_us;
        if (bad || w->bad || watch_spoke(g, w)) {
            watch_verdict(g, w, bad, long_enough);
        }
        bool dead = e->state == GOSSIP_DEAD && (e->flags & GOSSIP_FLAG_CUT) == 0;
        if (!bad || dead || long_enough) {
            return false;
        }
        w->bad = true;
        w->sent = 0;
        w->answered = 0;
    }
    w->seq = gossip_probe_seq(g);
    w->waits = true;
    w->quick = w->quick_left > 0;
    if (w->quick) {
        w->quick_left--;
        w->next_us = g->now_us + g->rules.probe_interval_us / 4u;
    } else {
        w->sent++;
        w->next_us = g->now_us + g->rules.probe_interval_us;
    }
    struct gossip_out *o = gossip_out_add(g, w->subject, GOSSIP_TYPE_PING, GOSSIP_DATAGRAM);
    if (o != NULL) {
        o->seq = w->seq;
        o->target = w->subject;
    }
    return true;
}

/* ---- deciding ------------------------------------------------------------------------------- */

/* Observers that cannot speak, because they are faulty themselves, count for who is in doubt. */
static uint32_t report_votes(struct gossip *g, const struct gossip_report *report)
{
    uint32_t observers[GOSSIP_RINGS_MAX];
    uint32_t low = cut_scaled(g, g->rules.cut_low);
    uint32_t rings = cut_observers(g, report->subject, observers);
    uint32_t votes = (uint32_t)__builtin_popcount(report->bad);
    if (votes < low) {
        return votes;
    }
    for (uint32_t ring = 0; ring < rings; ring++) {
        if ((report->bad & (1u << ring)) != 0 || observers[ring] == 0) {
            continue;
        }
        const struct gossip_entry *e = gossip_entry_of(g, observers[ring]);
        const struct gossip_report *theirs = report_of(g, observers[ring]);
        bool silent = e == NULL || e->state == GOSSIP_DEAD || e->state == GOSSIP_LEFT;
        bool faulty = theirs != NULL && (uint32_t)__builtin_popcount(theirs->bad) >= low;
        votes += silent || faulty;
    }
    return votes;
}

static void reports_age(struct gossip *g)
{
    uint64_t most = CUT_WINDOWS_KEPT * g->rules.cut_window_us;
    for (uint32_t i = 0; i < GOSSIP_REPORTS_MAX; i++) {
        struct gossip_report *report = &g->reports[i];
        if (report->subject == 0) {
            continue;
        }
        const struct gossip_entry *e = gossip_entry_of(g, report->subject);
        bool over = e == NULL || e->state == GOSSIP_LEFT || e->state == GOSSIP_REMOVED ||
                    e->epoch != report->epoch || g->now_us - report->changed_us >= most;
        if (over) {
            report_drop(g, report);
        }
    }
}

static void cut_give(struct gossip *g, uint32_t *ids, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) { /* few: insertion sort */
        uint32_t id = ids[i];
        uint32_t at = i;
        for (; at > 0 && ids[at - 1] > id; at--) {
            ids[at] = ids[at - 1];
        }
        ids[at] = id;
    }
    memcpy(g->cut, ids, sizeof(*ids) * count);
    g->cut_count = count;
    g->counters.cuts++;
    gossip_sync_soon(g); /* the faulty have accused others: who missed a refutation has it now */
    for (uint32_t i = 0; i < count; i++) {
        struct gossip_entry *e = gossip_entry_of(g, ids[i]);
        report_of(g, ids[i])->cut = true;
        if (e != gossip_self(g)) { /* who hears of its own cut goes on refuting */
            cut_hold(g, e);
        }
    }
}

/* An observer whose alert stands asks at once and quickly. What of a window was asked and answered
 * before stays as it is. */
static void look_quickly(struct gossip *g, const struct gossip_report *report)
{
    gossip_cut_doubt(g, gossip_entry_of(g, report->subject));
    for (uint32_t i = 0; i < g->watch_count; i++) {
        struct gossip_watch *w = &g->watches[i];
        if (w->subject == report->subject && (w->rings & report->bad) != 0) {
            if (w->waits && !w->quick) {
                w->sent--; /* nobody will hear that answer */
            }
            w->waits = false;
            w->quick_left = CUT_QUICK;
            w->quick_answered = 0;
            w->next_us = g->now_us;
            g->watch_us = g->now_us;
        }
    }
}

/* returns: from when on the subject may be cut. Who lives, as far as this node knows, gets a quick
 * look once a window: who goes on to fail and to refute it is cut between two. */
static uint64_t report_fresh_us(struct gossip *g, struct gossip_report *report)
{
    bool lives = gossip_entry_lives(gossip_entry_of(g, report->subject));
    bool looked = report->looked_us != 0;
    if (lives && (!looked || g->now_us - report->looked_us >= g->rules.cut_window_us)) {
        report->looked_us = g->now_us;
        look_quickly(g, report);
    }
    return report->looked_us == 0 ? g->now_us : report->looked_us + CUT_LOOK_US;
}

void gossip_cut_decide(struct gossip *g)
{
    uint32_t high = cut_scaled(g, g->rules.cut_high);
    uint32_t low = cut_scaled(g, g->rules.cut_low);
    uint32_t ids[GOSSIP_CUT_MAX];
    uint32_t count = 0;
    uint32_t faulty = 0;
    uint64_t look_end = GOSSIP_NEVER;
    bool between = false;
    reports_age(g);
    for (uint32_t i = 0; i < GOSSIP_REPORTS_MAX && g->report_count > 0; i++) {
        struct gossip_report *report = &g->reports[i];
        uint32_t votes = report->subject != 0 ? report_votes(g, report) : 0;
        if (report->cut && votes < low) {
            report->cut = false;
            gossip_cut_release(g, gossip_entry_of(g, report->subject));
            gossip_sync_soon(g); /* its refutations were not heard while it was held */
        }
        if (votes < low) {
            report->looked_us = 0; /* what is said from now on is said anew */
        }
        between = between || (votes >= low && votes < high && !report->cut);
        faulty += votes >= high;
        if (votes < high || report->cut) {
            continue;
        }
        uint64_t fresh_us = report_fresh_us(g, report);
        look_end = fresh_us > g->now_us ? NUM_MIN(look_end, fresh_us) : look_end;
        if (fresh_us <= g->now_us && count < GOSSIP_CUT_MAX) {
            ids[count++] = report->subject;
        }
    }
    g->cut_us = GOSSIP_NEVER;
    if (g->report_count > 0) {
        /* to age them, and to give what did not fit */
        g->cut_us = NUM_MIN(g->now_us + CUT_SETTLE_US, look_end);
    }
    /* Who sees most others faulty is likely on the small side of a partition. */
    if (between || count == 0 || 2 * faulty >= g->roster_count || g->cut_count > 0) {
        return;
    }
    cut_give(g, ids, count);
}

void gossip_cut_run(struct gossip *g)
{
    if (g->watch_us <= g->now_us) {
        g->watch_us = GOSSIP_NEVER;
        for (uint32_t i = g->watch_count; i > 0; i--) {
            struct gossip_watch *w = &g->watches[i - 1];
            if (w->next_us <= g->now_us && !watch_step(g, w)) {
                *w = g->watches[--g->watch_count];
            }
        }
        for (uint32_t i = 0; i < g->watch_count; i++) {
            g->watch_us = NUM_MIN(g->watch_us, g->watches[i].next_us);
        }
    }
    if (g->cut_us <= g->now_us) {
        gossip_cut_decide(g);
    }
}

/* ---- alerts --------------------------------------------------------------------------------- */

void gossip_cut_alert(struct gossip *g, struct bytes body)
{
    uint32_t subject = num_get_u32(body.data);
    uint64_t epoch = num_get_u64(body.data + 4);
    unsigned ring = body.data[12];
    struct gossip_entry *e = gossip_entry_of(g, subject);
    if (!cut_on(g) || e == NULL || e->epoch != epoch || e->state == GOSSIP_LEFT ||
        e->state == GOSSIP_REMOVED || ring >= gossip_cut_rings(g)) {
        return;
    }
    bool bad = body.data[13] != 0;
    report_word(g, e, ring, num_get_u32(body.data + 14), bad);
    if (bad) {
        gossip_cut_doubt(g, e);
    }
}

void gossip_cut_write(const struct gossip *g, struct gossip_writer *w,
                      const struct gossip_rumor *rumor)
{
    const struct gossip_report *report = &g->reports[rumor->subject];
    uint8_t *at = gossip_write_part(w, GOSSIP_TYPE_ALERT, 18);
    if (at == NULL) {
        return;
    }
    num_put_u32(at, report->subject);
    num_put_u64(at + 4, report->epoch);
    at[12] = rumor->ring;
    at[13] = (report->bad & (1u << rumor->ring)) != 0;
    num_put_u32(at + 14, report->rounds[rumor->ring]);
}
