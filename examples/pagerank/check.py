# SPDX-FileCopyrightText: 2026 The Holdfast authors
# SPDX-License-Identifier: Apache-2.0
"""Holds ranks that Holdfast has computed against PageRank computed here, in two ways.

usage: check.py LINKS RANKS ROUNDS     LINKS: lines FROM,TO; RANKS/00, RANKS/01 ...: lines PAGE,RANK

The first way rounds where the programs round, and has to give the same bits: weights, products and
the share of those who jump are rounded once each, and each sum is the exact one, rounded once
(math.fsum: Shewchuk, "Adaptive Precision Floating-Point Arithmetic", 1997).

The second is the formula as it is in books, and nothing of the first; its ranks may differ by what
both round. All that is added is positive, so errors relative to the exact ranks add up. With u =
2^-53 a round adds at most 6 u to those of the first (the sum of the dangling ranks, times d, plus
1 - d, 1/N, times that, the sum) and 5 u to those of the second (division, sum, plus the dangling
ranks, times d, plus those who jump): less than 12 u a round.
"""

import math
import sys

DAMPING = 0.85
JUMP = 0.15


def links_of(path):
    """returns: for each page its links, and the pages that link to it, with repetitions if any"""
    out, into = {}, {}
    with open(path, encoding="ascii") as lines:
        for line in lines:
            start, end = line.rstrip("\n").split(",")
            for page in (start, end):
                out.setdefault(page, [])
                into.setdefault(page, [])
            out[start].append(end)
            into[end].append(start)
    return out, into


def ranks_of(path):
    """returns: the ranks of a round, without that of those who jump, which is no page"""
    ranks = {}
    with open(path, encoding="ascii") as lines:
        for line in lines:
            page, rank = line.rstrip("\n").split(",")
            if page in ranks:
                sys.exit(f"check: {path} has page {page} twice")
            ranks[page] = float(rank)
    ranks.pop("jump", None)
    return ranks


def round_as_programs(ranks, out, into):
    dangling = math.fsum(ranks[page] for page in out if not out[page])
    jump = JUMP + DAMPING * dangling
    share = 1 / len(out)
    return {
        page: math.fsum(
            [jump * share] + [ranks[start] * (DAMPING / len(out[start])) for start in into[page]]
        )
        for page in out
    }


def round_as_books(ranks, out, into):
    dangling = math.fsum(ranks[page] for page in out if not out[page])
    return {
        page: JUMP / len(out)
        + DAMPING
        * (math.fsum(ranks[start] / len(out[start]) for start in into[page]) + dangling / len(out))
        for page in out
    }


def main():
    if len(sys.argv) != 4:
        sys.exit("usage: check.py LINKS RANKS ROUNDS")
    path, folder, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
    out, into = links_of(path)
    programs = {page: 1 / len(out) for page in out}
    books = dict(programs)
    farthest = 0
    for number in range(rounds + 1):
        if number > 0:
            programs = round_as_programs(programs, out, into)
            books = round_as_books(books, out, into)
        name = f"{folder}/{number:02}"
        ranks = ranks_of(name)
        if ranks.keys() != programs.keys():
            odd = sorted(ranks.keys() ^ programs.keys())
            sys.exit(f"check: {name} lacks pages, or has more: {odd[:5]}")
        for page, rank in ranks.items():
            if rank.hex() != programs[page].hex():
                sys.exit(f"check: {name}: page {page} has {rank!r}, not {programs[page]!r}")
            away = abs(rank - books[page]) / books[page]
            if not away <= 12 * number * 2**-53:
                sys.exit(f"check: {name}: page {page} has {rank!r}, by the book {books[page]!r}")
            farthest = max(farthest, away)
    print(
        f"python: {len(out)} pages, {rounds} rounds, every bit the same; by the book"
        f" {farthest:.1e} away at most, {12 * rounds * 2**-53:.1e} allowed"
    )


if __name__ == "__main__":
    main()
