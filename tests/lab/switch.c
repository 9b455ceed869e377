/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * lab_switch: an Ethernet switch in user space that loses, delays and damages frames by rules. Its
 * port I is a TAP device, eth0, in the I-th network namespace that is named; the devices go with
 * the process. Linux, and root, are needed.
 *
 *   lab_switch --socket PATH --seed S NAMESPACE-FILE...
 *   lab_switch --ask PATH WORD...          sends the words to a running switch, prints the answer
 *
 * What can be asked:
 *
 *   rule FROM TO WORD...      from each port of FROM to each of TO (tests/lab/rule.h); no word: a
 *                             perfect link
 *   heal                      all links are perfect
 *   counts                    one line for each direction that was used
 *   ping                      ok
 */
#include "base/err.h"
#include "base/num.h"
#include "tests/lab/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define SWITCH_TURN_FRAMES 64u /* of one port before the others have their turn */
#define SWITCH_ASK_BYTES 1024u
#define SWITCH_ANSWER_BYTES 65536u

struct lab_switch {
    struct lab_engine *engine;
    unsigned ports;
    int taps[LAB_PORTS_MAX];
    int listener;
    int signals;
    uint64_t refused; /* frames that a device did not take */
};

static int switch_fail(const char *what, const char *object)
{
    (void)fprintf(stderr, "lab_switch: %s '%s': %s\n", what, object, strerror(errno));
    return 1;
}

static uint64_t switch_now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

/* ---- devices --------------------------------------------------------------------------------- */

/* A TAP belongs to the namespace in which it was opened. returns: its descriptor, or -1 (said). */
static int switch_open_tap(const char *namespace, unsigned port)
{
    struct ifreq request;
    memset(&request, 0, sizeof(request));
    memcpy(request.ifr_name, "eth0", sizeof("eth0"));
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    int ns = open(namespace, O_RDONLY | O_CLOEXEC);
    if (ns < 0 || setns(ns, CLONE_NEWNET) != 0) {
        (void)switch_fail("cannot enter", namespace);
        if (ns >= 0) {
            (void)close(ns);
        }
        return -1;
    }
    (void)close(ns);
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        (void)switch_fail("cannot open", "/dev/net/tun");
        return -1;
    }
    int plain = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool made = plain >= 0 && ioctl(fd, TUNSETIFF, &request) == 0;
    if (made) {
        memset(&request.ifr_hwaddr, 0, sizeof(request.ifr_hwaddr));
        request.ifr_hwaddr.sa_family = 1; /* Ethernet */
        lab_engine_address(port, (uint8_t *)request.ifr_hwaddr.sa_data);
        made = ioctl(plain, SIOCSIFHWADDR, &request) == 0;
    }
    if (!made) {
        (void)switch_fail("cannot make a TAP device in", namespace);
        (void)close(fd);
        fd = -1;
    }
    if (plain >= 0) {
        (void)close(plain);
    }
    return fd;
}

static void switch_read(struct lab_switch *s, unsigned port)
{
    uint8_t frame[LAB_FRAME_BYTES];
    for (unsigned i = 0; i < SWITCH_TURN_FRAMES; i++) {
        ssize_t got = read(s->taps[port], frame, sizeof(frame));
        if (got <= 0) {
            return; /* EAGAIN; EIO while the device is down */
        }
        lab_engine_push(s->engine, port, frame, (size_t)got, switch_now_us());
    }
}

static void switch_write(struct lab_switch *s)
{
    struct lab_out out;
    uint64_t now_us = switch_now_us();
    while (lab_engine_pop(s->engine, now_us, &out)) {
        ssize_t put = write(s->taps[out.port], out.frame, out.bytes);
        s->refused += put < 0;
    }
}

/* ---- control --------------------------------------------------------------------------------- */

struct switch_answer {
    char text[SWITCH_ANSWER_BYTES];
    size_t bytes;
};

static void switch_say(struct switch_answer *a, const char *line)
{
    size_t bytes = strlen(line);
    if (bytes < sizeof(a->text) - a->bytes) {
        memcpy(a->text + a->bytes, line, bytes + 1);
        a->bytes += bytes;
    }
}

static void switch_set(struct lab_switch *s, uint64_t from, uint64_t to,
                       const struct lab_rule *rule)
{
    uint64_t now_us = switch_now_us();
    for (unsigned i = 0; i < s->ports; i++) {
        for (unsigned j = 0; j < s->ports; j++) {
            if (i != j && (from >> i & 1) != 0 && (to >> j & 1) != 0) {
                lab_engine_rule(s->engine, i, j, rule, now_us);
            }
        }
    }
}

/* returns: what follows the word, or NULL; the word gets an end. */
static char *switch_cut(char *text)
{
    char *blank = strchr(text, ' ');
    if (blank != NULL) {
        *blank++ = '\0';
    }
    return blank;
}

static void switch_rule(struct lab_switch *s, char *text, struct switch_answer *a)
{
    struct lab_rule rule;
    uint64_t from = 0;
    uint64_t to = 0;
    char bad[32] = "";
    char line[128];
    char *second = switch_cut(text);
    char *words = second != NULL ? switch_cut(second) : NULL;
    if (second == NULL || !lab_ports_parse(text, s->ports, &from) ||
        !lab_ports_parse(second, s->ports, &to)) {
        switch_say(a, "error: a rule is FROM TO WORD..., ports such as 1, 1,2 or all\n");
        return;
    }
    if (!lab_rule_parse(words != NULL ? words : "", &rule, bad)) {
        (void)snprintf(line, sizeof(line), "error: '%s' is no word of a rule\n", bad);
        switch_say(a, line);
        return;
    }
    switch_set(s, from, to, &rule);
    switch_say(a, "ok\n");
}

static void switch_counts(struct lab_switch *s, struct switch_answer *a)
{
    char line[320];
    for (unsigned from = 0; from < s->ports; from++) {
        for (unsigned to = 0; to < s->ports; to++) {
            const struct lab_counts *c = lab_engine_counts(s->engine, from, to);
            if (c->frames == 0) {
                continue;
            }
            (void)snprintf(line, sizeof(line),
                           "%u %u frames=%" PRIu64 " bytes=%" PRIu64 " passed=%" PRIu64
                           " blocked=%" PRIu64 " lost=%" PRIu64 " copied=%" PRIu64
                           " corrupted=%" PRIu64 " garbled=%" PRIu64 " full=%" PRIu64 "\n",
                           from, to, c->frames, c->bytes, c->passed, c->blocked, c->lost, c->copied,
                           c->corrupted, c->garbled, c->full);
            switch_say(a, line);
        }
    }
    (void)snprintf(line, sizeof(line), "refused=%" PRIu64 "\n", s->refused);
    switch_say(a, line);
}

static void switch_do(struct lab_switch *s, char *text, struct switch_answer *a)
{
    const struct lab_rule perfect = {.block = false};
    char *rest = switch_cut(text);
    if (strcmp(text, "rule") == 0 && rest != NULL) {
        switch_rule(s, rest, a);
    } else if (strcmp(text, "heal") == 0) {
        switch_set(s, UINT64_MAX, UINT64_MAX, &perfect);
        switch_say(a, "ok\n");
    } else if (strcmp(text, "counts") == 0) {
        switch_counts(s, a);
    } else if (strcmp(text, "ping") == 0) {
        switch_say(a, "ok\n");
    } else {
        switch_say(a, "error: ask rule, heal, counts or ping\n");
    }
}

/* One question a connection, in one packet; who asks sends it at once. */
static void switch_serve(struct lab_switch *s)
{
    static struct switch_answer answer;
    char text[SWITCH_ASK_BYTES];
    struct timeval bound = {.tv_usec = 100000};
    int fd = accept(s->listener, NULL, NULL);
    if (fd < 0) {
        return;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof(bound));
    ssize_t got = recv(fd, text, sizeof(text) - 1, 0);
    if (got > 0) {
        text[got] = '\0';
        answer.bytes = 0;
        switch_do(s, text, &answer);
        (void)send(fd, answer.text, answer.bytes, MSG_NOSIGNAL);
    }
    (void)close(fd);
}

static bool switch_address(const char *path, struct sockaddr_un *at)
{
    *at = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(at->sun_path)) {
        (void)fprintf(stderr, "lab_switch: the path '%s' is too long for a socket\n", path);
        return false;
    }
    memcpy(at->sun_path, path, strlen(path) + 1);
    return true;
}

static int switch_ask(const char *path, char **words, int count)
{
    static char answer[SWITCH_ANSWER_BYTES];
    char text[SWITCH_ASK_BYTES] = "";
    size_t bytes = 0;
    struct sockaddr_un at;
    for (int i = 0; i < count; i++) {
        int more = snprintf(text + bytes, sizeof(text) - bytes, "%s%s", i > 0 ? " " : "", words[i]);
        if (more < 0 || (size_t)more >= sizeof(text) - bytes) {
            (void)fprintf(stderr, "lab_switch: too many words\n");
            return 2;
        }
        bytes += (size_t)more;
    }
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (!switch_address(path, &at) || fd < 0 ||
        connect(fd, (const struct sockaddr *)&at, sizeof(at)) != 0 ||
        send(fd, text, bytes, MSG_NOSIGNAL) < 0) {
        return switch_fail("cannot ask", path);
    }
    ssize_t got = recv(fd, answer, sizeof(answer), 0);
    (void)close(fd);
    if (got <= 0) {
        return switch_fail("no answer from", path);
    }
    bool good = strncmp(answer, "error:", 6) != 0;
    (void)fwrite(answer, 1, (size_t)got, good ? stdout : stderr);
    return good ? 0 : 1;
}

/* ---- running --------------------------------------------------------------------------------- */

static bool switch_listen(struct lab_switch *s, const char *path)
{
    struct sockaddr_un at;
    s->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (!switch_address(path, &at)) {
        return false;
    }
    if (s->listener < 0 || bind(s->listener, (const struct sockaddr *)&at, sizeof(at)) != 0 ||
        listen(s->listener, 16) != 0) {
        (void)switch_fail("cannot listen at", path);
        return false;
    }
    return true;
}

static bool switch_catch(struct lab_switch *s)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    s->signals = sigprocmask(SIG_BLOCK, &set, NULL) == 0 ? signalfd(-1, &set, SFD_CLOEXEC) : -1;
    if (s->signals < 0) {
        (void)switch_fail("cannot catch", "SIGTERM");
    }
    return s->signals >= 0;
}

/* Until the signal. */
static void switch_run(struct lab_switch *s)
{
    struct pollfd fds[LAB_PORTS_MAX + 2];
    fds[0] = (struct pollfd){.fd = s->signals, .events = POLLIN};
    fds[1] = (struct pollfd){.fd = s->listener, .events = POLLIN};
    for (unsigned i = 0; i < s->ports; i++) {
        fds[i + 2] = (struct pollfd){.fd = s->taps[i], .events = POLLIN};
    }
    while (fds[0].revents == 0) {
        uint64_t due_us = lab_engine_due(s->engine);
        uint64_t now_us = switch_now_us();
        uint64_t wait_us = due_us > now_us ? NUM_MIN(due_us - now_us, 1000000u) : 0;
        struct timespec wait = {.tv_sec = (time_t)(wait_us / 1000000),
                                .tv_nsec = (long)(wait_us % 1000000) * 1000};
        if (ppoll(fds, s->ports + 2, &wait, NULL) < 0) {
            continue;
        }
        if (fds[1].revents != 0) {
            switch_serve(s);
        }
        for (unsigned i = 0; i < s->ports; i++) {
            if (fds[i + 2].revents != 0) {
                switch_read(s, i);
            }
        }
        switch_write(s);
    }
}

static int switch_main(struct lab_switch *s, const char *path, uint64_t seed, char **namespaces)
{
    for (unsigned i = 0; i < s->ports; i++) {
        s->taps[i] = switch_open_tap(namespaces[i], i);
        if (s->taps[i] < 0) {
            return 1;
        }
    }
    s->engine = lab_engine_new(s->ports, seed);
    if (s->engine == NULL || !switch_catch(s) || !switch_listen(s, path)) {
        lab_engine_free(s->engine);
        return 1;
    }
    (void)printf("lab_switch: %u ports, seed %" PRIu64 "\n", s->ports, seed);
    (void)fflush(stdout);
    switch_run(s);
    (void)unlink(path);
    lab_engine_free(s->engine);
    return 0;
}

int main(int argc, char **argv)
{
    static struct lab_switch s;
    if (argc >= 4 && strcmp(argv[1], "--ask") == 0) {
        return switch_ask(argv[2], argv + 3, argc - 3);
    }
    bool good = argc >= 6 && strcmp(argv[1], "--socket") == 0 && strcmp(argv[3], "--seed") == 0 &&
                argc - 5 <= (int)LAB_PORTS_MAX;
    if (!good) {
        (void)fprintf(stderr, "usage: lab_switch --socket PATH --seed S NAMESPACE-FILE...\n"
                              "       lab_switch --ask PATH WORD...\n");
        return 2;
    }
    s.ports = (unsigned)(argc - 5);
    return switch_main(&s, argv[2], strtoull(argv[4], NULL, 10), argv + 5);
}
