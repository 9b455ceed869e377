# SPDX-FileCopyrightText: 2026 The Holdfast authors
# SPDX-License-Identifier: Apache-2.0
"""Joins by `holdfast run --local` against Python's csv module and a dict.

usage: lookup.py HOLDFAST [SEED]
"""

import csv
import io
import os
import random
import subprocess
import sys
import tempfile

KEYS = ["", "a", "b c", 'q"', "x,y", "two\nlines", "ü", "10", "10.0", "A", " a"]


def text_of(rng, rows):
    out = io.StringIO()
    writer = csv.writer(
        out,
        lineterminator=rng.choice(["\n", "\r\n"]),
        quoting=rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    )
    writer.writerows(rows)
    text = out.getvalue()
    return text if rng.random() < 0.7 else text.rstrip("\r\n")


def line_of(fields):
    """As the program prints them: quotes where they are needed, and nowhere else."""
    return ",".join(
        '"' + f.replace('"', '""') + '"' if any(c in f for c in ',"\r\n') else f for f in fields
    )


def joined(rows, table, left):
    found = {row[0]: row for row in table}
    for row in rows:
        if row[0] in found or left:
            other = found.get(row[0], [])
            yield row, (other + ["", "", ""])[:3]


def case(rng, holdfast, work):
    keys = KEYS + ["k%d" % i for i in range(rng.choice([0, 5, 300]))]
    header = rng.random() < 0.3
    left = rng.random() < 0.5
    chosen = rng.sample(keys, rng.randrange(len(keys) + 1))
    table = [[k, "g%d" % rng.randrange(4), str(rng.randrange(-50, 50))] for k in chosen]
    rows = [[rng.choice(keys), str(rng.randrange(-9, 9))] for _ in range(rng.randrange(200))]
    head = [["id", "group", "n"]] if header else []
    path = os.path.join(work, "table")
    with open(path, "w", newline="") as f:
        f.write(text_of(rng, head + table))
    start = 'csv | lookup %s"t" %s$1 as t' % ("left " if left else "", "header " if header else "")
    pairs = list(joined(rows, table, left))
    if rng.random() < 0.5:
        program = start + " | select $1, $2, $t.2, $t.3"
        want = "".join(line_of([r[0], r[1], o[1], o[2]]) + "\n" for r, o in pairs)
    else:
        program = start + " | by $t.2 count, sum $2, sum $t.3"
        groups = {}
        for r, o in pairs:
            g = groups.setdefault(o[1], [0, 0, None])
            g[0] += 1
            g[1] += int(r[1])
            g[2] = g[2] if o[2] == "" else (g[2] or 0) + int(o[2])
        want = "".join(
            "%s,%d,%d,%s\n" % (k, n, a, 0 if b is None else b)
            for k, (n, a, b) in sorted(groups.items())
        )
    done = subprocess.run(
        [holdfast, "run", "--local", program, "--lookup", "t=" + path],
        input=text_of(rng, rows).encode(),
        capture_output=True,
        check=False,
    )
    got = done.stdout.decode()
    if done.returncode != 0 or got != want:
        sys.exit("%s\nwant %r\ngot  %r %r" % (program, want, got, done.stderr))


def main():
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    print("seed", seed)
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as work:
        for _ in range(150):
            case(rng, sys.argv[1], work)


main()
