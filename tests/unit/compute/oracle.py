#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The Holdfast authors
# SPDX-License-Identifier: Apache-2.0
#
# Holds exact sums, means, variances and dots against Python: math.fsum, and whole numbers of any
# size, whose quotient Python rounds correctly (as fractions.Fraction does). Exit 1 on a difference.
#
#   oracle.py COMPUTE_ORACLE [SEED [LINES]]      HOLDFAST_SEED=N: another seed
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


def main():
    seed = os.environ.get("HOLDFAST_SEED", sys.argv[2] if len(sys.argv) > 2 else "1")
    lines = sys.argv[3] if len(sys.argv) > 3 else "1000"
    print(f"oracle: seed={seed}")
    said = subprocess.run([sys.argv[1], seed, lines], capture_output=True, text=True, check=True)
    names = ["sum", "mean", "varp", "var", "dot"]
    seen, bad = 0, 0
    for number, line in enumerate(said.stdout.splitlines()):
        kind, *rest = line.split()
        bar = rest.index("|")
        values = [double_of(text) for text in rest[:bar]]
        for name, got, want in zip(names, rest[bar + 1 :], map(bits_of, expected(values))):
            if got != want:
                bad += 1
                print(f"line {number}, kind {kind}: {name} is {got}, not {want}, of {rest[:bar]}")
        seen += 1
    print(f"oracle: {seen} lines, {bad} differences")
    return bad != 0 or seen != int(lines)


sys.exit(main())
