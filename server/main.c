/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * holdfastd: one node. Reads the command line and the configuration, then serves.
 */
#include "base/fds.h"
#include "server/host/host.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#ifndef HOLDFAST_VERSION
#define HOLDFAST_VERSION "0"
#endif

enum main_exit { MAIN_DONE = 0, MAIN_FAILED = 1, MAIN_USAGE = 2 };
enum main_mode { MAIN_SERVE = 0, MAIN_CHECK, MAIN_PRINT, MAIN_VERSION, MAIN_HELP };

struct main_args {
    enum main_mode mode;
    const char *config;
    const char *data_dir;
};

static const char main_help[] =
    "holdfastd " HOLDFAST_VERSION ": one node of a Holdfast cluster\n"
    "\n"
    "  holdfastd                      one node in ./holdfast-data on 127.0.0.1: clients on port\n"
    "                                 7701, nodes on 7801; made if it is missing or empty\n"
    "  holdfastd --config FILE        a node as FILE says\n"
    "  holdfastd --data-dir DIR       a node of a directory made by 'holdfast init'\n"
    "\n"
    "  --config FILE     read settings from FILE\n"
    "  --data-dir DIR    data directory; overrides FILE\n"
    "  --check-config    say whether the settings are good, and end\n"
    "  --print-config    print the settings in force, and end\n"
    "  --version         print the version, and end\n"
    "  --help            print this, and end\n"
    "\n"
    "The log goes to stderr. SIGTERM and SIGINT end the node. Exit: 0 ended as asked, 1 an error,\n"
    "2 a command line that is not understood.\n";

static int main_usage(const char *what, const char *arg)
{
    (void)fprintf(stderr, "holdfastd: %s '%s' (see holdfastd --help)\n", what, arg);
    return MAIN_USAGE;
}

/* `--name VALUE` or `--name=VALUE`. returns: the value, or NULL if arg is another option. */
static const char *main_value(int argc, char **argv, int *at, const char *name)
{
    size_t bytes = strlen(name);
    const char *arg = argv[*at];
    if (strncmp(arg, name, bytes) == 0 && arg[bytes] == '=') {
        return arg + bytes + 1;
    }
    if (strcmp(arg, name) == 0 && *at + 1 < argc) {
        (*at)++;
        return argv[*at];
    }
    return NULL;
}

static int main_parse(int argc, char **argv, struct main_args *out)
{
    static const struct {
        const char *name;
        enum main_mode mode;
    } modes[] = {{"--check-config", MAIN_CHECK},
                 {"--print-config", MAIN_PRINT},
                 {"--version", MAIN_VERSION},
                 {"--help", MAIN_HELP},
                 {"-h", MAIN_HELP},
                 {NULL, MAIN_SERVE}};
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        unsigned m = 0;
        while (modes[m].name != NULL && strcmp(modes[m].name, arg) != 0) {
            m++;
        }
        if (modes[m].name != NULL) {
            out->mode = modes[m].mode;
            continue;
        }
        const char *value = main_value(argc, argv, &i, "--config");
        if (value != NULL) {
            out->config = value;
            continue;
        }
        value = main_value(argc, argv, &i, "--data-dir");
        if (value == NULL) {
            bool known = strcmp(arg, "--config") == 0 || strcmp(arg, "--data-dir") == 0;
            return main_usage(known ? "a value is missing after" : "unknown option", arg);
        }
        out->data_dir = value;
    }
    return MAIN_DONE;
}

static int main_settings(const struct main_args *args, struct host_settings *settings,
                         struct err_info *why)
{
    if (args->config != NULL) {
        TRY(host_settings_read(settings, args->config, why));
    }
    if (args->data_dir != NULL) {
        TRY(host_settings_set(settings, "node", "data_dir", args->data_dir, why));
    }
    return host_settings_check(settings, why);
}

static int main_print(const struct host_settings *settings)
{
    struct alloc heap = alloc_heap();
    struct buf out;
    buf_init(&out, &heap, 4u * CONFIG_FILE_BYTES_MAX);
    int err = host_settings_print(settings, &out);
    if (err == 0 && fwrite(out.data, 1, out.size, stdout) != out.size) {
        err = ERR_IO;
    }
    buf_release(&out);
    return err == 0 && fflush(stdout) == 0 ? MAIN_DONE : MAIN_FAILED;
}

#define MAIN_ARENAS 4 /* each keeps what was freed in it; threads come and go between them */
/* What commands work in comes and goes all the time, cells of objects above all: memory that went
 * back to the kernel each time would have to be cleared anew. */
#define MAIN_MAPPED_BYTES (4 << 20) /* pieces from here on are mapped on their own */
#define MAIN_SPARE_BYTES (16 << 20) /* that an arena keeps at its end */

/* Writes to gone sockets and full files come back as errors, not as signals. */
static void main_process(void)
{
    struct rlimit files;
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN);
#ifdef __GLIBC__
    (void)mallopt(M_ARENA_MAX, MAIN_ARENAS);
    (void)mallopt(M_MMAP_THRESHOLD, MAIN_MAPPED_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, MAIN_SPARE_BYTES);
#endif
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
}

static int main_serve(const struct main_args *args, const struct host_settings *settings)
{
    struct log log = {.sink = host_log_stderr, .least = host_settings_log_level(settings)};
    struct host_options options = {
        .settings = settings,
        .log = &log,
        .found_alone = args->config == NULL && args->data_dir == NULL,
        .signals = true,
    };
    struct host *host = NULL;
    struct err_info why = {.code = 0};
    main_process();
    int err = host_open(&host, &options, &why);
    if (err != 0) {
        (void)fprintf(stderr, "holdfastd: %s\n", why.code != 0 ? why.text : err_text(err));
        return MAIN_FAILED;
    }
    err = host_run(host);
    host_close(host);
    log_line(&log, err == 0 ? LOG_INFO : LOG_ERROR, "stopped", "code=%s", err_name(err));
    return err == 0 ? MAIN_DONE : MAIN_FAILED;
}

static int main_with(const struct main_args *args, struct host_settings *settings)
{
    struct err_info why = {.code = 0};
    int err = main_settings(args, settings, &why);
    if (err != 0) {
        (void)fprintf(stderr, "holdfastd: %s\n", why.code != 0 ? why.text : err_text(err));
        return MAIN_FAILED;
    }
    if (args->mode == MAIN_CHECK) {
        (void)printf("settings are good\n");
        return MAIN_DONE;
    }
    return args->mode == MAIN_PRINT ? main_print(settings) : main_serve(args, settings);
}

int main(int argc, char **argv)
{
    struct main_args args = {.mode = MAIN_SERVE};
    struct alloc heap = alloc_heap();
    static struct host_settings settings;
    if (fds_keep_standard() != 0) {
        return MAIN_FAILED; /* nor is there anybody to tell */
    }
    int code = main_parse(argc, argv, &args);
    if (code != MAIN_DONE) {
        return code;
    }
    if (args.mode == MAIN_VERSION || args.mode == MAIN_HELP) {
        (void)fputs(args.mode == MAIN_HELP ? main_help : "holdfastd " HOLDFAST_VERSION "\n",
                    stdout);
        return MAIN_DONE;
    }
    if (host_settings_init(&settings, &heap) != 0) {
        (void)fprintf(stderr, "holdfastd: no memory\n");
        return MAIN_FAILED;
    }
    code = main_with(&args, &settings);
    host_settings_release(&settings);
    return code;
}
