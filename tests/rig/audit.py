# SPDX-License-Identifier: Apache-2.0
"""The audit log read a second time, from its files, as docs/audit.md describes them: frames, CRCs,
sequence numbers, the Merkle tree across segments. Shares no code with the C side. Knows no key, so
it checks no MAC. As a program it prints a folder's records, its size and its root."""
import hashlib
import json
import pathlib
import struct
import sys

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

    def root(self):
        if not self.edge:
            return hashlib.sha256(b"").digest()
        node, *left = reversed(self.edge)
        for x in left:
            node = hashlib.sha256(b"\1" + x + node).digest()
        return node


def read_log(folder, crc=True):
    """Every record's bytes, in order, with all that can be checked without a key checked."""
    return read_tree(folder, crc)[0]


def read_tree(folder, crc=True):
    """The records and the tree over them. A log that was stopped, not killed: no torn tail."""
    out, tree = [], None
    paths = sorted(pathlib.Path(folder).glob("*.seg"))
    for path in paths:
        raw = path.read_bytes()
        magic, form, flags, number, size, _, first, _, n = HEAD.unpack_from(raw)
        at = HEAD.size
        edge = [raw[at + 32 * i : at + 32 * i + 32] for i in range(n)]
        at += 32 * n + 32
        if not any(raw):
            continue  # made ahead, not begun
        if magic != b"KMSA" or form != 1 or any(flags):
            raise Broken(f"{path}: no head of format 1")
        if f"{number:08}" != path.stem or size != len(raw) or n != first.bit_count():
            raise Broken(f"{path}: head")
        if struct.unpack_from("<I", raw, at)[0] != crc32c(raw[:at]):
            raise Broken(f"{path}: CRC of the head")
        at += 4
        if tree is None:
            tree = Tree(first, edge)
        if (tree.size, tree.edge) != (first, edge):
            raise Broken(f"{path}: does not follow the segment before it")
        _read_frames(path, raw, at, tree, out, crc)
    return out, tree or Tree()


def _read_frames(path, raw, at, tree, out, crc):
    covered = tree.size
    while at + 9 <= len(raw):
        size, check, kind = struct.unpack_from("<IIB", raw, at)
        if size == 0 and check == 0 and kind == 0:
            break
        body = raw[at + 8 : at + 9 + size]
        if crc and crc32c(body) != check:
            raise Broken(f"{path}: CRC at {at}")
        if kind == RECORD:
            if crc and decode_record(body[1:]).seq != tree.size:
                raise Broken(f"{path}: sequence number at {at}")
            tree.append(body[1:])
            out.append(body[1:])
        elif kind == GROUP and size == 40:
            if struct.unpack_from("<Q", body, 1)[0] != tree.size or covered == tree.size:
                raise Broken(f"{path}: size in the group at {at}")
            covered = tree.size
        elif kind in (0, GROUP):
            raise Broken(f"{path}: frame type {kind} at {at}")
        at += 9 + size
    if any(raw[at:]):
        raise Broken(f"{path}: more behind the end at {at}")


# Field numbers of a record, docs/audit.md: number → (name, default).
FIELDS = {
    1: ("format", 0), 2: ("seq", 0), 3: ("time_us", 0), 4: ("boot", b""), 5: ("identity", ""),
    6: ("source", ""), 7: ("asserted", ""), 8: ("subject", ""), 9: ("purpose", ""),
    10: ("op", 0), 11: ("key", b""), 12: ("class", ""), 13: ("version", 0), 14: ("batch", 0),
    15: ("result", "ok"), 16: ("latency_us", 0), 17: ("context_digest", b""), 18: ("tag", b""),
    19: ("new_state", 0), 20: ("epoch", 0), 21: ("set_digest", b""), 22: ("counter", 0),
    23: ("detail", ""), 24: ("items", None),
}
ITEM_FIELDS = {1: ("tag", b""), 2: ("version", 0), 3: ("result", "ok")}
OPS = {
    1: "status", 2: "whoami", 3: "metrics", 4: "init", 5: "unseal", 6: "seal", 7: "slot-list",
    8: "slot-check", 10: "key-create", 11: "key-list", 12: "key-show", 13: "key-rotate",
    14: "key-suspend", 15: "key-resume", 16: "key-deactivate", 17: "key-compromise",
    18: "key-destroy", 19: "key-cancel-destroy", 20: "issue", 21: "wrap", 22: "unwrap",
    23: "rewrap", 24: "mac", 25: "random", 30: "audit-read", 40: "start", 41: "stop",
    42: "malformed", 43: "connect", 44: "slot-add", 45: "slot-remove", 46: "root-rotate",
    47: "backup-create", 48: "backup-list", 49: "backup-verify", 50: "backup-restore",
    51: "backup-rehearsed", 52: "key-prove",
}
STATES = ("", "pre-active", "active", "suspended", "deactivated", "compromised", "destroyed")


def _decode(raw, fields):
    out = Bag((name, default) for name, default in fields.values())
    for number, value in split(raw):
        if number in fields:
            name, default = fields[number]
            out[name] = value.decode(errors="replace") if isinstance(default, str) else value
    return out


def decode_record(raw):
    """Operations and states by their names; what is not there reads as zero, empty, or "ok"."""
    items = [_decode(value, ITEM_FIELDS) for number, value in split(raw) if number == 24]
    out = _decode(raw, FIELDS)
    out["items"] = items
    out["op"] = OPS.get(out.op, out.op)
    out["new_state"] = STATES[out.new_state] if out.new_state < len(STATES) else out.new_state
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


def _plain(x):
    if isinstance(x, dict):
        return {name: _plain(value) for name, value in x.items() if value not in (0, "", b"", [])}
    if isinstance(x, list):
        return [_plain(value) for value in x]
    return x.hex() if isinstance(x, bytes) else x


def main():
    found, tree = read_tree(sys.argv[1])
    for raw in found:
        print(json.dumps(_plain(decode_record(raw))))
    print(json.dumps({"size": tree.size, "root": tree.root().hex()}))


if __name__ == "__main__":
    main()
