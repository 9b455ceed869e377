/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Processes of a local cluster. A pid alone names nobody for long: with it goes the time when the
 * process started, and nothing is signalled unless both match what /proc says.
 */
#include "client/cmd_cluster_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROC_STAT_BYTES 1024u
#define PROC_THREADS_FIELD 20u
#define PROC_STARTED_FIELD 22u /* of proc(5) */

void hf_sleep_ms(uint64_t ms)
{
    struct timespec t = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    (void)nanosleep(&t, NULL);
}

static size_t proc_slurp(const char *path, char *into, size_t bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    ssize_t got = read(fd, into, bytes - 1);
    (void)close(fd);
    if (got < 0) {
        return 0;
    }
    into[got] = '\0';
    return (size_t)got;
}

/* State and start time of a pid. returns: false if there is no such process. */
static bool proc_look(long pid, char *state, uint64_t *started)
{
    char path[64];
    char text[PROC_STAT_BYTES];
    (void)snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
    if (pid <= 0 || proc_slurp(path, text, sizeof(text)) == 0) {
        return false;
    }
    const char *at = strrchr(text, ')'); /* the name before it may hold anything */
    if (at == NULL || at[1] != ' ') {
        return false;
    }
    at += 2;
    *state = *at;
    for (unsigned field = 3; field < PROC_STARTED_FIELD; field++) {
        at = strchr(at, ' ');
        if (at == NULL) {
            return false;
        }
        at++;
        if (field + 1 == PROC_THREADS_FIELD && *state == 'Z' && strncmp(at, "0 ", 2) != 0 &&
            strncmp(at, "1 ", 2) != 0) {
            *state = 'R'; /* other threads still end, and hold its files and locks till then */
        }
    }
    return hf_cmd_number(bytes_of(at, strcspn(at, " ")), started);
}

enum hf_proc_state hf_proc_state(const struct hf_proc *p)
{
    char state = 0;
    uint64_t started = 0;
    if (!proc_look(p->pid, &state, &started) || started != p->started || state == 'Z' ||
        state == 'X') {
        return HF_PROC_GONE;
    }
    return state == 'T' || state == 't' ? HF_PROC_PAUSED : HF_PROC_RUNS;
}

int hf_proc_read(const char *pid_file, struct hf_proc *out)
{
    char text[64];
    uint64_t pid = 0;
    size_t bytes = proc_slurp(pid_file, text, sizeof(text));
    if (bytes == 0) {
        return ERR_NOT_FOUND;
    }
    size_t first = strcspn(text, " ");
    size_t second = strcspn(text + NUM_MIN(first + 1, bytes), "\n");
    if (first + 1 >= bytes || !hf_cmd_number(bytes_of(text, first), &pid) || pid > INT32_MAX ||
        !hf_cmd_number(bytes_of(text + first + 1, second), &out->started)) {
        return ERR_CORRUPT;
    }
    out->pid = (long)pid;
    return 0;
}

bool hf_proc_signal(const struct hf_proc *p, int number)
{
    return hf_proc_state(p) != HF_PROC_GONE && kill((pid_t)p->pid, number) == 0;
}

bool hf_proc_wait_gone(const struct hf_proc *p, uint64_t ms)
{
    for (uint64_t waited = 0; waited <= ms; waited += 10) {
        (void)waitpid((pid_t)p->pid, NULL, WNOHANG); /* if it is a child of this process */
        if (hf_proc_state(p) == HF_PROC_GONE) {
            return true;
        }
        hf_sleep_ms(10);
    }
    return false;
}

/* In the child: nothing of the caller's is kept open, so that its pipes end with it. */
static void proc_become(char *const words[], const char *log_file)
{
    int log = open(log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    long most = sysconf(_SC_OPEN_MAX);
    (void)setsid();
    if (log < 0 || null < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0) {
        _exit(126);
    }
    for (int fd = 3; fd < most && fd < 1024; fd++) {
        (void)close(fd);
    }
    (void)signal(SIGPIPE, SIG_DFL);
    (void)execv(words[0], words);
    _exit(127);
}

static int proc_note(const char *pid_file, const struct hf_proc *p, struct err_info *why)
{
    char text[64];
    char fresh[4096 + 8];
    int bytes = snprintf(text, sizeof(text), "%ld %llu\n", p->pid, (unsigned long long)p->started);
    (void)snprintf(fresh, sizeof(fresh), "%.4090s.new", pid_file);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool kept = fd >= 0 && write(fd, text, (size_t)bytes) == bytes;
    if (fd >= 0) {
        kept = close(fd) == 0 && kept;
    }
    if (!kept || rename(fresh, pid_file) != 0) {
        return err_set(why, ERR_INVALID, "cannot write '%s': %s", pid_file, strerror(errno));
    }
    return 0;
}

int hf_proc_start(char *const words[], const char *log_file, const char *pid_file,
                  struct hf_proc *out, struct err_info *why)
{
    char state = 0;
    if (access(words[0], X_OK) != 0) {
        return err_set(why, ERR_NOT_FOUND, "cannot run '%s': %s", words[0], strerror(errno));
    }
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        return err_set(why, ERR_INVALID, "cannot start a process: %s", strerror(errno));
    }
    if (pid == 0) {
        proc_become(words, log_file);
    }
    *out = (struct hf_proc){.pid = pid};
    if (!proc_look(pid, &state, &out->started)) {
        return err_set(why, ERR_INVALID, "process %ld is gone at once", (long)pid);
    }
    return proc_note(pid_file, out, why);
}

void hf_proc_last_line(const char *path, char *into, size_t bytes)
{
    char text[4096];
    FILE *file = fopen(path, "rb");
    into[0] = '\0';
    if (file == NULL) {
        return;
    }
    if (fseeko(file, 0, SEEK_END) == 0) {
        off_t end = ftello(file);
        off_t start = end > (off_t)sizeof(text) - 1 ? end - ((off_t)sizeof(text) - 1) : 0;
        (void)fseeko(file, start, SEEK_SET);
    }
    size_t got = fread(text, 1, sizeof(text) - 1, file);
    (void)fclose(file);
    while (got > 0 && text[got - 1] == '\n') {
        got--;
    }
    text[got] = '\0';
    const char *line = strrchr(text, '\n');
    (void)snprintf(into, bytes, "%s", line != NULL ? line + 1 : text);
}

static bool proc_runs(const char *path)
{
    return path[0] != '\0' && access(path, X_OK) == 0;
}

static bool proc_in_path(char *into, size_t bytes)
{
    const char *at = getenv("PATH");
    while (at != NULL && *at != '\0') {
        size_t length = strcspn(at, ":");
        (void)snprintf(into, bytes, "%.*s/holdfastd", (int)length, at);
        if (length > 0 && proc_runs(into)) {
            return true;
        }
        at += length + (at[length] == ':');
    }
    return false;
}

bool hf_proc_find_daemon(char *into, size_t bytes)
{
    static const char *const places[] = {"holdfastd", "../server/holdfastd",
                                         "../libexec/holdfastd"};
    const char *named = getenv("HOLDFASTD");
    char self[4096];
    if (named != NULL && named[0] != '\0') {
        (void)snprintf(into, bytes, "%s", named);
        return proc_runs(into);
    }
    ssize_t got = readlink("/proc/self/exe", self, sizeof(self) - 1);
    self[got > 0 ? got : 0] = '\0';
    char *slash = strrchr(self, '/');
    for (size_t i = 0; slash != NULL && i < sizeof(places) / sizeof(places[0]); i++) {
        (void)snprintf(into, bytes, "%.*s/%s", (int)(slash - self), self, places[i]);
        if (proc_runs(into)) {
            return true;
        }
    }
    return proc_in_path(into, bytes);
}
