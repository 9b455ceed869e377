# SPDX-FileCopyrightText: 2026 The Holdfast authors
# SPDX-License-Identifier: Apache-2.0
"""Joins by `holdfast run` against Python's csv module and a dict: over standard input, or over an
object of some cells of a cluster, with another object as table.

usage: lookup.py HOLDFAST [SEED [BUCKET CASES]]     BUCKET: of HOLDFAST_ENDPOINTS, for the objects
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


def local(holdfast, program, data, table):
    return subprocess.run(
        [holdfast, "run", "--local", program, "--lookup", "t=" + table],
        input=data,
        capture_output=True,
        check=False,
    )


def remote(holdfast, bucket, program, data, table):
    """Over objects of the bucket."""
    with tempfile.NamedTemporaryFile() as f:
        f.write(data)
        f.flush()
        for name, path in (("data", f.name), ("table", table)):
            subprocess.run(
                [holdfast, "object", "put", bucket + "/" + name, path, "--timeout", "60"],
                capture_output=True,
                check=True,
            )
    return subprocess.run(
        [holdfast, "run", bucket + "/data", program, "--lookup", "t=%s/table" % bucket]
        + ["--timeout", "60"],
        capture_output=True,
        check=False,
    )


def case(rng, work, rows_max, run):
    keys = KEYS + ["k%d" % i for i in range(rng.choice([0, 5, 300, 3000]))]
    header = rng.random() < 0.3
    left = rng.random() < 0.5
    chosen = rng.sample(keys, rng.randrange(len(keys) + 1))
    table = [[k, "g%d" % rng.randrange(4), str(rng.randrange(-50, 50))] for k in chosen]
    rows = [[rng.choice(keys), str(rng.randrange(-9, 9))] for _ in range(rng.randrange(rows_max))]
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
    done = run(program, text_of(rng, rows).encode(), path)
    got = done.stdout.decode()
    if done.returncode != 0 or got != want:
        sys.exit("%s\nwant %r\ngot  %r %r" % (program, want[:2000], got[:2000], done.stderr))


def main():
    holdfast = sys.argv[1]
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    print("seed", seed)
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as work:
        if len(sys.argv) > 4:
            for _ in range(int(sys.argv[4])):
                case(rng, work, 40000, lambda *w: remote(holdfast, sys.argv[3], *w))
            return
        for _ in range(150):
            case(rng, work, 200, lambda *w: local(holdfast, *w))


main()
