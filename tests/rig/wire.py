# SPDX-License-Identifier: Apache-2.0
"""The protocol of kmsd, written a second time: protobuf's wire format by hand and the field
numbers of proto/kms.proto as tables. Shares no code with the C side, so that an error there
can't hide here. For tests: it can also send what no honest client would."""
import os
import socket
import struct
import time


def varint(n):
    out = bytearray()
    while True:
        n, low = n >> 7, n & 0x7F
        out.append(low | (0x80 if n else 0))
        if not n:
            return bytes(out)


def field(number, value):
    """One field; lists are repeated, dicts are contexts, None is left out."""
    if value is None:
        return b""
    if isinstance(value, (list, tuple)):
        return b"".join(field(number, v) for v in value)
    if isinstance(value, dict):
        return b"".join(field(number, pair(k, v)) for k, v in value.items())
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, (bytes, bytearray)):
        return varint(number << 3 | 2) + varint(len(value)) + bytes(value)
    return varint(number << 3) + varint(int(value))


def message(*fields):
    return b"".join(field(n, v) for n, v in fields)


def pair(name, value):
    return message((1, name), (2, value if isinstance(value, bytes) else str(value)))


def frame(body):
    return struct.pack("<I", len(body)) + body


def split(raw):
    """A message's fields as (number, value): int for varints, bytes for the rest."""
    at, out = 0, []

    def number():
        nonlocal at
        n = shift = 0
        while True:
            byte = raw[at]
            at += 1
            n |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return n

    while at < len(raw):
        tag = number()
        kind = tag & 7
        if kind == 0:
            value = number()
        elif kind == 2:
            size = number()
            value = raw[at : at + size]
            assert len(value) == size, "a field runs over its message"
            at += size
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            value = raw[at : at + size]
            at += size
        else:
            raise AssertionError(f"wire type {kind}")
        out.append((tag >> 3, value))
    return out


# Messages that come from the keeper: number → (name, kind). A kind is "u" number, "s" text,
# "b" bytes, or a message's name; in brackets where the field is repeated.
SHAPES = {
    "Answer": {1: ("id", "u"), 2: ("error", "Error"), 10: ("status", "Status"),
               11: ("whoami", "Whoami"), 12: ("metrics", "Text"), 13: ("slots", "Slots"),
               20: ("key", "Key"), 21: ("keys", "KeyList"), 30: ("items", "Items"),
               14: ("ceremony", "Ceremony"), 35: ("random", "Text"), 36: ("proof", "Text"),
               40: ("records", "Records"), 41: ("backups", "Backups"), 50: ("done", "Empty")},
    "Error": {1: ("code", "s"), 2: ("name", "s"), 3: ("text", "s"), 4: ("hint", "s"),
              5: ("detail", "s")},
    "Status": {1: ("program", "s"), 2: ("protocol", "u"), 3: ("wrapped_format", "u"),
               4: ("store_schema", "u"), 5: ("state", "s"), 6: ("instance", "b"), 7: ("why", "s"),
               8: ("epoch", "u"), 9: ("counter", "u"), 10: ("counter_behind", "u"),
               11: ("counter_moves", "u"), 12: ("keys", "u"), 13: ("versions", "u"),
               14: ("audit_records", "u"), 15: ("audit_state", "s"), 16: ("memory_locked", "u"),
               17: ("memory_hidden", "u"), 18: ("connections", "u"), 19: ("started_us", "u"),
               20: ("keeper_starts", "u"), 21: ("sandbox", "[s"), 22: ("slots", "[SlotInfo"),
               23: ("counter_state", "s"), 24: ("ceremony", "Ceremony"), 25: ("backup_us", "u"),
               26: ("rehearsal_us", "u"), 27: ("backup_state", "s"),
               28: ("rehearsal_state", "s"), 29: ("restoring", "s")},
    "Whoami": {1: ("identity", "s"), 2: ("admin", "u"), 3: ("groups", "[s")},
    "Text": {1: ("data", "b")},
    "SlotInfo": {1: ("id", "b"), 2: ("kind", "s"), 3: ("name", "s"), 4: ("created_us", "u"),
                 5: ("last", "s"), 6: ("detail", "s")},
    "Slots": {1: ("slots", "[SlotInfo"), 2: ("shares", "[b"), 3: ("confirm", "b")},
    "Ceremony": {1: ("nonce", "b"), 2: ("needed", "u"), 3: ("have", "u"), 4: ("expires_us", "u"),
                 5: ("set", "b")},
    "BackupInfo": {1: ("name", "s"), 2: ("id", "b"), 3: ("created_us", "u"),
                   4: ("expires_us", "u"), 5: ("size", "u"), 6: ("epoch", "u"),
                   7: ("audit_records", "u"), 8: ("rows", "u"), 9: ("state", "s"),
                   10: ("slots", "[SlotInfo"), 11: ("detail", "s")},
    "Backups": {1: ("backups", "[BackupInfo")},
    "Counts": {1: ("issued", "u"), 2: ("wrapped", "u"), 3: ("unwrapped", "u")},
    "Version": {1: ("version", "u"), 2: ("state", "s"), 3: ("reason", "s"),
                4: ("created_us", "u"), 5: ("since_us", "u"), 6: ("counts", "Counts"),
                7: ("above_floor", "u")},
    "Key": {1: ("key", "s"), 2: ("id", "b"), 3: ("class", "s"), 4: ("algorithm", "s"),
            5: ("version", "u"), 6: ("state", "s"), 7: ("floor", "u"), 8: ("created_us", "u"),
            9: ("rotate_every_s", "u"), 10: ("versions", "[Version"), 11: ("version_count", "u")},
    "KeyList": {1: ("keys", "[Key"), 2: ("more", "u")},
    "ItemResult": {1: ("error", "Error"), 2: ("wrapped", "b"), 3: ("plaintext", "b"),
                   4: ("key", "s"), 5: ("version", "u"), 6: ("rewrap_advised", "u"),
                   7: ("compromised", "u")},
    "Items": {1: ("items", "[ItemResult")},
    "Records": {1: ("records", "[b"), 2: ("first", "u"), 3: ("size", "u")},
    "Empty": {},
}


class Bag(dict):
    """A decoded message: fields as attributes too; what was not sent reads as its default."""

    def __getattr__(self, name):
        return self.get(name)


def default(kind):
    if kind.startswith("["):
        return []
    return {"u": 0, "s": "", "b": b""}.get(kind)


def decode(name, raw):
    shape = SHAPES[name]
    out = Bag((n, default(k)) for n, k in shape.values())
    for number, value in split(raw):
        if number not in shape:
            continue
        label, kind = shape[number]
        plain = kind.lstrip("[")
        if plain == "s":
            value = value.decode()
        elif plain in SHAPES:
            value = decode(plain, value)
        if kind.startswith("["):
            out[label].append(value)
        else:
            out[label] = value
    return out


# Operations of a Request: name → (field number, {argument: number}).
ITEM = {"data": 1, "context": 2, "new_context": 3, "change_context": 4}
KEY_REF = {"key": 1, "version": 2, "reason": 3, "dry_run": 4}
BATCH = {"key": 1, "items": 2}
WAYS = {"slot": 1, "shares_needed": 2, "shares_total": 3, "dry_run": 4, "confirm": 5}
BACKUP = {"name": 1, "failed": 2, "checked": 3}
OPS = {
    "status": (10, {}), "whoami": (11, {}), "metrics": (12, {}), "init": (13, WAYS),
    "unseal": (14, {"slot": 1, "share": 2, "ceremony": 3, "accept_restore": 4, "cancel": 5}),
    "seal": (15, {}), "slot_list": (16, {}),
    "slot_check": (17, {"slot": 1}), "slot_add": (18, WAYS),
    "slot_remove": (19, {"slot": 1, "rely_on_shares": 2, "dry_run": 3}),
    "key_create": (20, {"key": 1, "class": 2, "algorithm": 3, "rotate_every_s": 4, "dry_run": 5}),
    "key_list": (21, {"after": 1, "limit": 2}), "key_show": (22, KEY_REF),
    "key_rotate": (23, KEY_REF), "key_suspend": (24, KEY_REF), "key_resume": (25, KEY_REF),
    "key_deactivate": (26, KEY_REF), "key_compromise": (27, KEY_REF),
    "key_destroy": (28, KEY_REF), "key_cancel_destroy": (29, KEY_REF),
    "issue": (30, {"key": 1, "context": 2, "count": 3, "wrapped_only": 4}),
    "wrap": (31, BATCH), "unwrap": (32, BATCH), "rewrap": (33, BATCH), "mac": (34, BATCH),
    "random": (35, {"n": 1}), "audit_read": (40, {"from": 1, "limit": 2, "wait": 3}),
    "key_prove": (36, {"key": 1, "version": 2, "challenge": 3}),
    "root_rotate": (41, {"leave_out": 1, "renew_store": 2, "dry_run": 3, "confirm": 4}),
    "backup_create": (42, {}), "backup_list": (43, {}), "backup_verify": (44, BACKUP),
    "backup_restore": (45, BACKUP), "backup_rehearsed": (46, BACKUP),
}


def item(**args):
    return message(*((ITEM[k], v) for k, v in args.items()))


def operation(op, **args):
    """The bytes of one operation field. `items` is a list of dicts."""
    number, names = OPS[op]
    if "items" in args:
        args["items"] = [item(**i) for i in args["items"]]
    body = message(*((names[k], v) for k, v in args.items()))
    return varint(number << 3 | 2) + varint(len(body)) + body


def request(op, id=1, idem=None, asserted=None, subject=None, purpose=None, **args):
    return message((1, id), (2, idem), (3, asserted), (4, subject), (5, purpose)) + operation(
        op, **args)


class KmsError(Exception):
    def __init__(self, error):
        super().__init__(f"{error.code}/{error.name}: {error.text} {error.detail}")
        self.code, self.name, self.error = error.code, error.name, error


class Closed(Exception):
    """The keeper closed the connection."""


class Client:
    def __init__(self, path, timeout=20, **always):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(timeout)
        end = time.monotonic() + timeout
        while True:
            try:
                self.sock.connect(path)
                break
            except BlockingIOError:  # thousands wait to be accepted already
                if time.monotonic() >= end:
                    raise
                time.sleep(0.001)
        self.buffer = bytearray()
        self.next_id = 1
        self.always = always

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def fileno(self):
        return self.sock.fileno()

    def send_raw(self, data):
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as e:
            raise Closed from e

    def send(self, op, **args):
        """Sends a request without waiting and returns its id."""
        number = args.pop("id", self.next_id)
        self.next_id = number + 1
        self.send_raw(frame(request(op, id=number, **{**self.always, **args})))
        return number

    def recv(self):
        """The next answer, whosesoever it is."""
        while True:
            if len(self.buffer) >= 4:
                size = struct.unpack_from("<I", self.buffer)[0]
                if len(self.buffer) >= 4 + size:
                    raw = bytes(self.buffer[4 : 4 + size])
                    del self.buffer[: 4 + size]
                    return decode("Answer", raw)
            try:
                more = self.sock.recv(1 << 18)
            except ConnectionResetError as e:
                raise Closed from e
            if not more:
                raise Closed
            self.buffer += more

    def ask(self, op, **args):
        """One request, its answer, errors included."""
        number = self.send(op, **args)
        answer = self.recv()
        # 0: the connection itself is refused.
        assert answer.id == number or answer.id == 0 and answer.error is not None, \
            f"answer {answer.id} to request {number}"
        return answer

    def call(self, op, **args):
        """One request; its result, or KmsError."""
        answer = self.ask(op, **args)
        if answer.error is not None:
            raise KmsError(answer.error)
        for name in ("status", "whoami", "metrics", "slots", "ceremony", "key", "keys", "items",
                     "random", "proof", "records", "backups", "done"):
            if answer[name] is not None:
                return answer[name]
        raise AssertionError("an answer with neither result nor error")

    # The everyday ones, one item each.
    def issue(self, key, context=None, **args):
        return self.call("issue", key=key, context=context, **args)["items"][0]

    def _one(self, op, **args):
        result = self.call(op, **args)["items"][0]
        if result.error is not None:
            raise KmsError(result.error)
        return result

    def wrap(self, key, data, context=None):
        return self._one("wrap", key=key, items=[{"data": data, "context": context}])

    def unwrap(self, wrapped, context=None, key=None):
        return self._one("unwrap", key=key, items=[{"data": wrapped, "context": context}])

    def rewrap(self, wrapped, context=None, key=None, **more):
        return self._one("rewrap", key=key, items=[{"data": wrapped, "context": context, **more}])

    def status(self):
        return self.call("status")

    def closes(self, seconds=20):
        """Waits for the keeper to close; True if it did in time. Answers before it are dropped."""
        self.sock.settimeout(seconds)
        end = time.monotonic() + seconds
        try:
            while time.monotonic() < end:
                if not self.sock.recv(1 << 16):
                    return True
        except (ConnectionResetError, BrokenPipeError):
            return True
        except TimeoutError:
            pass
        return False


def fresh_idem():
    return os.urandom(16)
