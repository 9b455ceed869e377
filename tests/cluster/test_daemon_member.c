/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Real daemons see each other: all alive, one killed is dead everywhere, and alive again when it
 * has started anew.
 */
#include "tests/cluster/daemon.h"
#include "tests/unit/unit.h"
#include "wire/api.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define AWAIT_MS 60000u

static struct daemons d;

/* What node i says of member id. returns: false if it does not answer. */
static bool ask(unsigned i, uint32_t id, char state[32], uint64_t *epoch)
{
    struct daemon_client c;
    struct wire_node answer;
    bool found = false;
    daemon_client_open(&c, daemon_port(&d, i));
    (void)wire_pack_request(&c.out, ++c.msgid, WIRE_METHOD_MEMBER_LIST, 0);
    if (daemon_call(&c, &answer) == 0) {
        struct wire_node members = wire_node_find(answer, WIRE_FIELD_MEMBERS);
        for (uint32_t m = 0; m < wire_node_count(members); m++) {
            struct wire_node row = wire_node_at(members, m);
            struct bytes text = bytes_of(NULL, 0);
            uint32_t member = 0;
            (void)wire_node_u32(wire_node_find(row, WIRE_FIELD_ID), &member);
            if (member == id &&
                wire_node_bytes(wire_node_find(row, WIRE_FIELD_STATE), 31, &text) == 0) {
                memcpy(state, text.data, text.size);
                state[text.size] = '\0';
                found = wire_node_u64(wire_node_find(row, "epoch"), epoch) == 0;
            }
        }
    }
    daemon_client_close(&c);
    return found;
}

static uint64_t now_ms(void)
{
    struct timespec t = {0, 0};
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Waits until node i says that member id is so, of an epoch of at least that. */
static void await(unsigned i, uint32_t id, const char *state, uint64_t epoch_least)
{
    char said[32] = "";
    uint64_t epoch = 0;
    uint64_t began = now_ms();
    while (now_ms() - began < AWAIT_MS) {
        if (ask(i, id, said, &epoch) && strcmp(said, state) == 0 && epoch >= epoch_least) {
            return;
        }
        daemon_pause_ms(50);
    }
    ck_abort_msg("node %u says that %u is %s (epoch %llu), not %s", i + 1, id, said,
                 (unsigned long long)epoch, state);
}

static void start_all(void)
{
    daemons_begin(&d, 3, "");
    for (unsigned i = 0; i < 3; i++) {
        daemon_start(&d, i);
    }
    for (unsigned i = 0; i < 3; i++) {
        for (uint32_t id = 1; id <= 3; id++) {
            await(i, id, "alive", 1);
        }
    }
}

START_TEST(a_killed_node_is_dead_for_all_and_alive_when_it_is_back)
{
    start_all();
    uint64_t began = now_ms();
    daemon_kill(&d, 2);
    await(0, 3, "dead", 1);
    await(1, 3, "dead", 1);
    (void)printf("dead for both after %llu ms\n", (unsigned long long)(now_ms() - began));
    ck_assert_uint_ge(daemon_lines(&d, 0, "event=member_dead node=3"), 1);
    ck_assert_uint_eq(daemon_lines(&d, 0, "event=member_dead node=2"), 0);
    daemon_start(&d, 2);
    await(0, 3, "alive", 2);
    await(1, 3, "alive", 2);
    await(2, 1, "alive", 1);
    daemons_end(&d);
}
END_TEST

/* Datagrams of strangers: counted, logged once, not answered. */
START_TEST(forged_datagrams_change_nothing_and_are_not_answered)
{
    uint8_t packet[200] = {1, 1, 1, 0, 2};
    start_all();
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    ck_assert_int_ge(fd, 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(d.identity.nodes[0].peer_port),
                             .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    for (unsigned i = 0; i < 500; i++) {
        packet[8] = 9; /* an epoch to come */
        packet[16] = (uint8_t)i;
        ck_assert_int_ge(
            sendto(fd, packet, sizeof(packet) - i % 180, 0, (struct sockaddr *)&to, sizeof(to)), 0);
    }
    ck_assert(daemon_await_lines(&d, 0, "event=gossip_refused", 1));
    struct timeval wait = {.tv_sec = 1};
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)), 0);
    ck_assert_int_lt(recv(fd, packet, sizeof(packet), 0), 0);
    (void)close(fd);
    ck_assert_uint_eq(daemon_lines(&d, 0, "event=gossip_refused"), 1);
    await(0, 2, "alive", 1);
    ck_assert_uint_eq(daemon_lines(&d, 0, "event=member_dead"), 0);
    daemons_end(&d);
}
END_TEST

START_TEST(a_busy_datagram_port_is_said_at_the_start)
{
    char output[4096];
    daemons_begin(&d, 1, "");
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons(d.identity.nodes[0].peer_port),
                             .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    const char *const args[4] = {"--config", d.nodes[0].config, NULL, NULL};
    ck_assert_int_ne(daemon_run(d.base, args, output, sizeof(output)), 0);
    ck_assert_msg(strstr(output, "cannot open UDP") != NULL, "%s", output);
    (void)close(fd);
    daemons_end(&d);
}
END_TEST

UNIT_MAIN("daemon_member", a_killed_node_is_dead_for_all_and_alive_when_it_is_back,
          forged_datagrams_change_nothing_and_are_not_answered,
          a_busy_datagram_port_is_said_at_the_start)
