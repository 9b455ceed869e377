# SPDX-FileCopyrightText: 2026 The Holdfast authors
# SPDX-License-Identifier: Apache-2.0
"""Scans by `holdfast run` against Python's whole numbers, fractions and math.fsum: over standard
input, or over an object of some cells of a cluster.

usage: scan.py HOLDFAST [SEED [BUCKET CASES]]     BUCKET: of HOLDFAST_ENDPOINTS, for the objects
"""

import itertools
import math
import random
import struct
import subprocess
import sys
import tempfile
from fractions import Fraction

TYPES = {
    "i8": "b", "u8": "B", "i16": "h", "u16": "H", "i32": "i", "u32": "I", "i64": "q", "u64": "Q",
    "f32": "f", "f64": "d",
}  # fmt: skip


def local(holdfast, program, data):
    return subprocess.run(
        [holdfast, "run", "--local", program], input=data, capture_output=True, check=False
    )


def remote(holdfast, bucket, program, data):
    with tempfile.NamedTemporaryFile() as f:
        f.write(data)
        f.flush()
        subprocess.run(
            [holdfast, "object", "put", bucket + "/scanned", f.name, "--timeout", "60"],
            capture_output=True,
            check=True,
        )
    return subprocess.run(
        [holdfast, "run", bucket + "/scanned", program, "--timeout", "60"],
        capture_output=True,
        check=False,
    )


class Wrong(Exception):
    pass


def exact(values):
    """The exact sum of doubles, rounded once, by another way than limbs."""
    if any(not math.isfinite(v) for v in values):
        # what is not finite decides; fsum raises where infinities meet
        if any(v != v for v in values) or {math.inf, -math.inf} <= set(values):
            return math.nan
        return math.inf if math.inf in values else -math.inf
    try:
        total = sum((Fraction(v) for v in values), Fraction(0))
        if total == 0 and values and all(v == 0 and math.copysign(1, v) < 0 for v in values):
            return -0.0
        assert len(values) > 50 or total != 0 or math.fsum(values) == 0
        return float(total)
    except OverflowError:
        return math.inf if total > 0 else -math.inf


def order(v):
    """-0 is below 0."""
    return (v, math.copysign(1, v))


def segments(records, begins):
    """Lists of the records of each segment."""
    out = [[]]
    for r in records:
        if begins(r):
            out.append([])
        out[-1].append(r)
    return out


def prefixes(op, exclusive, values, of_reals):
    """What the operator is of each prefix; None: of nothing. values: None is an empty field."""
    if op == "count":
        return [i + (not exclusive) for i in range(len(values))]
    if op == "or":
        ors = list(itertools.accumulate((v or 0 for v in values), int.__or__, initial=0))
        return ors[:-1] if exclusive else ors[1:]
    if op == "sum" and not of_reals:
        sums = list(itertools.accumulate((v or 0 for v in values), initial=0))
        return sums[:-1] if exclusive else sums[1:]
    out = []
    for i in range(len(values)):
        prefix = [v for v in values[: i + (not exclusive)] if v is not None]
        if op == "sum":
            out.append(exact(prefix))
        elif not prefix:
            out.append(None)
        elif any(v != v for v in prefix):
            out.append(math.nan)
        else:
            out.append((min if op == "min" else max)(prefix, key=order))
    return out


def any_number(rng, name, kind):
    code = TYPES[name]
    if code in "fd":
        v = rng.choice([
            lambda: rng.uniform(-1e3, 1e3),
            lambda: float(rng.randrange(-9, 9)),
            lambda: math.ldexp(rng.uniform(-1, 1), rng.randrange(-120, 120)),
            lambda: rng.choice([0.0, -0.0, math.inf, -math.inf, math.nan] if kind == 3 else [0.5]),
            lambda: -0.0,
        ][: kind + 1])()  # fmt: skip
        return struct.unpack(code, struct.pack(code, v))[0]
    bits = struct.calcsize(code) * 8
    most = min(bits, [4, 31, 40, 64][kind])
    v = rng.getrandbits(most)
    if code.islower():
        v -= 1 << (most - 1)
    return v


def raw_case(rng, count, run):
    names = rng.choices(list(TYPES), k=rng.choice([1, 1, 2, 3]))
    field = rng.randrange(len(names))
    name = names[field]
    kind = rng.randrange(4)
    records = [[any_number(rng, n, kind) for n in names] for _ in range(count)]
    data = b"".join(
        b"".join(struct.pack("<" + TYPES[n], v) for n, v in zip(names, r)) for r in records
    )
    op = rng.choice(["sum", "sum", "min", "max", "count"] + ["or"] * (TYPES[name] not in "fd"))
    exclusive = rng.random() < 0.4
    source = ",".join(names)
    numbered = list(enumerate(records))
    if rng.random() < 0.3:
        other = rng.randrange(len(names))
        source += " | where $%d > 0" % (other + 1)
        numbered = [(i, r) for i, r in numbered if r[other] > 0]
    parts, cut = segments(numbered, lambda r: False), ""
    if rng.random() < 0.3:
        by = rng.randrange(len(names))
        cut = " from $%d < 1" % (by + 1)
        parts = segments(numbered, lambda r: r[1][by] < 1)
    program = "%s | scan %s%s%s%s" % (
        source, "exclusive " if exclusive else "", op,
        "" if op == "count" else "" if field == 0 and not cut and rng.random() < 0.5
        else " $%d" % (field + 1), cut,
    )  # fmt: skip
    of_reals = TYPES[name] in "fd"
    result = "u64" if op == "count" else "f64" if of_reals else "u64" if name[0] == "u" else "i64"
    low, high = {"u64": (0, 2**64 - 1), "i64": (-(2**63), 2**63 - 1)}.get(result, (0, 0))
    empty = {"min": high, "max": low}.get(op, 0)
    if result == "f64":
        empty = math.inf if op == "min" else -math.inf
    want, error = b"", None
    for part in parts:
        values = [r[field] for _, r in part]
        for (i, _), v in zip(part, prefixes(op, exclusive, values, of_reals)):
            v = empty if v is None else v
            if result != "f64" and not low <= v <= high and error is None:
                error = "record %d: %s is %d, which is no %s" % (i + 1, op, v, result)
            if error is None and result == "f64" and v != v:
                want += bytes.fromhex("000000000000f87f")
            elif error is None:
                want += struct.pack("<" + TYPES[result], v)
    check(program, run(program, data), want, error)


def text_of(v):
    return "" if v is None else str(v)


def text_case(rng, count, run):
    """CSV with a key, a value that may be empty, and something to select."""
    rows = []
    for i in range(count):
        value = "" if rng.random() < 0.1 else str(rng.randrange(-(10**rng.randrange(1, 22)), 10**6))
        if value and not -(2**63) <= int(value) < 2**64:
            value = "7"
        rows.append([str(rng.randrange(5)), value, rng.choice(["a", "b c", "x" * i][:2])])
    data = "".join(",".join(r) + "\n" for r in rows)
    data = data if rng.random() < 0.7 else data.rstrip("\n")
    op = rng.choice(["sum", "sum", "min", "max", "or", "count"])
    exclusive = rng.random() < 0.4
    program = "csv"
    if rng.random() < 0.4:
        program += " | where $1 != 3"
        rows = [r for r in rows if r[0] != "3"]
    selects = rng.random() < 0.5
    program += " | select $3, $1 scan " if selects else " | scan "
    program += "exclusive " if exclusive else ""
    program += op + ("" if op == "count" else " $2")
    parts = segments(rows, lambda r: False)
    if rng.random() < 0.5:
        program += ' from $1 = 0 and $3 = "a"'
        parts = segments(rows, lambda r: r[0] == "0" and r[2] == "a")
    want = ""
    for part in parts:
        values = [None if r[1] == "" else int(r[1]) for r in part]
        for r, v in zip(part, prefixes(op, exclusive, values, False)):
            want += ("%s,%s," % (r[2], r[0]) if selects else "") + text_of(v) + "\n"
    check(program, run(program, data.encode()), want.encode(), None)


def mixed_case(rng, count, run):
    """Lines of doubles and whole numbers: each result is what `sum` prints of these lines."""
    values = [rng.choice([str(rng.randrange(-99, 99)), repr(rng.uniform(-1, 1))]) for _ in range(count)]
    program = "lines | scan sum"
    want = ""
    for i in range(1, count + 1):
        if all("." not in v and "e" not in v for v in values[:i]):
            want += "%d\n" % sum(int(v) for v in values[:i])
        else:
            want += "%s\n" % float(sum((Fraction(v) if "." not in v and "e" not in v else Fraction(float(v)) for v in values[:i]), Fraction(0)))
    done = run(program, "".join(v + "\n" for v in values).encode())
    got = done.stdout.decode().split("\n")[:-1]
    same = len(got) == count and all(float(a) == float(b) for a, b in zip(got, want.split("\n")))
    if done.returncode != 0 or not same:
        raise Wrong("%s\n%r\nwant %r\ngot  %r %r" % (program, values, want, got, done.stderr))


def check(program, done, want, error):
    said = done.stderr.decode()
    if done.stdout != want or (done.returncode != 0) != (error is not None) or (
        error is not None and error not in said
    ):
        at = next((i for i, (a, b) in enumerate(zip(done.stdout, want)) if a != b), None)
        raise Wrong(
            "%s\nbytes %d, wanted %d, first other one at %s: %r, wanted %r\nsaid %r, wanted %r"
            % (program, len(done.stdout), len(want), at, done.stdout[(at or 0) // 8 * 8 :][:24],
               want[(at or 0) // 8 * 8 :][:24], said, error)
        )  # fmt: skip


def main():
    holdfast = sys.argv[1]
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    print("seed", seed)
    rng = random.Random(seed)
    try:
        if len(sys.argv) > 4:
            for i in range(int(sys.argv[4])):
                case = raw_case if i % 2 == 0 else text_case
                case(rng, 1500, lambda *w: remote(holdfast, sys.argv[3], *w))
            return
        for _ in range(300):
            count = rng.choice([0, 1, 2, 7, 8, 9, 17, 100, rng.randrange(600)])
            case = rng.choice([raw_case, raw_case, text_case, mixed_case])
            case(rng, min(count, 60) if case is mixed_case else count,
                 lambda *w: local(holdfast, *w))  # fmt: skip
    except Wrong as wrong:
        sys.exit("seed %d: %s" % (seed, wrong))


main()
