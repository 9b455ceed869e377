/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the command prints: errors, escapes, JSON, the progress bar.
 */
#include "client/cmd_internal.h"

#include "wire/value.h"

#include <stdarg.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

int hf_cmd_exit_of(int code)
{
    if (code == ERR_UNREACHABLE) {
        return HF_EXIT_UNREACHABLE;
    }
    switch (err_outcome_of(code)) {
    case ERR_OUTCOME_OK: return HF_EXIT_DONE;
    case ERR_OUTCOME_DONE: return HF_EXIT_DONE;
    case ERR_OUTCOME_RETRY: return HF_EXIT_AGAIN;
    case ERR_OUTCOME_REFUSED: return HF_EXIT_REFUSED;
    case ERR_OUTCOME_UNKNOWN: return HF_EXIT_UNKNOWN;
    case ERR_OUTCOME_DAMAGED: return HF_EXIT_DAMAGED;
    }
    return HF_EXIT_UNKNOWN;
}

int hf_cmd_fail(const struct hf_cmd *cmd, int code, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (cmd != NULL && cmd->json) {
        (void)fprintf(stderr, "{\"error\":\"%s\",\"code\":%d,\"message\":", err_name(code), code);
        hf_json_text(stderr, text);
        (void)fputs("}\n", stderr);
    } else {
        (void)fprintf(stderr, "holdfast: %s\n", text);
    }
    return hf_cmd_exit_of(code);
}

int hf_cmd_usage(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)fputs("holdfast: ", stderr);
    (void)vfprintf(stderr, format, args);
    (void)fputs(" (see holdfast help)\n", stderr);
    va_end(args);
    return HF_EXIT_USAGE;
}

int hf_cmd_flushed(const struct hf_cmd *cmd, int code)
{
    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        int lost = hf_cmd_fail(cmd, ERR_IO, "cannot write to stdout");
        return code == HF_EXIT_DONE ? lost : code;
    }
    return code;
}

/* ---- escapes -------------------------------------------------------------------------------- */

void hf_cmd_escape(FILE *out, struct hf_bytes v)
{
    const uint8_t *data = v.data;
    for (size_t i = 0; i < v.size; i++) {
        uint8_t b = data[i];
        if (b == '\t') {
            (void)fputs("\\t", out);
        } else if (b == '\n') {
            (void)fputs("\\n", out);
        } else if (b == '\\') {
            (void)fputs("\\\\", out);
        } else if (b < 0x20 || b >= 0x7f) {
            (void)fprintf(out, "\\x%02x", b);
        } else {
            (void)fputc(b, out);
        }
    }
}

static int out_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* What follows a backslash. returns: its length, 0 if it is no escape. */
static size_t out_unescape_one(struct bytes rest, uint8_t *byte)
{
    if (rest.size == 0) {
        return 0;
    }
    switch (rest.data[0]) {
    case 't': *byte = '\t'; return 1;
    case 'n': *byte = '\n'; return 1;
    case '\\': *byte = '\\'; return 1;
    case 'x': break;
    default: return 0;
    }
    int high = rest.size >= 3 ? out_digit(rest.data[1]) : -1;
    int low = rest.size >= 3 ? out_digit(rest.data[2]) : -1;
    if (high < 0 || low < 0) {
        return 0;
    }
    *byte = (uint8_t)(high * 16 + low);
    return 3;
}

int hf_cmd_unescape(struct bytes text, struct buf *out)
{
    size_t i = 0;
    while (i < text.size) {
        uint8_t byte = text.data[i++];
        if (byte == '\\') {
            size_t used = out_unescape_one(bytes_of(text.data + i, text.size - i), &byte);
            if (used == 0) {
                return ERR_INVALID;
            }
            i += used;
        }
        TRY(buf_put_u8(out, byte));
    }
    return out->err;
}

/* ---- JSON ----------------------------------------------------------------------------------- */

/* returns: the bytes of the character at the start of v, 0 if it is not well-formed (Unicode 15,
 * table 3-7: no overlong forms, no surrogates, nothing above U+10FFFF). */
static size_t out_utf8_char(struct bytes v)
{
    uint8_t lead = v.data[0];
    if (lead < 0x80) {
        return 1;
    }
    size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || v.size < bytes) {
        return 0;
    }
    for (size_t i = 1; i < bytes; i++) {
        if ((v.data[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    uint8_t second = v.data[1];
    bool bad = (lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) ||
               (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f);
    return bad ? 0 : bytes;
}

bool hf_cmd_is_utf8(struct bytes v)
{
    size_t at = 0;
    while (at < v.size) {
        size_t bytes = out_utf8_char(bytes_of(v.data + at, v.size - at));
        if (bytes == 0) {
            return false;
        }
        at += bytes;
    }
    return true;
}

static void json_base64(FILE *out, struct bytes v)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    (void)fputs("{\"base64\":\"", out);
    for (size_t i = 0; i < v.size; i += 3) {
        size_t left = v.size - i;
        uint32_t three = (uint32_t)v.data[i] << 16;
        three |= left > 1 ? (uint32_t)v.data[i + 1] << 8 : 0;
        three |= left > 2 ? (uint32_t)v.data[i + 2] : 0;
        (void)fputc(digits[three >> 18], out);
        (void)fputc(digits[three >> 12 & 63], out);
        (void)fputc(left > 1 ? digits[three >> 6 & 63] : '=', out);
        (void)fputc(left > 2 ? digits[three & 63] : '=', out);
    }
    (void)fputs("\"}", out);
}

void hf_json_string(FILE *out, struct hf_bytes view)
{
    struct bytes v = bytes_of(view.data, view.size);
    if (!hf_cmd_is_utf8(v)) {
        json_base64(out, v);
        return;
    }
    (void)fputc('"', out);
    for (size_t i = 0; i < v.size; i++) {
        uint8_t b = v.data[i];
        if (b == '"' || b == '\\') {
            (void)fputc('\\', out);
            (void)fputc(b, out);
        } else if (b == '\n') {
            (void)fputs("\\n", out);
        } else if (b == '\t') {
            (void)fputs("\\t", out);
        } else if (b < 0x20 || b == 0x7f) {
            (void)fprintf(out, "\\u%04x", b);
        } else {
            (void)fputc(b, out);
        }
    }
    (void)fputc('"', out);
}

void hf_json_text(FILE *out, const char *v)
{
    hf_json_string(out, hf_text(v));
}

void hf_json_hex(FILE *out, const uint8_t *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        (void)fprintf(out, "%02x", data[i]);
    }
}

/* A container under way. */
struct json_level {
    struct wire_node node;
    bool map;
    uint32_t at;
    uint32_t count;
};

static void json_scalar(FILE *out, struct wire_node n)
{
    struct bytes text = {.data = NULL, .size = 0};
    bool flag = false;
    uint64_t natural = 0;
    int64_t whole = 0;
    double real = 0;
    switch (wire_node_kind(n)) {
    case WIRE_BOOL:
        (void)wire_node_bool(n, &flag);
        (void)fputs(flag ? "true" : "false", out);
        break;
    case WIRE_UINT:
        (void)wire_node_u64(n, &natural);
        (void)fprintf(out, "%llu", (unsigned long long)natural);
        break;
    case WIRE_INT:
        (void)wire_node_i64(n, &whole);
        (void)fprintf(out, "%lld", (long long)whole);
        break;
    case WIRE_DOUBLE:
        (void)wire_node_double(n, &real);
        if (real - real == 0.0) {
            (void)fprintf(out, "%.17g", real);
        } else {
            (void)fputs("null", out);
        }
        break;
    case WIRE_STR:
    case WIRE_BIN:
        (void)wire_node_bytes(n, SIZE_MAX, &text);
        hf_json_string(out, (struct hf_bytes){.data = text.data, .size = text.size});
        break;
    default: (void)fputs("null", out); break;
    }
}

/* Keys of JSON objects are text; others are shown escaped. */
static void json_key(FILE *out, struct wire_node n)
{
    struct bytes text = {.data = NULL, .size = 0};
    uint64_t natural = 0;
    if (wire_node_bytes(n, SIZE_MAX, &text) == 0 && hf_cmd_is_utf8(text)) {
        hf_json_string(out, (struct hf_bytes){.data = text.data, .size = text.size});
    } else if (wire_node_u64(n, &natural) == 0) {
        (void)fprintf(out, "\"%llu\"", (unsigned long long)natural);
    } else {
        (void)fputs("\"?\"", out);
    }
    (void)fputc(':', out);
}

static void json_nodes(FILE *out, struct wire_node root)
{
    struct json_level levels[WIRE_DEPTH_MAX + 1];
    unsigned depth = 0;
    struct wire_node n = root;
    bool value = true; /* n is to be printed */
    while (value || depth > 0) {
        enum wire_kind kind = wire_node_kind(n);
        if (value && (kind == WIRE_ARRAY || kind == WIRE_MAP) && depth <= WIRE_DEPTH_MAX) {
            levels[depth++] = (struct json_level){n, kind == WIRE_MAP, 0, wire_node_count(n)};
            (void)fputc(kind == WIRE_MAP ? '{' : '[', out);
        } else if (value) {
            json_scalar(out, n);
        }
        value = false;
        if (depth == 0) {
            break;
        }
        struct json_level *top = &levels[depth - 1];
        if (top->at == top->count) {
            (void)fputc(top->map ? '}' : ']', out);
            depth--;
            continue;
        }
        if (top->at > 0) {
            (void)fputc(',', out);
        }
        if (top->map) {
            json_key(out, wire_node_key(top->node, top->at));
        }
        n = top->map ? wire_node_value(top->node, top->at) : wire_node_at(top->node, top->at);
        top->at++;
        value = true;
    }
}

int hf_json_msgpack(FILE *out, struct bytes v)
{
    static const struct wire_scan_limits limits = {
        .bytes_max = 8u << 20, .items_max = 1u << 18, .depth_max = WIRE_DEPTH_MAX};
    struct alloc heap = alloc_heap();
    struct wire_decoder *decoder = NULL;
    struct wire_node root;
    TRY(wire_decoder_new(&heap, &limits, &decoder));
    int err = wire_decode(decoder, v, &root);
    if (err == 0) {
        json_nodes(out, root);
    }
    wire_decoder_free(decoder);
    return err;
}

/* ---- progress ------------------------------------------------------------------------------- */

const char *hf_cmd_bytes(char *into, size_t into_bytes, double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    unsigned unit = 0;
    while (bytes >= 1024 && unit < 5) {
        bytes /= 1024;
        unit++;
    }
    (void)snprintf(into, into_bytes, unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
    return into;
}

void hf_bar_begin(struct hf_bar *bar, const char *what)
{
    bar->what = what;
    bar->on = isatty(STDERR_FILENO) == 1;
    bar->shown = false;
    bar->started_ms = uv_hrtime() / 1000000u;
    bar->shown_ms = bar->started_ms;
}

void hf_bar_progress(void *ctx, uint64_t bytes, uint64_t total)
{
    struct hf_bar *bar = ctx;
    uint64_t now_ms = uv_hrtime() / 1000000u;
    char rate_text[32];
    char done_text[32];
    if (!bar->on || now_ms - bar->shown_ms < 100) {
        return;
    }
    bar->shown_ms = now_ms;
    bar->shown = true;
    double rate = (double)bytes * 1000 / (double)(now_ms - bar->started_ms + 1);
    (void)hf_cmd_bytes(rate_text, sizeof(rate_text), rate);
    (void)hf_cmd_bytes(done_text, sizeof(done_text), (double)bytes);
    if (total == 0) {
        (void)fprintf(stderr, "\r%.40s  %10s  %10s/s\033[K", bar->what, done_text, rate_text);
        return;
    }
    static const char full[] = "##############################";
    unsigned percent = (unsigned)((double)bytes * 100 / (double)total);
    unsigned filled = percent * 30 / 100;
    double left_s = rate > 0 ? (double)(total - bytes) / rate : 0;
    left_s = left_s > 359999 ? 359999 : left_s;
    (void)fprintf(stderr, "\r%.40s  %3u%% [%-30.*s] %10s/s  %u:%02u left\033[K", bar->what, percent,
                  (int)filled, full, rate_text, (unsigned)left_s / 60, (unsigned)left_s % 60);
}

void hf_bar_end(struct hf_bar *bar)
{
    if (bar->shown) {
        (void)fputs("\r\033[K", stderr);
        bar->shown = false;
    }
}
