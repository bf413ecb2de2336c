# SPDX-License-Identifier: Apache-2.0
"""kmsctl backup rehearse as a whole, against kmsds that are none: so that a backup can lie. Whether
a real one brings everything back is another story."""
import json
import subprocess

import pytest
from command import KMSCTL, environment, run
from instance import ROOT

FAKE = ROOT / "tests" / "rig" / "fake_keeper.py"
MADE = 1000  # when the backup was made
SHARE = [
    "KMS1Q9AE6JN0QGPSR5KY2FMX7L925NW74MAXK85TZ2ELJYVAAURTH9VYTNKGGU286NNE26GCDE",
    "KMS1Q9AE6JN0QGPS9L0JLL03TQHFKU3E05DJMJLZXYVZNCQTEXEQCDFKXTQ2KDSXTZTL6UTW8X",
]


def key(bits, made=1):
    return {"bits": bits, "made": made}


class World:
    """A live kmsd with three keys and a backup of them, and where rehearsals may live."""

    def __init__(self, folder):
        self.folder, self.tmp, self.socket = folder, folder / "tmp", str(folder / "s")
        self.keys = {name: key(name * 3) for name in "abc"}
        for name in ("tmp", "store", "backup"):
            (folder / name).mkdir()
        self.conf = folder / "kms.conf"
        self.conf.write_text(f'socket = "{self.socket}"\nstore = "{folder}/store"\n'
                             f'audit = "{folder}/audit"\nbackup = "{folder}/backup"\n')
        self.put("old", made=MADE - 1)
        self.put("new")
        self.live = None

    def put(self, name, **more):
        data = {"keys": self.keys, "made": MADE, **more}
        (self.folder / "backup" / name).write_text(json.dumps(data))

    def start(self, **more):
        live = {"keys": self.keys | more, "made": 0}
        (self.folder / "store" / "keys.json").write_text(json.dumps(live))
        self.live = subprocess.Popen([FAKE, "-c", self.conf])
        run("wait", "--timeout", "20s", kms=self)

    def options(self):
        return {"kms": self, "TMPDIR": str(self.tmp), "KMS_CONFIG": str(self.conf)}

    def rehearse(self, *args):
        done = run("backup", "rehearse", "--kmsd", FAKE, "--json", *args, **self.options())
        assert not list(self.tmp.iterdir()), "something is left"
        return done.returncode, json.loads(done.stdout)

    def noted(self):
        path = self.folder / "store" / "rehearsed.json"
        return json.loads(path.read_text()) if path.exists() else None


@pytest.fixture
def world(tmp_path_factory):
    made = World(tmp_path_factory.mktemp("r"))
    yield made
    if made.live is not None:
        made.live.kill()
        made.live.wait()


def test_the_newest_backup_brings_everything_back(world):
    world.start()
    status, seen = world.rehearse()
    assert status == 0 and seen["ok"] is True and seen["backup"] == "new"
    assert (seen["checked"], seen["failed"], seen["newer"], seen["samples"]) == (3, 0, 0, 3)
    assert world.noted() == ["new", False, 3]


def test_what_is_newer_is_named(world):
    world.start(d=key("ddd", MADE + 1))
    status, seen = world.rehearse("old")
    assert status == 0 and seen["newer"] == 1 and seen["backup"] == "old"
    assert [(x["result"], x["key"]) for x in seen["differences"]] == [("newer", "d")]


def test_as_text(world):
    world.start()
    done = run("backup", "rehearse", "--kmsd", FAKE, **world.options())
    assert done.returncode == 0 and done.stdout.startswith(b"new brings everything back.\n")
    assert run("backup", "rehearse", "-q", "--kmsd", FAKE, **world.options()).stdout == b""


def test_shares_open_it(world):
    world.put("new", shares=True)
    world.start()
    files = []
    for i, text in enumerate(SHARE):
        path = world.folder / f"share-{i}"
        path.write_text(text + "\n")
        files += ["--share", path]
    status, seen = world.rehearse(*files)
    assert status == 0 and seen["checked"] == 3
    status, seen = world.rehearse(*files[:2])
    assert status == 5 and seen["error"]["name"] == "shares_few"
    assert world.noted() == ["new", True, 0]
    status, seen = world.rehearse()
    assert status == 4 and seen["error"]["code"] == "sealed"


def test_a_dry_run_starts_nothing(world):
    world.start()
    status, seen = world.rehearse("--dry-run")
    assert status == 0 and seen["dry_run"] is True
    assert seen["folder"] == f"{world.folder}/backup" and seen["kmsd"] == str(FAKE)
    assert world.noted() is None


def test_a_backup_without_a_key_fails(world):
    world.start(lost=key("lll"))
    status, seen = world.rehearse()
    assert status == 5 and seen["ok"] is False and seen["failed"] == 1
    assert [(x["result"], x["key"]) for x in seen["differences"]] == [("failed", "lost")]
    assert world.noted() == ["new", True, 4]


def test_a_backup_with_another_key_fails(world):
    world.start(a=key("other"))
    status, seen = world.rehearse()
    assert status == 5 and seen["failed"] == 1 and world.noted() == ["new", True, 3]
    done = run("backup", "rehearse", "--kmsd", FAKE, **world.options())
    assert b"does NOT bring everything back" in done.stdout


def test_a_backup_that_does_not_open_fails(world):
    world.put("new", broken=True)
    world.start()
    status, seen = world.rehearse()
    assert status == 5 and seen["error"]["code"] == "integrity"
    assert world.noted() == ["new", True, 0]


@pytest.mark.parametrize("args, status", [
    (["none"], 3), (["--config", "/nonexistent"], 2), (["--kmsd", "/nonexistent"], 2),
    (["--kmsd", "/bin/false"], 8), (["--share", "/nonexistent"], 2)])
def test_what_is_no_verdict_is_not_noted(world, args, status):
    world.start()
    assert world.rehearse(*args)[0] == status
    assert world.noted() is None


def test_an_interrupt_leaves_nothing(world):
    """The kmsd that is started never answers."""
    world.start()
    program = world.folder / "hangs"
    program.write_text("#!/bin/sh\nkill -INT $PPID\nexec sleep 60\n")
    program.chmod(0o700)
    options = world.options()
    done = subprocess.run([KMSCTL, "backup", "rehearse", "--kmsd", program], capture_output=True,
                          env=environment(options.pop("kms"), **options), timeout=30)
    assert done.returncode == 6 and b"broken off" in done.stderr
    assert not list(world.tmp.iterdir()) and world.noted() is None


def test_a_sealed_live_one_is_not_rehearsed(world):
    world.live = subprocess.Popen([FAKE, "-c", world.conf])
    run("wait", "--timeout", "20s", kms=world)
    status, seen = world.rehearse()
    assert status == 4 and seen["error"]["code"] == "sealed" and world.noted() is None
