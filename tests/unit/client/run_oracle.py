#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The Holdfast authors
# SPDX-License-Identifier: Apache-2.0
#
# Holds `holdfast run --local` against wc, awk and sort, and against Python: csv, math.fsum,
# fractions. Exit 1 on a difference.
#
#   run_oracle.py HOLDFAST [SEED [ROUNDS]]      HOLDFAST_SEED=N: another seed
import collections
import csv
import fractions
import io
import math
import os
import random
import struct
import subprocess
import sys
import tempfile

HOLDFAST = sys.argv[1]
SEED = int(sys.argv[2] if len(sys.argv) > 2 else os.environ.get("HOLDFAST_SEED", "1"))
ROUNDS = int(sys.argv[3]) if len(sys.argv) > 3 else 25
RANDOM = random.Random(SEED)
CODES = {"b": "i8", "B": "u8", "h": "i16", "H": "u16", "i": "i32", "I": "u32", "q": "i64",
         "Q": "u64", "f": "f32", "d": "f64"}


def run(program, data, code):
    """What is printed; of a run that is to fail its error."""
    done = subprocess.run([HOLDFAST, "run", "--local", program], input=data, capture_output=True)
    if done.returncode != code:
        sys.exit(f"seed={SEED} {program}: exit {done.returncode}: {done.stderr.decode()}")
    if "| by " in program and "estimate" not in program:
        spilled(program, data, done)
    return done.stderr[len("holdfast: ") :].rstrip(b"\n") if code != 0 else done.stdout


def spilled(program, data, expected):
    """With next to no memory, and a directory for the rest, the same comes out."""
    with tempfile.TemporaryDirectory() as directory:
        memory = str(RANDOM.choice([1, 100, 3000, 100000]))
        done = subprocess.run([HOLDFAST, "run", "--local", program, "--memory", memory, "--spill",
                               directory], input=data, capture_output=True)
        left = os.listdir(directory)
    if b"take more than the limit of" in done.stderr and "top" in program:
        return
    if (done.returncode, done.stdout, done.stderr, left) != (
            expected.returncode, expected.stdout, expected.stderr, []):
        sys.exit(f"seed={SEED} {program}: with --memory {memory} --spill: {done.stderr.decode()}")


def tool(words, data):
    env = dict(os.environ, LC_ALL="C")
    return subprocess.run(words, input=data, capture_output=True, check=True, env=env).stdout


def check(program, data, expected, code=0):
    got = run(program, data, code)
    if isinstance(expected, str):
        expected = expected.encode()
    if got != expected:
        print(f"seed={SEED} {program}\n data {data[:2000]!r}\n got  {got[:2000]!r}\n not  {expected[:2000]!r}")
        sys.exit(1)


def number(value):
    """As programs print numbers."""
    if isinstance(value, int):
        return str(value)
    texts = (f"{value:.{digits}g}" for digits in range(1, 18))
    return min((t for t in texts if float(t) == value), key=len)


def line(values):
    return ",".join("" if v is None else number(v) for v in values) + "\n"


def nearest(exact):
    try:
        return float(exact)
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


def mean(values):
    return nearest(fractions.Fraction(sum(map(fractions.Fraction, values))) / len(values))


def total(values):
    if all(isinstance(v, int) for v in values):
        return sum(values)
    return nearest(sum(map(fractions.Fraction, values)))


def variance(values, less):
    exact = [fractions.Fraction(v) for v in values]
    if len(exact) <= less:
        return None
    middle = sum(exact) / len(exact)
    return nearest(sum((v - middle) ** 2 for v in exact) / (len(exact) - less))


def text():
    size = RANDOM.randrange(0, 3000)
    letters = RANDOM.choice(["ab \n", "abcdefgh  \n\t", "a1.,;:-_ \n\n", "x\n"])
    return "".join(RANDOM.choice(letters) for _ in range(size)).encode()


def words_and_lines():
    data = text()
    check("words | count", data, tool(["sh", "-c", "wc -w | tr -d ' '"], data))
    check("lines | count", data, tool(["awk", "END { print NR }"], data))
    check("lines | where $0 = \"x\" | count", data, tool(["awk", '$0 == "x" { n++ } END { print n + 0 }'], data))
    check("words | by $0 count", data,
          tool(["sh", "-c", "tr -s ' \\n\\t' '\\n' | sed '/^$/d' | sort | uniq -c | "
                            "awk '{ t = $2; if (t ~ /,/) t = \"\\\"\" t \"\\\"\"; print t \",\" $1 }'"], data))
    check("lines | select $2", data.replace(b",", b""),
          tool(["awk", "-F", "[ \t]+", '{ sub(/^[ \t]+/, ""); print $2 }'], data.replace(b",", b"")))
    counts = collections.Counter(data.decode().split())
    best = sorted(counts.items(), key=lambda c: (-c[1], c[0].encode()))[:5]
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(best)
    check("words | by $0 count | top 5", data, out.getvalue())


def value():
    kind = RANDOM.randrange(6)
    if kind == 0:
        return str(RANDOM.randrange(-(2**63), 2**64))
    if kind == 1:
        return repr(RANDOM.uniform(-1, 1) * 10.0 ** RANDOM.randrange(-300, 300))
    if kind == 2:
        return f"{RANDOM.randrange(10**RANDOM.randrange(1, 25))}.{RANDOM.randrange(10**RANDOM.randrange(1, 25))}"
    if kind == 3:
        return f"{RANDOM.randrange(10**RANDOM.randrange(1, 30))}e{RANDOM.randrange(-40, 40)}"
    if kind == 4:
        return ""
    return str(RANDOM.randrange(-5, 1000))


def read(field):
    """The number of a field; None of an empty one."""
    if field == "":
        return None
    try:
        whole = int(field)
        return whole if -(2**63) <= whole < 2**64 else float(field)
    except ValueError:
        return float(field)


def groups():
    keys = ["a", "b,c", 'd"e', "f\ng", "", "zz", "\u00e9"]
    few = RANDOM.random() < 0.5
    rows = []
    for _ in range(RANDOM.randrange(0, 120)):
        v = str(RANDOM.randrange(1000)) if few else value()
        rows.append([RANDOM.choice(keys), v, RANDOM.choice(keys)])
    out = io.StringIO()
    quoting = RANDOM.choice([csv.QUOTE_ALL, csv.QUOTE_MINIMAL])
    csv.writer(out, lineterminator=RANDOM.choice(["\n", "\r\n"]), quoting=quoting).writerows(rows)
    data = out.getvalue().encode()
    if RANDOM.random() < 0.5:
        check("csv header | count", data, f"{max(len(rows) - 1, 0)}\n")
    check("csv | count", data, f"{len(rows)}\n")
    names = ["key", RANDOM.choice(["v", "a value", 'with "quotes"']), "state_2"]
    out = io.StringIO()
    csv.writer(out, lineterminator="\n", quoting=quoting).writerow(names)
    named = "csv header key, \"" + names[1].replace('"', '\\"') + "\", state_2"
    counts = collections.Counter((r[2].encode(), r[0].encode()) for r in rows)
    expected = io.StringIO()
    csv.writer(expected, lineterminator="\n").writerows(
        [a.decode(), b.decode(), n] for (a, b), n in sorted(counts.items()))
    check(f"{named} | by $state_2, $key count", out.getvalue().encode() + data,
          expected.getvalue())
    check(f"{named}, more | count", out.getvalue().encode() + data,
          "record 1: $4 is '', and 'more' was declared", 1)

    found = collections.defaultdict(list)
    for row in rows:
        found[row[0].encode()].append(read(row[1]))
    expected = io.StringIO()
    writer = csv.writer(expected, lineterminator="\n")
    for key in sorted(found):
        values = [v for v in found[key] if v is not None]
        results = [len(found[key]), total(values), mean(values) if values else None,
                   min(values, default=None), max(values, default=None),
                   variance(values, 1), variance(values, 0)]
        results = [None if r is None else number(r) for r in results]
        writer.writerow([key.decode()] + results)
    check("csv | by $1 count, sum $2, mean $2, min $2, max $2, var $2, varp $2", data,
          expected.getvalue())

    limit = RANDOM.choice([0, 500, 0.5])
    passed = [r for r in rows if read(r[1]) is not None and read(r[1]) >= limit and r[2] != "a"]
    counts = collections.Counter((r[2].encode(), r[0].encode()) for r in passed)
    expected = io.StringIO()
    csv.writer(expected, lineterminator="\n").writerows(
        [a.decode(), b.decode(), n] for (a, b), n in
        sorted(counts.items(), key=lambda c: (-c[1], c[0]))[:4])
    check(f'csv | where $2 >= {limit} and $3 != "a" | by $3, $1 count | top 4', data,
          expected.getvalue())
    expected = io.StringIO()
    csv.writer(expected, lineterminator="\n").writerows(
        [r[2] or "", number(read(r[1]))] + r[:1] for r in passed)
    check(f'csv | where $2 >= {limit} and not $3 = "a" | select $3, $2 * 1, $1', data,
          expected.getvalue())


def place(values, most):
    """Which record, of numbers and None: the first of equals; -0 is below 0."""
    best = None
    for i, v in enumerate(values):
        if v is None:
            continue
        order = (fractions.Fraction(v), -1 if v == 0 and math.copysign(1, v) < 0 else 0)
        if best is None or (order > best[0] if most else order < best[0]):
            best = (order, i)
    return None if best is None else best[1]


def places():
    """argmin and argmax of text and of records, with others left out before."""
    keys = [RANDOM.choice("abc") for _ in range(RANDOM.randrange(0, 80))]
    few = RANDOM.random() < 0.6
    fields = [RANDOM.choice(["1", "1.0", "-0.0", "0", "", "7", "-2e0"]) if few else value() for _ in keys]
    values = [read(f) for f in fields]
    data = "".join(f"{k},{f}\n" for k, f in zip(keys, fields)).encode()
    expected = ""
    for key in sorted(set(keys) - {"b"}):
        mine = [v if k == key else None for k, v in zip(keys, values)]
        expected += f"{key},{line([place(mine, False), place(mine, True)])}"
    check('csv | where $1 != "b" | by $1 argmin $2, argmax $2', data, expected)
    head = [None] + [v if k == "b" else None for k, v in zip(keys, values)]
    if place(head, True) is None:
        check('csv header | where $1 = "b" | argmax $2', b"x\n" + data, "argmax of too few numbers", 1)
    else:
        check('csv header | where $1 = "b" | argmax $2', b"x\n" + data, line([place(head, True)]))
    numbers = [(RANDOM.randrange(4), RANDOM.choice([-0.0, 0.0, 1.5, -1.5, 2.0])) for _ in range(RANDOM.randrange(1, 60))]
    mine = [real if whole > 1 else None for whole, real in numbers]
    if place(mine, False) is not None:
        check("u16,f64,x1 | where $1 > 1 | argmin $2, argmax $2, count",
              b"".join(struct.pack("<Hdx", *n) for n in numbers),
              line([place(mine, False), place(mine, True), sum(v is not None for v in mine)]))


def mix(v):
    v = ((v ^ (v >> 30)) * 0xbf58476d1ce4e5b9) % 2**64
    v = ((v ^ (v >> 27)) * 0x94d049bb133111eb) % 2**64
    return v ^ (v >> 31)


def hash_of(data):
    odd = 0xd6e8feb86659fd93
    state = 0x9e3779b97f4a7c15
    whole = len(data) // 8 * 8
    for at in range(0, whole, 8):
        state = mix((state ^ int.from_bytes(data[at : at + 8], "little")) * odd % 2**64)
    return mix(((state ^ int.from_bytes(data[whole:], "little")) * odd + len(data)) % 2**64)


def samples():
    lines = [b" ".join(RANDOM.choice([b"a", b"bc", b"17", b"word%d" % RANDOM.randrange(50)])
                       for _ in range(RANDOM.randrange(0, 6))) for _ in range(RANDOM.randrange(300))]
    share = RANDOM.choice([0.5, 0.01, 1, 0.9, RANDOM.random()])
    limit = int(share * 2**64)
    data = b"".join(line + b"\n" for line in lines)
    passed = [line for line in lines if hash_of(line) < limit]
    check(f"lines | sample {share!r}", data, b"".join(line + b"\n" for line in passed))
    passed = [line for line in passed if hash_of((line.split() + [b"", b""])[1]) < limit]
    check(f"lines | sample {share!r} | sample {share!r} $2 | count", data, f"{len(passed)}\n")
    numbers = [RANDOM.randrange(-5, 5) for _ in range(RANDOM.randrange(100))]
    packed = [struct.pack("<hb", n, 7) for n in numbers]
    check(f"i16,x1 | sample {share!r} | count", b"".join(packed),
          f"{sum(hash_of(p) < limit for p in packed)}\n")
    check(f"i16,x1 | sample {share!r} $1 * 2 | count", b"".join(packed),
          f"{sum(hash_of(b'%d' % (2 * n)) < limit for n in numbers)}\n")


def root(exact):
    """The nearest double to the root of a fraction: of 65 bits or more and a mark for the rest."""
    shift = max(0, 140 - exact.numerator.bit_length() + exact.denominator.bit_length()) // 2 + 2
    scaled = exact * 4**shift
    found = math.isqrt(scaled.numerator // scaled.denominator)
    return nearest(fractions.Fraction(2 * found + (found * found != scaled), 2 << shift))


def estimate(op, clusters, p):
    """clusters: lists of numbers. Value and bound, exact until the last step; None: there is none."""
    z = fractions.Fraction(1.9599639845400543)
    found = [c for c in clusters if c]
    n = sum(map(len, found))
    totals = [fractions.Fraction(len(c)) if op == "count" else sum(map(fractions.Fraction, c)) for c in found]
    if op == "mean":
        if n == 0:
            return [None, None]
        value = sum(totals) / n
        variance = (1 - p) * sum((t - value * len(c)) ** 2 for t, c in zip(totals, found)) / n**2
    else:
        value = sum(totals) / p
        variance = (1 - p) / p**2 * sum(t**2 for t in totals)
    bound = root(variance * z * z)
    return [nearest(value), bound if len(found) > 1 or p == 1 else None]


def estimates():
    share = RANDOM.choice([0.5, 0.25, 1, 0.9, RANDOM.random()])
    limit = int(share * 2**64)
    p = fractions.Fraction(limit, 2**64)
    numbers = RANDOM.choice([value, lambda: str(RANDOM.randrange(-9, 9)), lambda: repr(RANDOM.uniform(-1, 1))])
    rows = [(RANDOM.choice("abc"), numbers(), str(RANDOM.randrange(30))) for _ in range(RANDOM.randrange(1, 150))]
    rows += [RANDOM.choice(rows) for _ in range(RANDOM.randrange(0, 20))]
    data = "".join(",".join(r) + "\n" for r in rows).encode()
    for sampled, stage in ((lambda r: ",".join(r), ""), (lambda r: r[2], " $3")):
        passed = [r for r in rows if hash_of(sampled(r).encode()) < limit]
        results = {}
        for key in sorted({r[0] for r in passed}) + [None]:
            mine = collections.defaultdict(list)
            for r in passed:
                if key is None or r[0] == key:
                    mine[sampled(r)].append(r)
            of = [[v for v in map(read, (r[1] for r in c)) if v is not None] for c in mine.values()]
            results[key] = (estimate("count", mine.values(), p) + estimate("sum", of, p)
                            + estimate("mean", of, p))
        whole = results.pop(None)
        what = "estimate count, sum $2, mean $2"
        expected = "".join(f"{key},{line(r)}" for key, r in results.items())
        check(f"csv | sample {share!r}{stage} | by $1 {what}", data, expected)
        best = sorted(results.items(), key=lambda r: (-r[1][0], r[0]))[:2]
        check(f"csv | sample {share!r}{stage} | by $1 {what} | top 2", data,
              "".join(f"{key},{line(r)}" for key, r in best))
        if None in whole:
            name = ["count", "sum", "mean"][whole.index(None) // 2]
            check(f"csv | sample {share!r}{stage} | {what}", data,
                  f"the sample has too few different values for bounds of {name}", 1)
        else:
            check(f"csv | sample {share!r}{stage} | {what}", data, line(whole))


def arrays():
    codes = [RANDOM.choice(list(CODES)) for _ in range(RANDOM.randrange(1, 4))]
    skip = RANDOM.randrange(0, 4)
    layout = struct.Struct("<" + "".join(codes) + (f"{skip}x" if skip else ""))
    rows = []
    for _ in range(RANDOM.randrange(0, 100)):
        row = []
        for code in codes:
            if code in "fd":
                v = RANDOM.choice([0.5, -1.25, 3e10, 7.0, RANDOM.uniform(-1e6, 1e6)])
                row.append(struct.unpack("<" + code, struct.pack("<" + code, v))[0])
            else:
                bits = 8 * struct.calcsize("<" + code)
                low = -(2 ** (bits - 1)) if code.islower() else 0
                row.append(RANDOM.randrange(low, low + 2**bits) if RANDOM.random() < 0.5
                           else RANDOM.randrange(0, 100))
        rows.append(row)
    data = b"".join(layout.pack(*row) for row in rows)
    source = ",".join(CODES[c] for c in codes) + (f",x{skip}" if skip else "")
    last = len(codes)
    check(f"{source} | count", data, f"{len(rows)}\n")
    passed = [r[-1] for r in rows if r[0] > 3]
    check(f"{source} | where $1 > 3 | sum ${last}, count", data,
          line([total(passed) if passed else 0, len(passed)]))
    check(f"{source} | where $1 > 3", data, b"".join(layout.pack(*r) for r in rows if r[0] > 3))
    check(f"{source} | where $1 <= 3 | select ${last}, $1", data,
          "".join(line([r[-1], r[0]]) for r in rows if r[0] <= 3))
    if rows:
        first = [r[0] for r in rows]
        plain = total(first)
        check(f"{source} | sum", data, line([float(plain) if codes[0] in "fd" else plain]))
        check(f"{source} | mean, min, max, varp", data,
              line([mean(first), min(first), max(first), variance(first, 0)]))
        products = [fractions.Fraction(r[0]) * fractions.Fraction(r[-1]) for r in rows]
        real = codes[0] in "fd" or codes[-1] in "fd"
        exact = all(isinstance(v, float) or abs(v) < 2**53 for r in rows for v in (r[0], r[-1]))
        if not real or exact:
            both = float(sum(products)) if real else int(sum(products))
            beyond = not real and not -(2**127) <= both < 2**127
            expected = b"dot is beyond 128 bits" if beyond else line([len(rows), both])
            check(f"{source} | count, dot $1, ${last}", data, expected, 1 if beyond else 0)


def arithmetic():
    a, b = RANDOM.randrange(-(2**31), 2**31), RANDOM.choice([RANDOM.randrange(1, 100), RANDOM.randrange(1, 2**31)])
    rest = int(math.fmod(a, b))
    data = f"{a} {b}\n".encode()
    check("lines | select $1 + $2, $1 - $2, $1 * $2, $1 / $2, $1 % $2, -$1, ($1 + 1) * 2 - $2",
          data, line([a + b, a - b, a * b, a / b, rest, -a, (a + 1) * 2 - b]))


def white_space():
    """Every byte, on both sides of the blocks in which words are counted."""
    data = bytes(RANDOM.choice([RANDOM.randrange(256), RANDOM.randrange(8, 15), 32, 97, 160, 141])
                 for _ in range(RANDOM.randrange(0, 700)))
    counts = collections.Counter(data.split())
    expected = b""
    for word, count in sorted(counts.items()):
        quoted = b'"' + word.replace(b'"', b'""') + b'"' if set(word) & set(b',"') else word
        expected += quoted + b",%d\n" % count
    check("words | by $0 count", data, expected)
    check("words | count", data, f"{sum(counts.values())}\n")


def errors():
    check("lines | cuont", b"", "column 9: 'cuont' is no stage; is 'count' meant?", 2)
    check("lines | sum", b"1\nx\n", "record 2: $0 is no number: 'x'", 1)
    check("f64 | min", b"", "min of too few numbers", 1)
    for words in [["lines"], ["--local"], ["--local", "--memory", "0", "lines"]]:
        done = subprocess.run([HOLDFAST, "run"] + words, input=b"", capture_output=True)
        assert done.returncode == 2, (words, done)
    words = [HOLDFAST, "run", "--local", "--json", "--memory=1000", "words | by $0 count"]
    done = subprocess.run(words, input=text() + bytes(range(33, 99)) * 3 + b" ".join(
        b"%d" % i for i in range(99)), capture_output=True)
    assert done.returncode == 1 and done.stdout == b"", done
    assert b'"TOO_LARGE"' in done.stderr and b"limit of 1000 bytes" in done.stderr, done


print(f"run_oracle: seed={SEED}")
errors()
for _ in range(ROUNDS):
    words_and_lines()
    white_space()
    groups()
    samples()
    places()
    estimates()
    arrays()
    arithmetic()
