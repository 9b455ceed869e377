/* SPDX-FileCopyrightText: 2026 The Holdfast authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * lincheck FILE...: tells whether each history (JSON lines) is linearizable. Exit 0 yes, 1 no,
 * 2 the file cannot be read.
 */
#include "tests/sim/history.h"

static int lincheck_file(const char *path)
{
    char why[200] = "";
    uint32_t key = 0;
    bool gave_up = false;
    struct history h;
    FILE *from = fopen(path, "r");
    if (from == NULL) {
        (void)fprintf(stderr, "lincheck: cannot open '%s'\n", path);
        return 2;
    }
    history_init(&h);
    bool read = history_read(&h, from, why);
    (void)fclose(from);
    if (!read) {
        (void)fprintf(stderr, "lincheck: '%s': %s\n", path, why);
        history_release(&h);
        return 2;
    }
    bool fits = history_check(&h, 200000000u, &key, &gave_up);
    (void)printf("%s: %u operations, %s\n", path, h.count,
                 fits      ? "linearizable"
                 : gave_up ? "too many orders to decide"
                           : "NOT linearizable");
    history_release(&h);
    return fits ? 0 : 1;
}

int main(int argc, char **argv)
{
    int worst = argc < 2 ? 2 : 0;
    for (int i = 1; i < argc; i++) {
        int result = lincheck_file(argv[i]);
        worst = result > worst ? result : worst;
    }
    return worst;
}
