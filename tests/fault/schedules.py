#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Random schedules of faults against a whole kmsd with a software TPM, a software token and shares:
kill -9, restarts, new roots, slots that come and go, backups, restores, damaged files, hardware
that hangs. After each step everything that was ever acknowledged must be there. A seed draws the
same schedule again."""
import argparse
import os
import pathlib
import random
import shutil
import signal
import sys
import time
import traceback
from collections import Counter

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "rig"))

from damage import Damage  # noqa: E402
from instance import Closed, Instance, KmsError, wait_gone  # noqa: E402
from memory import Broken, Ledger, Model, say_if  # noqa: E402

KEYS = ("a", "b", "c", "d")
DEADLINES = ("20s", "1s")  # of the hardware: while everything is made, and then
UNWRAPS = {"active", "deactivated"}
CRASHES = ("check failed", "AddressSanitizer", "runtime error:")


class Schedule(Damage):
    def __init__(self, seed, counts, talk=None):
        self.rng, self.seed, self.counts = random.Random(seed), seed, counts
        self.talk = talk or (lambda text: None)
        self.kms = Instance(token=True, deadline=DEADLINES[0], log_level="notice",
                            audit_segment=1 << 20)
        self.ledger = Ledger(self.kms.dir / "ledger")
        self.model, self.unknown = Model(), None  # unknown: what the model is, if a change was done
        self.lines, self.other_lines = None, None  # other: shares of a change of unknown outcome
        self.hung = self.gone = False  # the TPM, the token
        self.made = 0

    # ---- the keeper ------------------------------------------------------------------------

    def hardware_opens(self):
        return ("tpm" in self.model.slots and not self.hung) or (
            "hsm" in self.model.slots and not self.gone)

    def stop_hardware(self):
        if self.rng.random() < 0.5:
            self.kms.hang_tpm()
            self.hung = True
        else:
            self.tokens().rename(self.kms.dir / "away")
            self.gone = True

    def bring_back(self):
        if self.hung:
            self.kms.resume_tpm()
        if self.gone:
            (self.kms.dir / "away").rename(self.tokens())
        self.hung = self.gone = False

    def tokens(self):
        return self.kms.dir / "softhsm" / "tokens"

    def start(self):
        self.kms.start()
        self.open_up()

    def open_up(self):
        """By whatever opens. Hardware that is merely slow on a busy machine is asked again."""
        for _ in range(10):
            with self.kms.client() as c:
                state = self.settled(c)
                if state == "unsealed":
                    return
                if not self.hardware_opens() and "shares" in self.model.slots:
                    self.people_open(c)
                    continue
                if not self.hardware_opens():
                    self.bring_back()
                try:
                    c.call("unseal")
                except KmsError as e:
                    self.talk(f"  unseal: {e}")
        raise Broken(f"it does not open: {self.kms.status().why}\n{self.kms.tail()}")

    def settled(self, c):
        while (state := c.status().state) == "opening":
            self.kms.state = None
            try:
                self.kms.wait_state(seconds=0.2)
            except AssertionError:
                pass  # it was told before we looked
        return state

    def people_open(self, c):
        """Two of three, any two."""
        for lines in filter(None, (self.lines, self.other_lines)):
            for line in self.rng.sample(lines, 2):
                try:
                    c.call("unseal", share=line)
                except KmsError as e:
                    say_if(e.name == "share_foreign" and self.other_lines, f"a share: {e}")
                    break
            else:
                self.lines, self.other_lines = lines, None
                return
        raise Broken("no set of shares opens it")

    # ---- what must be true -----------------------------------------------------------------

    def look(self, c):
        shown = {}
        for k in c.call("key_list")["keys"]:
            versions = c.call("key_show", key=k.key)["versions"]
            shown[k.key] = {v.version: v.state for v in versions}
        return shown, {s.name for s in c.call("slot_list").slots}

    def check(self):
        with self.kms.client() as c:
            seen = self.look(c)
            difference = self.model.differs(*seen)
            if difference and self.unknown is not None:
                self.counts["unanswered changes done"] += 1
                self.unknown.doubt(self.model)
                self.model, other = self.unknown, self.unknown.differs(*seen)
                difference = other and f"{difference}; or: {other}"
            self.unknown = None
            say_if(not difference, f"not as acknowledged: {difference}")
            self.check_ledger(c)

    def check_ledger(self, c):
        entries = self.ledger.read()
        for at in range(0, len(entries), 500):
            part = entries[at:at + 500]
            got = c.call("unwrap", items=[{"data": bytes.fromhex(e["wrapped"]),
                                           "context": {"call": e["call"]}} for e in part])
            for e, item in zip(part, got["items"], strict=True):
                self.check_entry(e, item)

    def check_entry(self, e, item):
        state = self.model.state(e["key"], e["serial"])
        if state in UNWRAPS:
            say_if(item.error is None, f"a key is lost: {e}, {state}, {item.error}")
            say_if(item.plaintext.hex() == e["plain"], f"other bytes: {e}")
            self.counts["unwraps that matched"] += 1
        else:
            say_if(item.error is not None, f"{e} is {state} and opens")
            say_if(state is None or item.error.name == "destroyed", f"{e}: {item.error}")

    # ---- acts ------------------------------------------------------------------------------

    def draw_change(self):
        """A change that a client may ask for: (operation, arguments)."""
        kinds = ["key_create", "key_rotate", "key_rotate", "key_destroy", "slot", "root_rotate"]
        kind, key = self.rng.choice(kinds), self.rng.choice(KEYS)
        if kind == "slot":
            slot = self.rng.choice(["tpm", "hsm", "shares"])
            if slot in self.model.slots:
                return "slot_remove", {"slot": slot}
            return "slot_add", ({"slot": slot} if slot != "shares" else
                                {"shares_needed": 2, "shares_total": 3})
        if kind == "root_rotate":
            return kind, {}
        if key not in self.model.keys:
            return "key_create", {"key": key}
        if kind == "key_destroy":
            version = self.rng.choice([0, *(v.number for v in self.model.keys[key][1])])
            return kind, {"key": key, "version": version}
        return kind if kind != "key_create" else "key_rotate", {"key": key}

    def apply(self, model, op, args, answer=None):
        if op == "key_rotate":
            model.key_rotate(args["key"], answer.version if answer else None)
        elif op == "slot_add":
            model.slot_add(args.get("slot", "shares"))
        else:
            getattr(model, op)(**args)

    def prepare(self, c, op, args):
        """Shares are given out first; what is left to ask for is to confirm them."""
        gives = op == "root_rotate" and "shares" in self.model.slots or "shares_total" in args
        if not gives:
            return args
        got = c.call(op, **args)
        say_if(len(got.shares) == 3, f"{len(got.shares)} shares")
        self.other_lines = got.shares
        return {"confirm": got.confirm}

    def change(self, op, args):
        """One change with its answer; refused ones must have changed nothing."""
        with self.kms.client() as c:
            try:
                ask = self.prepare(c, op, args)
                answer = c.call(op, **ask)
            except KmsError as e:
                self.other_lines = None
                self.counts[f"refused: {e.name}"] += 1
                self.talk(f"  {op} {args}: {e.name}")
                return
        self.apply(self.model, op, args, answer)
        if self.other_lines:
            self.lines, self.other_lines = self.other_lines, None

    def step_change(self):
        self.change(*self.draw_change())

    def step_slots(self):
        op, args = "root_rotate", {}
        while self.rng.random() < 0.6 and not op.startswith("slot"):
            op, args = self.draw_change()
        self.change(op, args)

    def note_items(self, key, call, items):
        serial, versions = self.model.keys[key]
        entries = []
        for item in items:
            version = next(v for v in versions if v.number == item.version)
            entries.append({"key": serial, "serial": version.serial, "call": call,
                            "wrapped": item.wrapped.hex(), "plain": item.plaintext.hex()})
        self.ledger.note(entries)

    def usable(self):
        return [k for k in self.model.keys if self.model.active(k)]

    def step_issue(self):
        if not self.usable():
            self.change("key_create", {"key": next(k for k in KEYS if k not in self.model.keys)}) \
                if len(self.model.keys) < len(KEYS) else None
            return
        with self.kms.client() as c:
            for _ in range(self.rng.randrange(1, 6)):
                key, call = self.rng.choice(self.usable()), str(self.rng.randrange(1000))
                got = c.call("issue", key=key, context={"call": call}, count=2)
                self.note_items(key, call, got["items"])

    def step_kill(self):
        """In the middle of work: some data keys and one change are under way."""
        victim = self.rng.choice(["all", "all", "keeper", "parent", "helper"])
        op, args = self.draw_change()
        self.talk(f"  kill {victim} under {op} {args}")
        with self.kms.client() as c, self.kms.client() as other:
            key = self.rng.choice(self.usable()) if self.usable() else None
            try:
                ask = self.prepare(other, op, args)
            except KmsError:
                ask = None
                self.other_lines = None
            asked = other.send(op, **ask) if ask is not None else None
            sent = [c.send("issue", key=key, context={"call": "k"}, count=2)
                    for _ in range(self.rng.randrange(8) if key and op != "key_rotate" else 0)]
            time.sleep(self.rng.random() * 0.02)
            self.kill(victim)
            self.take(c, key, sent)
            self.take_change(other, asked, op, args, victim)
        self.after_kill(victim)

    def kill(self, victim):
        self.kms.state = None
        if victim == "all":
            self.kms.kill()
            return
        pid = {"keeper": self.kms.keeper, "parent": self.kms.parent,
               "helper": self.kms.helper}[victim]()
        if pid is None:
            return
        keeper = self.kms.keeper()
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        if victim == "parent":
            self.kms.kmsd.wait(20)
            wait_gone(keeper)
            self.kms.kmsd = None

    def take(self, c, key, sent):
        """The answers that came before the end: each of them counts."""
        try:
            for _ in sent:
                answer = c.recv()
                if answer.error is None:
                    self.note_items(key, "k", answer["items"]["items"])
        except (Closed, OSError):
            pass

    def take_change(self, c, asked, op, args, victim):
        if asked is None:
            return
        try:
            answer = c.recv()
        except (Closed, OSError):
            self.unknown = self.model.copy()
            self.apply(self.unknown, op, args)
            return
        if answer.error is not None:
            # Ended by a clean stop: what is with the disk may still be done.
            say_if(victim != "all" or answer.error.name, "an error without a name")
            self.unknown = self.model.copy()
            self.apply(self.unknown, op, args)
            return
        self.apply(self.model, op, args, answer.key)
        if self.other_lines:
            self.lines, self.other_lines = self.other_lines, None

    def after_kill(self, victim):
        if self.kms.kmsd is None or self.kms.kmsd.poll() is not None:
            self.kms.kmsd = None
            self.kms.start()
        elif victim == "keeper":
            self.kms.wait_state()
        slots = self.model.slots
        if self.unknown is not None:
            # Either may be so: what opens it must be there in both.
            self.model.slots = slots & self.unknown.slots or slots
        try:
            self.open_up()
        finally:
            self.model.slots = slots
        if self.other_lines:
            self.settle_shares()

    def settle_shares(self):
        """Old shares or new ones: never both, never neither."""
        with self.kms.client() as c:
            c.call("seal")
            self.people_open(c)
            self.other_lines = None

    def step_restart(self):
        say_if(self.kms.stop() == 0, "a clean stop failed")
        self.start()

    def step_back_up(self):
        with self.kms.client() as c:
            try:
                got = c.call("backup_create")["backups"][0]
            except KmsError as e:
                self.counts[f"refused: {e.name}"] += 1
                return
            self.made += 1
            name = f"b{self.made}.kmsb"
            (self.kms.backup / got.name).rename(self.kms.backup / name)
            c.call("backup_verify", name=name)
        self.model.back_up(name)

    def wait_current(self, c):
        """Until what opens the store now opens each backup."""
        end = time.monotonic() + 20
        while any(b.state != "ok" for b in c.call("backup_list")["backups"]):
            say_if(time.monotonic() < end, "a backup stays with an old root")

    def step_restore(self):
        if not self.model.backups:
            self.step_back_up()
        if not self.model.backups:
            return
        with self.kms.client() as c:
            self.wait_current(c)
        self.kms.kill() if self.rng.random() < 0.5 else self.kms.stop()
        shutil.rmtree(self.kms.store)
        self.kms.store.mkdir(mode=0o700)
        say_if(self.kms.start().state == "uninitialised", "an empty store is initialised")
        backup = self.model.backups[-1]
        with self.kms.client() as c:
            c.call("backup_restore", name=backup[0])
        self.open_up()
        self.model.restore(backup)
        self.counts["restores"] += 1

    def step_hardware(self):
        """It stays away for the next steps, until nothing else opens or its turn comes."""
        self.bring_back() if self.hung or self.gone else self.stop_hardware()

    # ---- the schedule ----------------------------------------------------------------------

    STEPS = {"kill": 4, "restart": 1, "slots": 3, "change": 4, "issue": 5, "back_up": 3,
             "restore": 2, "damage": 2, "hardware": 2}

    def run(self):
        with self.kms.client() as c:
            c.call("key_create", key="a")
        self.model.key_create("a")
        self.change("slot_add", {"slot": "hsm"})
        self.change("slot_add", {"shares_needed": 2, "shares_total": 3})
        say_if(self.model.slots == {"tpm", "hsm", "shares"}, "a slot could not be added")
        self.kms.write_config(deadline=DEADLINES[1])
        self.step_restart()
        steps = ["issue", *self.rng.choices(list(self.STEPS), self.STEPS.values(),
                                            k=self.rng.randrange(10, 21))]
        for step in steps:
            begun = time.monotonic()
            getattr(self, f"step_{step}")()
            self.check()
            self.counts[f"step {step}"] += 1
            self.talk(f"{step} {time.monotonic() - begun:.2f} s")
        self.bring_back()
        self.step_restart()
        self.check()
        self.counts["acknowledged keys"] += self.ledger.lines

    def close(self):
        self.ledger.close()
        if self.hung:
            self.kms.resume_tpm()
        self.kms.close()


def run_one(seed, counts, talk=None):
    s = Schedule(seed, counts, talk)
    try:
        s.run()
        log = s.kms.log.read_text(errors="replace")
    finally:
        s.close()
    say_if(not any(sign in log for sign in CRASHES), "kmsd has crashed")


def main():
    parser = argparse.ArgumentParser(prog="./dev faults", description=__doc__)
    parser.add_argument("seconds", nargs="?", type=float, help="go on for so long")
    parser.add_argument("--schedules", type=int, help="or so many")
    parser.add_argument("--seed", type=int, help="of the first (each next one is one more)")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    seed = args.seed if args.seed is not None else int.from_bytes(os.urandom(4), "big")
    end = time.monotonic() + args.seconds if args.seconds else None
    limit = args.schedules or (1 << 62 if end else 1)
    counts, failed, n = Counter(), [], 0
    talk = (lambda text: print(text, flush=True)) if args.verbose else None
    while n < limit and (end is None or time.monotonic() < end):
        begun = time.monotonic()
        try:
            run_one(seed + n, counts, talk)
            print(f"seed {seed + n}: kept, {time.monotonic() - begun:.1f} s", flush=True)
        except (AssertionError, KmsError, Closed, OSError) as e:
            failed.append(seed + n)
            where = traceback.extract_tb(e.__traceback__)
            path = " > ".join(f"{f.name}:{f.lineno}" for f in where if f.filename == __file__)
            print(f"seed {seed + n}: BROKEN at {path}: {e!r}"[:3000], flush=True)
        n += 1
    for name, count in sorted(counts.items()):
        print(f"  {name:<40}{count:>9,}")
    print(f"{n - len(failed)} passed, {len(failed)} failed, 0 skipped"
          + (f"; again: ./dev faults --seed {failed[0]} --verbose" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
