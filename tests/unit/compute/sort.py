# SPDX-FileCopyrightText: 2026 The Holdfast authors
# SPDX-License-Identifier: Apache-2.0
"""`sort` by `holdfast run` against Python's sorted(), with keys of its own: numbers as fractions. Over
standard input, in memory and with --spill, or over objects of some cells of a cluster.

usage: sort.py HOLDFAST [SEED [BUCKET CASES put|run]]     BUCKET: of HOLDFAST_ENDPOINTS; put and
run are of the same objects
"""

import fractions
import math
import os
import random
import re
import struct
import subprocess
import sys
import tempfile

CODES = dict(zip("i8 u8 i16 u16 i32 u32 i64 u64 f32 f64".split(), "bBhHiIqQfd"))
NUMBER = re.compile(rb"[ \t]*([+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?)[ \t]*")
WHOLE = re.compile(rb"[ \t]*[+-]?\d+[ \t]*")
FIELDS = """1 -1 0 -0 0.0 -0.0 007 7 7.0 70e-1 1e0 +3 -2.5 1e300 -1e300 1e-300 -1e-320 5e-324 1e400 -1e400
9007199254740992 9007199254740993 9007199254740992.0 9007199254740991.5 18446744073709551615
18446744073709551616 -9223372036854775808 -9223372036854775809 18446744073709551614.9 x X xy 1x 0x1
nan inf - . 1e ü é""".split()
ODD = ["", " ", " 5", "5 ", "a,b", 'say "it"', "two\nlines", "\0", "a\0", "a\0b", "a\1", "ab", "a\xff"]
REALS = [0.0, -0.0, math.nan, -math.nan, math.inf, -math.inf, 5e-324, -5e-324, 1.0, -1.0, 2.0**53]
REALS += [2.0**64, -(2.0**63), 1e300, -1e300, 0.1, -0.1, math.nextafter(1, 2), 2.2250738585072014e-308]


class Down:
    """A key whose order is turned."""

    def __init__(self, key):
        self.key = key

    def __lt__(self, other):
        return other.key < self.key

    def __eq__(self, other):
        return other.key == self.key


def number_key(v):
    """NaN is above all numbers; infinities are beyond all others."""
    if isinstance(v, float) and math.isnan(v):
        return (2,)
    if isinstance(v, float) and math.isinf(v):
        return (1, 1 if v > 0 else -1, 0)
    return (1, 0, fractions.Fraction(v))


def text_key(field):
    if field == b"":
        return (0,)
    found = NUMBER.fullmatch(field) if len(field) <= 1024 else None
    if not found:
        return (3, field)
    if WHOLE.fullmatch(field) and -(1 << 63) <= int(field) < 1 << 64:
        return number_key(int(field))
    return number_key(float(found[1]))


def sort_keys(rng, fields):
    """Some of the fields, each up or down."""
    chosen = [rng.choice(fields) for _ in range(rng.choice([1, 1, 1, 2, 2, 3]))]
    return [(f, rng.random() < 0.4) for f in chosen]


def stage(keys):
    return "sort " + ", ".join("$%d%s" % (f, " down" if down else "") for f, down in keys)


def in_order(rows, keys, key_of):
    def key(row):
        found = [key_of(row, f) for f, _ in keys]
        return [Down(k) if down else k for k, (_, down) in zip(found, keys)]

    return sorted(rows, key=key)


def arrays(rng, rows_max):
    types = [rng.choice(list(CODES)) for _ in range(rng.choice([1, 1, 1, 2, 3]))]
    few = rng.random() < 0.3
    layout = struct.Struct("<" + "".join(CODES[t] for t in types))

    def value(t):
        if t == "f64":
            return rng.choice(REALS) if few or rng.random() < 0.1 else rng.gauss(0, 1) * 10.0 ** rng.randrange(-9, 9)
        if t == "f32":
            return rng.choice([0.0, -0.0, math.nan, math.inf, -math.inf, 0.5, -1.25]) if few else rng.gauss(0, 9)
        bits = 8 * struct.calcsize(CODES[t])
        low = -(1 << bits - 1) if t[0] == "i" else 0
        size = 3 if few else 1 << rng.choice([bits, bits, bits // 2])
        return max(low, min(low + (1 << bits) - 1, rng.randrange(size) + (low if rng.random() < 0.5 else 0)))

    rows = [layout.pack(*map(value, types)) for _ in range(rng.randrange(rows_max))]
    keys = sort_keys(rng, range(1, len(types) + 1))
    want = in_order(rows, keys, lambda row, f: number_key(layout.unpack(row)[f - 1]))
    return ",".join(types) + " | " + stage(keys), b"".join(rows), b"".join(want)


def quoted(field):
    return '"' + field.replace('"', '""') + '"' if any(c in field for c in ',"\r\n') else field


def field_of(row, f):
    return row[f - 1].encode("latin1") if f <= len(row) else b""


def texts(rng, rows_max):
    odd = FIELDS + ODD + ["key%d" % i for i in range(rng.choice([0, 40, 4000]))]
    few = rng.sample(odd, rng.randrange(1, len(odd)))

    def field():
        return rng.choice(few) if rng.random() < 0.7 else str(rng.randrange(-999, 999) / rng.choice([1, 2, 4]))

    rows = [[field() for _ in range(rng.randrange(1, 4))] for _ in range(rng.randrange(rows_max))]
    rows = [row for row in rows if row != [""]]
    end = rng.choice(["\n", "\r\n"])
    lines = [",".join(map(quoted, row)) for row in rows]
    keys = sort_keys(rng, range(1, 4))
    keep = rng.random() < 0.3
    head = "csv | where $1 != 1 | " if keep else "csv | "
    chosen = [(row, line) for row, line in zip(rows, lines) if not keep or differs_from_one(row[0])]
    ordered = in_order(chosen, keys, lambda pair, f: text_key(field_of(pair[0], f)))
    data = "".join(line + end for line in lines)
    if rng.random() < 0.5:
        return head + stage(keys), data.encode("latin1"), "".join(l + "\n" for _, l in ordered).encode("latin1")
    pick = lambda row: ",".join(quoted(field_of(row, f).decode("latin1")) for f in (3, 1))
    want = "".join(pick(row) + "\n" for row, _ in ordered)
    return head + stage(keys) + " | select $3, $1", data.encode("latin1"), want.encode("latin1")


def differs_from_one(field):
    """What is no number compares false with a number."""
    key = text_key(field.encode("latin1"))
    return key[0] == 1 and key != number_key(1)


def words(rng, rows_max):
    known = [rng.choice("abcdefg") * rng.randrange(1, 30) + str(rng.randrange(99)) for _ in range(300)]
    rows = [rng.choice(known).encode() for _ in range(rng.randrange(rows_max))]
    down = rng.random() < 0.5
    want = sorted(rows, key=text_key, reverse=False) if not down else in_order(rows, [(0, True)], lambda w, _: text_key(w))
    data = b"".join(w + rng.choice([b" ", b"\n", b"\t\n"]) for w in rows)
    return "words | sort $0" + (" down" if down else ""), data, b"".join(w + b"\n" for w in want)


def lines(rng, rows_max):
    """Computed values, and records that have none of them."""
    pairs = [(rng.randrange(-50, 50), rng.choice([None, rng.randrange(50)])) for _ in range(rng.randrange(rows_max))]
    rows = ["%d" % a if b is None else "%d  %d" % (a, b) for a, b in pairs]
    key = lambda i: (0,) if pairs[i][1] is None else (1, pairs[i][0] * 3 - pairs[i][1])
    order = sorted(range(len(rows)), key=lambda i: (Down(key(i)), abs(pairs[i][0] % 2)))
    want = "".join(rows[i] + "\n" for i in order).encode()
    return "lines | sort $1 * 3 - $2 down, ($1 % 2) * ($1 % 2)", "".join(r + "\n" for r in rows).encode(), want


def local(holdfast, program, data, *more):
    command = [holdfast, "run", "--local", program, *more]
    return subprocess.run(command, input=data, capture_output=True, check=False)


def put(holdfast, name, data):
    with tempfile.NamedTemporaryFile() as f:
        f.write(data)
        f.flush()
        command = [holdfast, "object", "put", name, f.name, "--timeout", "60"]
        subprocess.run(command, capture_output=True, check=True)


def remote(holdfast, name, program, *more):
    command = [holdfast, "run", name, program, "--timeout", "60", *more]
    return subprocess.run(command, capture_output=True, check=False)


def check(program, want, done, how):
    if done.returncode != 0 or done.stdout != want:
        sys.exit("%s %s\nwant %r\ngot  %r %r" % (program, how, want[:2000], done.stdout[:2000], done.stderr))


def make(rng, rows_max):
    return rng.choice([arrays, arrays, texts, texts, words, lines])(rng, rows_max)


def case(rng, work, made, run):
    program, _, want = made
    check(program, want, run(program), "")
    memory = str(rng.choice([1, 100, 1000, 30000]) * (1 + len(want) // 10000))
    check(program, want, run(program, "--memory", memory, "--spill", work), "spilling")
    if os.listdir(work):
        sys.exit("%s: --spill leaves %s" % (program, os.listdir(work)))


def main():
    holdfast = sys.argv[1]
    seed = int(os.environ.get("HOLDFAST_SEED", sys.argv[2] if len(sys.argv) > 2 else "1"))
    print("seed", seed, flush=True)
    cases = int(sys.argv[4]) if len(sys.argv) > 4 else 150
    with tempfile.TemporaryDirectory() as work:
        for i in range(cases):
            rng = random.Random("%d.%d" % (seed, i))
            if len(sys.argv) <= 4:
                made = make(rng, rng.choice([3, 60, 600, 3000]))
                case(rng, work, made, lambda program, *more: local(holdfast, program, made[1], *more))
                continue
            made = make(rng, 40000)
            name = "%s/%d.%d" % (sys.argv[3], seed, i)
            if sys.argv[5] == "put":
                put(holdfast, name, made[1])
            else:
                case(rng, work, made, lambda *w: remote(holdfast, name, *w))


main()
