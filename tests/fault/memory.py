# SPDX-License-Identifier: Apache-2.0
"""What a client knows for sure: a ledger on disk of every acknowledged answer, and the state of
keys, slots and backups that follows from it. A version that a restore has lost and one made
afterwards are two, so each has a serial of its own."""
import copy
import json
import os


class Broken(AssertionError):
    """A promise was not kept."""


def say_if(condition, text):
    if not condition:
        raise Broken(text)


class Ledger:
    """One line for each acknowledged wrapped key, on disk before anything else happens."""

    def __init__(self, path):
        self.path = path
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.lines = 0

    def note(self, entries):
        text = "".join(json.dumps(e) + "\n" for e in entries)
        os.write(self.fd, text.encode())
        os.fsync(self.fd)
        self.lines += len(entries)

    def read(self):
        with open(self.path, encoding="ascii") as f:
            return [json.loads(line) for line in f]

    def close(self):
        os.close(self.fd)


class Version:
    def __init__(self, number, serial, state="active"):
        self.number, self.serial, self.state = number, serial, state
        self.doubtful = False  # its destruction was never answered, and then a backup restored


class Model:
    """Keys: name → (serial, versions). What a change makes of it is one function for each."""

    def __init__(self):
        self.keys, self.slots = {}, {"tpm"}
        self.destroyed, self.destroyed_at = set(), {}
        self.unanswered = set()  # destroyed for all that can be seen, but nobody was told so
        self.backups = []
        self.clock = 0

    def tick(self):
        self.clock += 1
        return self.clock

    def copy(self):
        other = Model()
        other.keys, other.slots = copy.deepcopy(self.keys), set(self.slots)
        other.destroyed, other.destroyed_at = set(self.destroyed), dict(self.destroyed_at)
        other.unanswered = set(self.unanswered)
        other.backups, other.clock = list(self.backups), self.clock
        return other

    def active(self, name):
        return next((v for v in self.keys[name][1] if v.state == "active"), None)

    def state(self, key_serial, serial):
        """The state of exactly this version; None if it was lost."""
        for own, versions in self.keys.values():
            for v in versions:
                if own == key_serial and v.serial == serial:
                    return v.state
        return None

    # ---- changes -------------------------------------------------------------------------

    def key_create(self, key):
        self.keys[key] = (self.tick(), [Version(1, self.tick())])

    def key_rotate(self, key, number=None):
        """Without an answer nobody knows the number yet."""
        active, versions = self.active(key), self.keys[key][1]
        if active is not None:
            active.state = "deactivated"
        versions.append(Version(number, self.tick()))

    def key_destroy(self, key, version=0):
        serial, versions = self.keys[key]
        left = [v for v in versions if v.state != "destroyed"]
        if version == 0 and len(left) > 1:
            self.destroyed_at[serial] = self.tick()
        for v in left:
            if version in (0, v.number):
                v.state = "destroyed"
                self.destroyed.add(v.serial)

    def doubt(self, before):
        """What was destroyed since `before` had no answer: a restore may undo it."""
        self.unanswered |= self.destroyed - before.destroyed
        self.destroyed, self.destroyed_at = set(before.destroyed), dict(before.destroyed_at)

    def slot_add(self, slot):
        self.slots.add(slot)

    def slot_remove(self, slot):
        self.slots.remove(slot)

    def root_rotate(self):
        pass

    def back_up(self, name):
        self.backups.append((name, copy.deepcopy(self.keys), self.tick()))

    def restore(self, backup):
        """What was destroyed since stays destroyed."""
        _, keys, at = backup
        self.keys = copy.deepcopy(keys)
        for serial, versions in self.keys.values():
            for v in versions:
                if v.serial in self.destroyed or self.destroyed_at.get(serial, 0) > at:
                    v.state = "destroyed"
                elif v.serial in self.unanswered and v.state != "destroyed":
                    v.doubtful = True

    # ---- against the keeper ----------------------------------------------------------------

    def differs(self, keys, slots):
        """What the keeper shows (name → {number: state}, names of slots) that is not so; None."""
        if slots != self.slots:
            return f"slots {slots}, known {self.slots}"
        if keys.keys() != self.keys.keys():
            return f"keys {sorted(keys)}, known {sorted(self.keys)}"
        for name, (_, versions) in self.keys.items():
            shown = dict(keys[name])
            known = {v.number for v in versions}
            for v in versions:
                if v.number is None:
                    v.number = max(set(shown) - known, default=None)
                state = shown.pop(v.number, None)
                if v.doubtful and state == "destroyed":
                    v.state = "destroyed"
                v.doubtful = False
                if state != v.state:
                    return f"{name} version {v.number}: {state}, known {v.state}"
            # The numbers of versions that a restore has lost are not given again.
            if set(shown.values()) - {"destroyed"}:
                return f"{name}: nobody knows of {shown}"
        return None
