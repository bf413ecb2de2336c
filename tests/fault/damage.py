# SPDX-License-Identifier: Apache-2.0
"""One bit of a file is changed: in a backup, in the store, in its WAL after kill -9, in the row of a
slot. kmsd names it, or it was harmless; then the file is put back."""
import shutil
import sqlite3

from instance import KmsError
from memory import Broken, say_if

# A damaged store has a name that says what to do, not one of these.
NAMELESS = {"", "ok", "internal", "no_memory", "not_initialised"}
DAMAGED = {"backup_damaged", "not_a_backup", "newer_format"}


class Damage:
    """What a schedule does to the files of its instance."""

    def flip(self, path):
        raw = bytearray(path.read_bytes())
        at = self.rng.randrange(len(raw))
        raw[at] ^= 1 << self.rng.randrange(8)
        path.write_bytes(raw)
        return at

    def step_damage(self):
        self.bring_back()
        self.rng.choice([self.damage_backup, self.damage_store, self.damage_wal,
                         self.damage_slot])()

    def damage_backup(self):
        if not self.model.backups:
            return
        path = self.kms.backup / self.model.backups[-1][0]
        right = path.read_bytes()
        at = self.flip(path)
        with self.kms.client() as c:
            try:
                c.call("backup_verify", name=path.name)
                raise Broken(f"byte {at} of a backup changed, and it verifies")
            except KmsError as e:
                say_if(e.name in DAMAGED, f"a damaged backup is called {e}")
            path.write_bytes(right)
            c.call("backup_verify", name=path.name)
        self.counts["damage named"] += 1

    def damage_store(self):
        self.kms.stop()
        self.try_damaged(lambda: self.flip(self.kms.store / "store.db"))

    def damage_wal(self):
        self.kms.kill()
        wal = self.kms.store / "store.db-wal"
        if wal.exists() and wal.stat().st_size > 0:
            self.try_damaged(lambda: self.flip(wal))
        else:
            self.start()

    def damage_slot(self):
        self.kms.stop()
        self.try_damaged(self.flip_slot)

    def flip_slot(self):
        with sqlite3.connect(self.kms.store / "store.db") as db:
            key, value = self.rng.choice(
                db.execute("SELECT key, value FROM rows WHERE kind = 2").fetchall())
            raw = bytearray(value)
            at = self.rng.randrange(len(raw))
            raw[at] ^= 1 << self.rng.randrange(8)
            db.execute("UPDATE rows SET value = ? WHERE kind = 2 AND key = ?", (bytes(raw), key))
        db.close()
        return at

    def try_damaged(self, damage):
        """Named, or harmless; then everything is as it was before."""
        kept = self.kms.dir / "kept"
        shutil.copytree(self.kms.store, kept)
        at = damage()
        self.kms.start()
        status = self.kms.status()
        if status.state == "unsealed":
            self.check()
            self.counts["damage harmless"] += 1
        else:
            say_if(status.why not in NAMELESS, f"byte {at} changed: {status.state}, {status.why}")
            self.counts["damage named"] += 1
        self.talk(f"  byte {at}: {status.state} {status.why}")
        self.kms.stop()
        shutil.rmtree(self.kms.store)
        kept.rename(self.kms.store)
        self.start()
