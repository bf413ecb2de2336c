#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A kmsd that is none: enough of one to be rehearsed against, with keys and failures as a test wants
them. fake_keeper.py -c FILE reads the socket and the folders out of FILE and FILE.d as kmsd does. With
store/keys.json it is the live one, unsealed; without, it waits for a backup, which is such a file."""
import hashlib
import json
import pathlib
import re
import signal
import socket
import struct
import sys

from wire import frame, message, split

STATUS, UNSEAL, LIST, SHOW, ISSUE, UNWRAP, PROVE = 10, 14, 21, 22, 30, 32, 36
BACKUP_LIST, BACKUP_RESTORE, REHEARSED = 43, 45, 46
SHARES_NEEDED = 2


class Refused(Exception):
    pass


def option(conf, name):
    parts = [conf, *sorted(pathlib.Path(f"{conf}.d").glob("*.conf"))]
    return re.findall(rf'^{name} = "(.*)"', "\n".join(p.read_text() for p in parts), re.M)[-1]


class Keeper:
    def __init__(self, conf):
        self.backup, self.store = (pathlib.Path(option(conf, x)) for x in ("backup", "store"))
        mine = self.store / "keys.json"
        self.data = json.loads(mine.read_text()) if mine.exists() else None
        self.open, self.shares = self.data is not None, 0

    def status(self, _):
        state = "unsealed" if self.open else "sealed" if self.data else "uninitialised"
        return 10, message((5, state))

    def backups(self, _):
        found = [message((1, p.name), (3, json.loads(p.read_text())["made"]), (9, "ok"))
                 for p in sorted(self.backup.iterdir())]
        return 41, message((1, found))

    def restore(self, r):
        path = self.backup / r[1].decode()
        self.data = json.loads(path.read_text())
        if self.data.get("broken"):
            raise Refused("integrity")
        return 41, message((1, [message((1, path.name), (9, "ok"))]))

    def unseal(self, r):
        self.shares += 2 in r
        if self.data.get("shares") and self.shares < SHARES_NEEDED:
            if 2 not in r:
                raise Refused("sealed")
            return 14, message((1, b"n" * 16), (2, SHARES_NEEDED), (3, self.shares))
        self.open = True
        return 50, b""

    def key(self, name, versions=True):
        key = self.data["keys"][name]
        row = message((1, 1), (2, "active"), (4, key["made"]))
        return message((1, name), (4, "xaes-256-gcm"), (5, 1), (6, "active"),
                       (10, [row] if versions else None))

    def find(self, r):
        name = r[1].decode()
        if name not in self.data["keys"]:
            raise Refused("not_found")
        return name

    def list(self, _):
        return 21, message((1, [self.key(name, False) for name in sorted(self.data["keys"])]))

    def show(self, r):
        return 20, self.key(self.find(r))

    def prove(self, r):
        bits = self.data["keys"][self.find(r)]["bits"]
        return 36, message((1, hashlib.sha256(bits.encode() + r[3]).digest()))

    def issue(self, r):
        name = self.find(r)
        return 30, message((1, [message((2, f"{name}:{self.data['keys'][name]['bits']}"), (4, name),
                                        (5, 1))]))

    def unwrap(self, r):
        name, bits = dict(split(r[2]))[1].decode().split(":")
        if self.data["keys"][name]["bits"] != bits:
            raise Refused("integrity")
        return 30, message((1, [message((3, b"k" * 32), (4, name), (5, 1))]))

    def rehearsed(self, r):
        (self.store / "rehearsed.json").write_text(
            json.dumps([r[1].decode(), bool(r.get(2)), r.get(3, 0)]))
        return 50, b""

    OPS = {STATUS: status, BACKUP_LIST: backups, BACKUP_RESTORE: restore, UNSEAL: unseal,
           LIST: list, SHOW: show, PROVE: prove, ISSUE: issue, UNWRAP: unwrap, REHEARSED: rehearsed}

    def answer(self, raw):
        fields = dict(split(raw))
        op = next(n for n in fields if n >= 10)
        try:
            if not self.open and op not in (STATUS, UNSEAL, BACKUP_RESTORE):
                raise Refused("sealed")
            number, body = self.OPS[op](self, dict(split(fields[op])))
        except Refused as e:
            number, body = 2, message((1, str(e)), (2, str(e)), (3, "refused"))
        return frame(message((1, fields[1]), (number, body)))


def serve(keeper, connection):
    data = b""
    while chunk := connection.recv(65536):
        data += chunk
        while len(data) >= 4 and len(data) >= 4 + (size := struct.unpack_from("<I", data)[0]):
            connection.sendall(keeper.answer(data[4 : 4 + size]))
            data = data[4 + size :]


def main():
    conf = pathlib.Path(sys.argv[2])
    keeper, listener = Keeper(conf), socket.socket(socket.AF_UNIX)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    listener.bind(option(conf, "socket"))
    listener.listen()
    while True:
        connection, _ = listener.accept()
        with connection:
            serve(keeper, connection)


main()
