# SPDX-License-Identifier: Apache-2.0
"""The audit log read a second time, from its files: frames, CRCs, sequence numbers, the Merkle
tree across segments. Shares no code with the C side. Knows no key, so it checks no MAC."""
import hashlib
import pathlib
import struct

from wire import Bag, split

RECORD, GROUP = 1, 2
HEAD = struct.Struct("<4sB3sII16sQ32sB")  # magic … MAC before it, edge count


class Broken(Exception):
    """The log is not what its format says; the text names the place."""


def _crc_table():
    table = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
        table.append(n)
    return table


_TABLE = _crc_table()


def crc32c(data, crc=0):
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


class Tree:
    """RFC 6962: the roots of the full subtrees, largest first."""

    def __init__(self, size=0, edge=()):
        self.size, self.edge = size, list(edge)

    def append(self, record):
        node, n = hashlib.sha256(b"\0" + record).digest(), self.size
        while n & 1:
            node = hashlib.sha256(b"\1" + self.edge.pop() + node).digest()
            n >>= 1
        self.edge.append(node)
        self.size += 1


def read_log(folder, crc=True):
    """Every record's bytes, in order, with all that can be checked without a key checked."""
    out, tree = [], None
    paths = sorted(pathlib.Path(folder).glob("*.seg"))
    for path in paths:
        raw = path.read_bytes()
        magic, form, _, number, size, _, first, _, n = HEAD.unpack_from(raw)
        at = HEAD.size
        edge = [raw[at + 32 * i : at + 32 * i + 32] for i in range(n)]
        at += 32 * n + 32
        if raw[:4] == b"\0\0\0\0":
            continue  # made ahead, not begun
        if magic != b"KMSA" or form != 1 or f"{number:08}" != path.stem or size != len(raw):
            raise Broken(f"{path}: head")
        if struct.unpack_from("<I", raw, at)[0] != crc32c(raw[:at]):
            raise Broken(f"{path}: CRC of the head")
        at += 4
        if tree is None:
            tree = Tree(first, edge)
        if (tree.size, tree.edge) != (first, edge):
            raise Broken(f"{path}: does not follow the segment before it")
        at = _read_frames(path, raw, at, tree, out, crc)
    return out


def _read_frames(path, raw, at, tree, out, crc):
    while at + 9 <= len(raw):
        size, check, kind = struct.unpack_from("<IIB", raw, at)
        if size == 0 and check == 0 and kind == 0:
            break
        body = raw[at + 8 : at + 9 + size]
        if crc and crc32c(body) != check:
            raise Broken(f"{path}: CRC at {at}")
        if kind == RECORD:
            tree.append(body[1:])
            out.append(body[1:])
        elif kind != GROUP:
            raise Broken(f"{path}: frame type {kind} at {at}")
        at += 9 + size
    return at


# Field numbers of a record, docs/audit.md: number → (name, kind).
FIELDS = {}
OPS = {}


def decode_record(raw):
    out = Bag((n, default) for n, default in FIELDS.values())
    for number, value in split(raw):
        if number in FIELDS:
            name, default = FIELDS[number]
            out[name] = value.decode() if isinstance(default, str) else value
    return out


def records(kms, first=0):
    """The records from `first` on, asked for over the socket, decoded."""
    out = []
    with kms.client() as c:
        while True:
            page = c.call("audit_read", **{"from": first + len(out), "limit": 1000})
            out += [decode_record(r) for r in page["records"]]
            if first + len(out) >= page.size or not page["records"]:
                return out
