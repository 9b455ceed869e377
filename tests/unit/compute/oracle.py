#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The Holdfast authors
# SPDX-License-Identifier: Apache-2.0
#
# Holds exact sums and operators against Python: math.fsum, and whole numbers of any size, whose
# quotient Python rounds correctly (as fractions.Fraction does). Exit 1 on a difference.
#
#   oracle.py COMPUTE_ORACLE [SEED [LINES]]      HOLDFAST_SEED=N: another seed
import bisect
import math
import os
import struct
import subprocess
import sys

UNIT = 1 << 1074  # units of the least double in 1


def double_of(text):
    return struct.unpack(">d", bytes.fromhex(text))[0]


def bits_of(value):
    if math.isnan(value):
        return "7ff8000000000000"
    return struct.pack(">d", value).hex()


def whole(value):
    """A finite double in units of 2^-1074."""
    top, bottom = value.as_integer_ratio()
    return top * (UNIT // bottom)


def quotient(top, bottom):
    try:
        return top / bottom
    except OverflowError:
        return math.inf if top > 0 else -math.inf


def sum_of(terms, exact, unit, count):
    """terms: rounded one by one, for what is not finite and for signs; exact: in 1/unit."""
    odd = [t for t in terms if not math.isfinite(t)]
    if odd:
        return sum(odd)
    if all(t == 0 and math.copysign(1, t) < 0 for t in terms):
        return -0.0
    total = sum(exact())
    result = quotient(total, unit * count)
    return -0.0 if result == 0 and total < 0 else result


def products(xs, ys):
    """Terms of a dot: their signs, and what is not finite. A product that overflows is finite."""
    terms = []
    for x, y in zip(xs, ys):
        if math.isfinite(x) and math.isfinite(y):
            sign = math.copysign(1, x) * math.copysign(1, y)
            terms.append(math.copysign(0.0 if x == 0 or y == 0 else 1.0, sign))
        else:
            terms.append(x * y)
    return terms


def variance(values, divisor):
    if not all(map(math.isfinite, values)):
        return math.nan
    whole_values = [whole(v) for v in values]
    n = len(values)
    top = n * sum(w * w for w in whole_values) - sum(whole_values) ** 2
    return quotient(top, UNIT * UNIT * n * divisor)


def expected(values):
    n = len(values)
    half = n // 2
    xs, ys = values[:half], values[half : 2 * half]
    total = sum_of(values, lambda: map(whole, values), UNIT, 1)
    try:
        rounded = math.fsum(values)
        assert rounded == total or (math.isnan(rounded) and math.isnan(total))
    except (OverflowError, ValueError):
        pass  # fsum overflows on the way, and takes no infinities of both signs
    return [
        total,
        sum_of(values, lambda: map(whole, values), UNIT, n),
        variance(values, n),
        variance(values, n - 1),
        sum_of(products(xs, ys), lambda: (whole(x) * whole(y) for x, y in zip(xs, ys)), UNIT * UNIT, 1),
    ]


CODES = {"i8": "b", "u8": "B", "i16": "h", "u16": "H", "i32": "i", "u32": "I", "i64": "q", "u64": "Q", "f32": "f", "f64": "d"}


def text_of(value):
    """The shortest of %.1g to %.17g that reads back, of equally long ones the first."""
    if isinstance(value, int):
        return str(value)
    if math.isnan(value):
        return "nan"
    texts = ("%.*g" % (digits, value) for digits in range(1, 18))
    return min((t for t in texts if bits_of(float(t)) == bits_of(value)), key=len)


def order(value):
    return (value, math.copysign(1, value))


def place(values, most):
    for i, value in enumerate(values):
        if math.isnan(value):
            return i
    best = (max if most else min)(values, key=order)
    return next(i for i, v in enumerate(values) if order(v) == order(best))


def moments(op, values, real):
    """mean, var and varp, exact until the last step."""
    n = len(values)
    divisor = n - 1 if op == "var" else n
    if real and op == "mean":
        return sum_of(values, lambda: map(whole, values), UNIT, n)
    if real:
        return variance(values, divisor)
    if op == "mean":
        return quotient(sum(values), n)
    return quotient(n * sum(v * v for v in values) - sum(values) ** 2, n * divisor)


def total_of(op, values, others, real):
    """sum and dot."""
    if real and not values:
        return 0.0
    if real and op == "sum":
        return sum_of(values, lambda: map(whole, values), UNIT, 1)
    if real:
        exact = lambda: (whole(x) * whole(y) for x, y in zip(values, others))
        return sum_of(products(values, others), exact, UNIT * UNIT, 1)
    total = sum(values) if op == "sum" else sum(x * y for x, y in zip(values, others))
    return total if -(1 << 127) <= total < 1 << 127 else "OVERFLOW"


def histogram(values, count, low, high):
    edges = [min(low + (high - low) * (i / count), high) for i in range(count)] + [high]
    counts = [0] * count
    outside = {"below": 0, "above": 0, "nan": 0}
    for v in map(float, values):
        if low <= v < high:
            counts[bisect.bisect_right(edges, v, hi=count) - 1] += 1
        else:
            outside["nan" if math.isnan(v) else "below" if v < low else "above"] += 1
    rows = [(-math.inf, low, outside["below"])]
    rows += zip(edges, edges[1:], counts)
    rows += [(high, math.inf, outside["above"])]
    rows += [(math.nan, math.nan, outside["nan"])] if outside["nan"] else []
    return rows


def log_bin(v, parts):
    """The ends of a double's part of a power of two."""
    size = abs(v)
    if math.isinf(size):
        ends = (size, size)
    else:
        exponent = max(math.frexp(size)[1] - 1, -1022) if size else -1022
        width = math.ldexp(1.0, exponent - parts)
        near = math.floor(size / width) * width
        ends = (near, near + width)
    return ends if v >= 0 else (-ends[1], -ends[0])


def logarithmic(values, parts):
    counts, nans = {}, 0
    for v in map(float, values):
        if math.isnan(v):
            nans += 1
        else:
            ends = log_bin(v, parts)
            key = (order(ends[0]), order(ends[1]))
            counts[key] = counts.get(key, 0) + 1
    rows = [(low[0], high[0], n) for (low, high), n in sorted(counts.items())]
    return rows + ([(math.nan, math.nan, nans)] if nans else [])


def top(values, count):
    def first(pair):
        v, record = pair
        nan = isinstance(v, float) and math.isnan(v)
        return (not nan, 0 if nan else -v, 0 if nan else -math.copysign(1, v), record)

    return sorted(zip(values, range(len(values))), key=first)[:count]


def lines(rows):
    return "".join(",".join(map(text_of, row)) + ";" for row in rows)


def is_close(op, values, parts, q, got):
    """Of estimates: whether it is as near as is promised."""
    if op == "distinct":
        true = len({"nan" if v != v else v for v in values})
        return abs(int(got) - true) <= max(2, 0.05 * true)
    if any(math.isnan(v) for v in values):
        return got == "nan"
    true = sorted(map(float, values))[math.floor(q * (len(values) - 1))]
    bound = abs(true) / (2 ** (parts + 1) + 1) * (1 + 1e-14) + 2.0**-1022
    return float(got) == true or abs(float(got) - true) <= bound


def scalar(op, values, others, real):
    if op == "count":
        return len(values)
    if op in ("sum", "dot"):
        return total_of(op, values, others, real)
    if len(values) < (2 if op == "var" else 1):
        return "NOT_FOUND"
    if op in ("mean", "var", "varp"):
        return moments(op, values, real)
    at = place(values, op.endswith("max"))
    return at if op.startswith("arg") else values[at]


def check_reduce(line):
    op, kind, record, field, other, count, low, high, data, got = (line + " ").split(" ")[:10]
    code, count, low, high, data = CODES[kind], int(count), double_of(low), double_of(high), bytes.fromhex(data[1:])
    starts = range(0, len(data), int(record))
    values = [struct.unpack_from("<" + code, data, at + int(field))[0] for at in starts]
    others = [struct.unpack_from("<" + code, data, at + int(other))[0] for at in starts]
    if op in ("quantile", "distinct") and values:
        return [] if is_close(op, values, count, low, got[:-1]) else [f"{op} is {got}"]
    if op == "histogram":
        want = lines(histogram(values, count, low, high))
    elif op == "log":
        want = lines(logarithmic(values, count))
    elif op == "top":
        want = lines(top(values, count))
    elif op in ("quantile", "distinct"):
        want = "NOT_FOUND" if op == "quantile" else "0;"
    else:
        want = scalar(op, values, others, code in "fd")
        want = want if isinstance(want, str) else lines([[want]])
    return [] if got == want else [f"{op} is {got}, not {want}"]


def check_sums(line):
    names = ["sum", "mean", "varp", "var", "dot"]
    _, *rest = line.split()
    bar = rest.index("|")
    values = [double_of(text) for text in rest[:bar]]
    results = zip(names, rest[bar + 1 :], map(bits_of, expected(values)), strict=True)
    return [f"{name} is {got}, not {want}" for name, got, want in results if got != want]


def main():
    seed = os.environ.get("HOLDFAST_SEED", sys.argv[2] if len(sys.argv) > 2 else "1")
    lines = sys.argv[3] if len(sys.argv) > 3 else "1000"
    print(f"oracle: seed={seed}")
    bad = 0
    for part, check in (("sums", check_sums), ("reduce", check_reduce)):
        command = [sys.argv[1], part, seed, lines]
        said = subprocess.run(command, capture_output=True, text=True, check=True)
        checked = said.stdout.splitlines()
        for line in checked:
            for difference in check(line):
                bad += 1
                print(f"{part}: {difference}: {line}")
        print(f"{part}: {len(checked)} lines, {bad} differences so far")
        bad += len(checked) != int(lines)
    return bad != 0


sys.exit(main())
