# SPDX-License-Identifier: Apache-2.0
"""Clients that remember. Each worker owns keys of its own, does random operations on them, and
keeps a model of what was acknowledged: after a fault the keeper must agree with every model. A
change whose answer was lost is asked again with its idempotency key, so its outcome is known."""
import random
import threading

from instance import Closed, KmsError
from wire import fresh_idem

TRY_AGAIN = {"unavailable", "sealed", "store_failed", "audit_failed", "hardware", "internal"}
WRAPS = {"active"}
UNWRAPS = {"active", "deactivated", "compromised"}


class Model:
    """Keys of one worker: name → {version: state}; blobs: wrapped → (name, version, context, plain)."""

    def __init__(self):
        self.keys, self.blobs = {}, {}

    def active(self, name):
        return next((v for v, s in self.keys[name].items() if s == "active"), None)

    def learn(self, key):
        """What the answer to a change says of all versions."""
        self.keys[key.key] = {v.version: v.state for v in key.versions}


class Worker(threading.Thread):
    def __init__(self, kms, number, serving, seed, changes=0.3):
        super().__init__(name=f"worker-{number}", daemon=True)
        self.kms, self.number, self.serving = kms, number, serving
        self.rng = random.Random(seed * 1000 + number)
        self.changes = changes
        self.model = Model()
        self.stop = threading.Event()
        self.faults, self.acks = [], []  # acks: (subject, op, result)
        self.asked = 0

    def run(self):
        client = None
        pending = None  # a change whose outcome is not known
        while not self.stop.is_set() or pending:
            if not self.serving.wait(1):
                continue
            try:
                client = client or self.kms.client()
                pending = pending or self.next_change()
                if pending:
                    self.change(client, *pending)
                    pending = None
                else:
                    self.use(client)
            except (Closed, OSError):
                client = None
            except KmsError as e:
                if e.code not in TRY_AGAIN:
                    self.faults.append(f"{e}; pending {pending}")
                    return
            except Exception as e:  # noqa: BLE001 (reported by the main thread)
                self.faults.append(repr(e))
                return

    def ask(self, client, op, **args):
        self.asked += 1
        subject = f"w{self.number}.{self.asked}"
        answer = client.ask(op, subject=subject, **args)
        self.acks.append((subject, op, answer.error.name if answer.error else "ok"))
        if answer.error is not None:
            raise KmsError(answer.error)
        return answer

    def next_change(self):
        if self.model.keys and self.rng.random() > self.changes:
            return None
        names = list(self.model.keys)
        if len(names) < 2 or self.rng.random() < 0.05:
            return "key_create", {"key": f"w{self.number}-{len(names)}", "idem": fresh_idem()}
        name = self.rng.choice(names)
        versions = self.model.keys[name]
        version, state = self.rng.choice(list(versions.items()))
        moves = {"active": ["suspend", "rotate", "rotate", "deactivate"],
                 "suspended": ["resume", "resume", "deactivate"],
                 "deactivated": ["compromise", "destroy", "rotate"],
                 "compromised": ["destroy", "rotate"], "destroyed": ["rotate"]}[state]
        move = self.rng.choice(moves)
        if move == "rotate":
            if len(versions) > 20:
                return None
            return "key_rotate", {"key": name, "idem": fresh_idem()}
        if move == "resume" and self.model.active(name):
            return None
        return "key_" + move, {"key": name, "version": version, "idem": fresh_idem()}

    def change(self, client, op, args):
        try:
            self.model.learn(self.ask(client, op, **args).key)
        except KmsError as e:
            # A rotation while the active version is suspended may be refused: then nothing moved.
            if e.code != "wrong_state":
                raise

    def use(self, client):
        usable = [n for n in self.model.keys if self.model.active(n)]
        if usable and (not self.model.blobs or self.rng.random() < 0.6):
            name = self.rng.choice(usable)
            context = {"call": str(self.rng.randrange(1000))}
            count = self.rng.choice([1, 1, 1, 5])
            got = self.ask(client, "issue", key=name, context=context, count=count)
            for item in got["items"]["items"]:
                self.model.blobs[item.wrapped] = (name, item.version, context, item.plaintext)
        elif self.model.blobs:
            self.check(client, self.rng.choice(list(self.model.blobs)))

    def check(self, client, wrapped):
        """A blob opens to its bytes, or is refused for the state that the model knows."""
        name, version, context, plain = self.model.blobs[wrapped]
        answer = self.ask(client, "unwrap", items=[{"data": wrapped, "context": context}])
        item = answer["items"]["items"][0]
        if item.error is not None:
            self.acks[-1] = (*self.acks[-1][:2], item.error.name)
        if self.model.keys[name][version] in UNWRAPS:
            assert item.error is None, f"{name} v{version}: {item.error}"
            assert item.plaintext == plain, f"{name} v{version} opened to other bytes"
        else:
            assert item.error is not None and item.error.code == "wrong_state", item

    def verify(self, client):
        """The keeper agrees with the model in everything."""
        for name, versions in self.model.keys.items():
            key = client.call("key_show", key=name)
            found = {v.version: v.state for v in key["versions"]}
            assert found == versions, f"{name}: {found}, acknowledged {versions}"
        for wrapped in self.model.blobs:
            self.check(client, wrapped)


class Crew:
    """Some workers on one instance."""

    def __init__(self, kms, n=4, seed=1, **args):
        self.kms = kms
        self.serving = threading.Event()
        self.serving.set()
        self.workers = [Worker(kms, i, self.serving, seed, **args) for i in range(n)]
        for w in self.workers:
            w.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def answers(self):
        return sum(len(w.acks) for w in self.workers)

    def wait_answers(self, n, seconds=60):
        """Until n more answers have come."""
        import time
        goal, end = self.answers() + n, time.monotonic() + seconds
        while self.answers() < goal and not self.faults():
            assert time.monotonic() < end, f"only {self.answers()} of {goal} answers"
            threading.Event().wait(0.002)

    def faults(self):
        return [f for w in self.workers for f in w.faults]

    def end(self):
        self.serving.set()
        for w in self.workers:
            w.stop.set()
        for w in self.workers:
            w.join(30)
            assert not w.is_alive(), f"{w.name} hangs"

    def verify(self):
        """Ends the work and compares."""
        self.end()
        assert not self.faults(), self.faults()
        with self.kms.client() as c:
            for w in self.workers:
                w.verify(c)
        return self.answers()
