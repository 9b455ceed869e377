#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The Holdfast authors
# SPDX-License-Identifier: Apache-2.0
#
# What test_hostile.sh needs beside the command: its files, and a client that says to a node what the
# command would refuse before it asks.
#   hostile.py content DIR                       files to make objects of
#   hostile.py ask ENDPOINT VERSION SIZE         object.run of b/nums: nonsense, one after the other
#   hostile.py flood ENDPOINT VERSION COUNT      so many at once over one connection; then it is cut
import random
import socket
import struct
import sys

DEADLINE_MS = 20_000


def content(directory):
    """Objects that programs are hostile about, and tables."""
    rng = random.Random(7)

    def write(name, data):
        with open(f"{directory}/{name}", "wb") as file:
            file.write(data)

    write("nums", b"".join(b"%d,%d\n" % (i, i % 10) for i in range(1, 200_001)))
    write("groups", b"".join(b"k%d,%d\n" % (i * 7919 % 10_000_019, i) for i in range(600_000)))
    write("lines", b"\n" * (2 << 20))
    write("over", b"fine 1\n" * 1000 + b"y" * 1_048_577 + b"\n" + b"fine 2\n" * 1000)
    write("quote", b'a,b\n1,"' + b"twelve, bytes\n" * 600_000)
    write("quotes", b'a,b\n1,"' + b"no end\n" * 20_000)
    write("f64", b"".join(struct.pack("<d", rng.uniform(-1e300, 1e300)) for _ in range(200_001)))
    write("cut", b"\xff" * 800_001)
    write("most", struct.pack("<q", 2**63 - 1) * 100_000)
    write("big", b"x" * (100 << 20) + b"\n")
    write("row", b"k,short\n,found," + b"w" * 1_000_000 + b"\n")
    write("twice", b"a,1\nb,2\na,3\n")


# ---- MessagePack-RPC ------------------------------------------------------------------------------


def pack(value):
    if isinstance(value, int):
        return struct.pack(">BQ", 0xCF, value)
    if isinstance(value, str):
        return struct.pack(">BI", 0xDB, len(value.encode())) + value.encode()
    if isinstance(value, bytes):
        return struct.pack(">BI", 0xC6, len(value)) + value
    if isinstance(value, dict):
        return struct.pack(">BI", 0xDF, len(value)) + b"".join(
            pack(k) + pack(v) for k, v in value.items())
    return struct.pack(">BI", 0xDD, len(value)) + b"".join(map(pack, value))


class Short(Exception):
    """There is more to come."""


def unpack(data, at=0):
    """returns: the value at `at`, and where it ends."""
    def take(form, start):
        size = struct.calcsize(form)
        if start + size > len(data):
            raise Short
        return struct.unpack_from(form, data, start)[0], start + size

    def run(kind, count, start):
        if kind in ("str", "bin"):
            if start + count > len(data):
                raise Short
            return data[start:start + count], start + count
        items = []
        for _ in range(count * (2 if kind == "map" else 1)):
            item, start = unpack(data, start)
            items.append(item)
        return (dict(zip(items[::2], items[1::2])) if kind == "map" else items), start

    tag, at = take(">B", at)
    if tag < 0x80:
        return tag, at
    if tag < 0x90:
        return run("map", tag & 15, at)
    if tag < 0xA0:
        return run("array", tag & 15, at)
    if tag < 0xC0:
        return run("str", tag & 31, at)
    if tag >= 0xE0:
        return tag - 256, at
    plain = {0xC0: None, 0xC2: False, 0xC3: True}
    if tag in plain:
        return plain[tag], at
    numbers = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q",
               0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}
    if tag in numbers:
        return take(numbers[tag], at)
    kind, form = {0xC4: ("bin", ">B"), 0xC5: ("bin", ">H"), 0xC6: ("bin", ">I"),
                  0xD9: ("str", ">B"), 0xDA: ("str", ">H"), 0xDB: ("str", ">I"),
                  0xDC: ("array", ">H"), 0xDD: ("array", ">I"),
                  0xDE: ("map", ">H"), 0xDF: ("map", ">I")}[tag]
    count, at = take(form, at)
    return run(kind, count, at)


class Node:
    def __init__(self, endpoint):
        host, port = endpoint.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=60)
        self.data = b""
        self.id = 0

    def send(self, *params):
        self.id += 1
        request = [0, self.id, "object.run", list(params) + [{"deadline_ms": DEADLINE_MS}]]
        self.socket.sendall(pack(request))

    def answer(self):
        """returns: the name of the error, or "OK"."""
        while True:
            try:
                message, end = unpack(self.data)
                self.data = self.data[end:]
                error = message[2]
                return "OK" if error is None else error[1].decode()
            except Short:
                more = self.socket.recv(1 << 20)
                if not more:
                    return "CLOSED"
                self.data += more


def ask(endpoint, version, size):
    node = Node(endpoint)
    most = 2**64 - 1
    bad = 0
    flood = 'lines | select "' + "x" * 15_000 + '"'
    deep = "lines | where " + "(" * 5000 + "1" + ")" * 5000 + " = 1 | count"
    heavy = "lines | where 0 = 1" + "%3.5" * 255 + " | count"
    table = {"bucket": "b", "name": "row", "version": 1, "root": b"\0" * 32, "size": most,
             "cell_bytes": 65536}
    for name, want, params in [
        ("a range behind the end", "RANGE", (version, size, 1, "lines | count")),
        ("a range over the end", "RANGE", (version, size - 1, 2, "lines | count")),
        ("an empty range", "RANGE", (version, 0, 0, "lines | count")),
        ("all numbers", "RANGE", (version, 0, most, "lines | count")),
        ("a range that wraps", "RANGE", (version, most, 2, "lines | count")),
        ("a range that begins nowhere", "RANGE", (version, most, most, "lines | count")),
        ("another version", "VERSION_GONE", (version + 999, 0, 10, "lines | count")),
        ("no program", "INVALID", (version, 0, 10, "")),
        ("bytes for a program", "INVALID", (version, 0, 10, bytes(range(256)) * 8)),
        ("a program over its limit", "TOO_LARGE", (version, 0, 10, "lines | count" + " " * 20_000)),
        ("parentheses", "TOO_LARGE", (version, 0, 10, deep)),
        ("operators", "TOO_LARGE", (version, 0, 10, "csv | sum 1" + " + 1" * 3000)),
        ("conditions", "TOO_LARGE", (version, 0, 10, "csv" + " | where 1 = 1" * 900)),
        ("bins", "INVALID", (version, 0, 10, "u8 | histogram 4294967296 0 1")),
        ("a flood", "TOO_LARGE", (version, 0, 60_000, flood)),
        ("much work", "TOO_LARGE", (version, 0, 60_000, heavy)),
        ("quotes that are none", "INVALID", (version, 0, 10, "csv | count", 77)),
        ("neither apart nor not, nor of a stripe", "INVALID", (version, 0, 10, "csv | count", 0, 3)),
        ("of a stripe that has lost nothing", "OK", (version, 0, 10, "csv | count", 0, 2)),
        ("a table that was not given", "INVALID",
         (version, 0, 10, 'csv | lookup "t" $1 as t | count')),
        ("a table that has no end", "INVALID",
         (version, 0, 10, 'csv | lookup "t" $1 as t | count', 0, 0, [table])),
        ("nine tables", "INVALID", (version, 0, 10, "csv | count", 0, 0, [table] * 9)),
        ("a program that is one", "OK", (version, 0, 10, "lines | count")),
    ]:
        node.send("b", "nums", *params)
        got = node.answer()
        if got != want:
            bad += 1
            print(f"{name}: {got}, not {want}")
    return bad


def flood(endpoint, version, count):
    """The last answers are for a connection that is gone."""
    node = Node(endpoint)
    heavy = "lines | where 0 = 1" + "%3.5" * 200 + " | count"
    for _ in range(count):
        node.send("b", "nums", version, 0, 1200, heavy)
    got = {}
    for _ in range(count - 10):
        answer = node.answer()
        got[answer] = got.get(answer, 0) + 1
    print(got)
    return 0 if set(got) <= {"OK", "BUSY", "TIMEOUT"} and got.get("BUSY", 0) > 0 and "OK" in got else 1


def main():
    what, *args = sys.argv[1:]
    if what == "content":
        content(*args)
        return 0
    return (ask if what == "ask" else flood)(args[0], int(args[1]), int(args[2]))


sys.exit(main())
