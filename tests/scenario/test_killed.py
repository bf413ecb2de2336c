# SPDX-License-Identifier: Apache-2.0
"""kill -9 in the middle of a backup, a restore, a new root, a change of slots. The clock of it is how
often a file can be looked at, so that no story sleeps; each prints its seed, and KMS_TEST_SEED gives
it again, as far as a moment can be had twice."""
import os
import random
import shutil
import threading

from conftest import LONG
from instance import Instance, parse_json
from test_backup import backup_of
from test_slots import opens, use

TRIES = 200 if LONG else 20


class Killer:
    def __init__(self):
        self.seed = int(os.environ.get("KMS_TEST_SEED", random.randrange(1 << 30)))
        print(f"seed {self.seed}")
        self.rng = random.Random(self.seed)
        self.longest = 0  # looks that the command took, when it was left alone

    def strike(self, kms, *command):
        """Runs the command and kills kmsd within it; what kmsctl said, and whether it came too late. The
        first one is left alone, to see how long it takes."""
        done = []
        asking = threading.Thread(target=lambda: done.append(kms.ctl(*command, status=None)))
        limit = self.rng.randrange(1, self.longest + 2) if self.longest else 1 << 30
        n = 0
        asking.start()
        while asking.is_alive() and n < limit:
            os.stat(kms.store / "store.db")
            n += 1
        self.longest = self.longest or n
        kms.kill()
        asking.join(60)
        return done[0]


def shares_in(stdout):
    """The sets of shares that kmsctl has handed out before it ended."""
    said = parse_json(stdout) if stdout else []
    return [x["shares"] for x in (said if isinstance(said, list) else [said]) if "shares" in x]


def whole(kms):
    """Every file that is called a backup is one, to its last byte, and no half one is left."""
    found = kms.ctl("backup", "list")["backups"]
    for b in found:
        assert b["state"] in ("ok", "old-root"), b
        kms.ctl("backup", "verify", b["backup"])
    assert {p.name for p in kms.backup.iterdir()} == {b["backup"] for b in found}
    return len(found)


def test_killed_while_a_backup_is_made(make):
    """Whatever was answered is there; what is there is whole, answered or not."""
    kms, killer, struck = use(make()), Killer(), 0
    for _ in range(TRIES):
        done = killer.strike(kms, "backup", "create")
        kms.start()
        assert kms.state == "unsealed" and opens(kms), killer.seed
        struck += done.returncode != 0
        there = whole(kms)
        assert there == 1 or done.returncode != 0, killer.seed
        for path in kms.backup.iterdir():
            path.unlink()
    assert struck > TRIES // 4, "hardly any was hit"


def test_killed_while_the_root_is_rotated(make):
    """The old root or the new one, by the chip and by people; never neither, never both. Not with
    SoftHSM, which writes its token anew at each login and loses it if that is cut short."""
    kms, killer, struck = use(make(shares="2/3")), Killer(), 0
    backup_of(kms)
    for _ in range(TRIES):
        done = killer.strike(kms, "root", "rotate", "--yes")
        struck += done.returncode != 0
        sets = [kms.shares, *shares_in(done.stdout)]
        kms.start()
        assert kms.state == "unsealed" and opens(kms), killer.seed
        kms.ctl("seal")
        good = [s for s in sets if kms.give(s[0], status=None).returncode == 0]
        assert len(good) == 1, (killer.seed, len(good), len(sets))
        assert good[0] is sets[-1] or done.returncode != 0, killer.seed
        kms.give(good[0][1])
        kms.wait_state("unsealed")
        kms.shares = good[0]
        while any(b["state"] != "ok" for b in kms.ctl("backup", "list")["backups"]):
            pass  # renewed behind the opening
        assert whole(kms) == 1
    assert struck > TRIES // 4, "hardly any was hit"


def test_killed_while_a_backup_is_restored(make):
    """All of it or nothing: then it is restored once more, or opened."""
    kms, killer, states = use(make(shares="2/3")), Killer(), []
    path = kms.backup / backup_of(kms)
    share = kms.dir / "second"
    share.write_text(kms.shares[1])
    for _ in range(TRIES // 2):
        with Instance(slot="shares", init=False) as other:
            shutil.copy(path, other.backup)
            other.start()
            other.ctl("backup", "restore", path.name)
            other.give(kms.shares[0])
            killer.strike(other, "unseal", "--share", share)
            states.append(other.start(people=False).state)
            assert states[-1] in ("uninitialised", "sealed"), killer.seed
            if states[-1] == "uninitialised":
                other.ctl("backup", "restore", path.name)
            other.shares, other.item = kms.shares, kms.item
            other.unseal()
            assert opens(other), killer.seed
            other.restart()
            assert other.state == "unsealed" and opens(other), killer.seed
    print(f"{states.count('uninitialised')} of {len(states)} were begun anew")


def test_killed_while_slots_come_and_go(make):
    """Whatever became of it, something opens the root, and what was answered is so."""
    kms, killer, struck = use(make(shares="2/3")), Killer(), 0
    for _ in range(TRIES):
        adds = not any(s["kind"] == "tpm" for s in kms.ctl("slot", "list")["slots"])
        command = ("add", "tpm") if adds else ("remove", "tpm", "--yes", "--rely-on-shares")
        done = killer.strike(kms, "slot", *command)
        struck += done.returncode != 0
        kms.start()
        there = {s["kind"] for s in kms.ctl("slot", "list")["slots"]}
        assert there in ({"tpm", "shares"}, {"shares"}), killer.seed
        assert ("tpm" in there) == adds or done.returncode != 0, killer.seed
        assert kms.state == ("unsealed" if "tpm" in there else "sealed"), killer.seed
        if kms.state == "sealed":
            kms.give(kms.shares[0])
            kms.give(kms.shares[1])
            kms.wait_state("unsealed")
        assert opens(kms), killer.seed
    assert struck > TRIES // 5, "hardly any was hit"
    handles = kms.tpm("tpm2_getcap", "handles-nv-index").decode().split()
    assert len([h for h in handles if h.startswith("0x")]) <= struck + 1
