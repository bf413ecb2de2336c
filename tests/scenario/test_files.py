# SPDX-License-Identifier: Apache-2.0
"""Files: encrypt and decrypt as streams, any size, in constant memory; what is damaged is refused."""
import os
import re
import pathlib
import resource
import subprocess

import pytest
from conftest import LONG
from instance import BUILD

SIZE = (1024 if LONG else 64) << 20
MEMORY = 24 << 10  # KiB that kmsctl may use, whatever the file's size


@pytest.fixture
def rec(kms):
    kms.ctl("key", "create", "rec")
    return kms


def make_file(path, size):
    """Bytes that don't repeat, written fast."""
    block = os.urandom(1 << 20)
    with open(path, "wb") as f:
        for i in range(size >> 20):
            f.write(i.to_bytes(8, "little") + block[8:])
        f.write(block[: size & 0xFFFFF])


def run_measured(kms, *args):
    """kmsctl; returns its largest resident memory in KiB. Looked at while it runs: what wait4 tells
    begins with our own size before the exec."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("KMS_")}
    done = subprocess.Popen([BUILD / "kmsctl", *map(str, args)],
                            env=env | {"KMS_SOCKET": kms.socket})
    most = 0
    while done.poll() is None:
        try:
            status = pathlib.Path(f"/proc/{done.pid}/status").read_text()
        except OSError:
            continue
        found = re.search(r"^Name:\tkmsctl$.*^VmHWM:\s+(\d+)", status, re.M | re.S)
        most = max(most, int(found[1])) if found else most
    assert done.returncode == 0, args
    return most


def same(a, b):
    return subprocess.run(["cmp", a, b], capture_output=True).returncode == 0


def test_large_file_in_constant_memory(rec, tmp_path):
    clear, locked, back = (tmp_path / n for n in ("clear", "clear.kms", "back"))
    make_file(clear, SIZE)
    used = [run_measured(rec, "encrypt", "rec", clear, "-o", locked, "--context", "call=1"),
            run_measured(rec, "decrypt", locked, "-o", back)]
    assert same(clear, back)
    chunks = SIZE // 16384 + 1
    overhead = locked.stat().st_size - SIZE
    assert 16 * chunks < overhead < 16 * chunks + 4096
    small = tmp_path / "small"
    small.write_bytes(b"x")
    least = run_measured(rec, "encrypt", "rec", small, "-o", tmp_path / "small.kms")
    assert max(used) < MEMORY and max(used) - least < 4096, (used, least)


@pytest.mark.parametrize("size", [0, 1, 16383, 16384, 16385, 32768, 100000])
def test_sizes_around_a_chunk(rec, tmp_path, size):
    clear, locked, back = (tmp_path / n for n in ("clear", "locked", "back"))
    clear.write_bytes(os.urandom(size))
    rec.ctl("encrypt", "rec", clear, "-o", locked, "--context", "call=1")
    rec.ctl("decrypt", locked, "-o", back)
    assert same(clear, back)


def test_pipes(rec):
    data = os.urandom(100000)
    locked = rec.ctl("encrypt", "rec", "-", "-o", "-", input=data, text=True)
    assert data not in locked
    assert rec.ctl("decrypt", "-", "-o", "-", input=locked, text=True) == data


def test_inspect_needs_no_key(rec, tmp_path):
    locked = tmp_path / "locked"
    rec.ctl("encrypt", "rec", "-", "-o", locked, "--context", "call=1", "--context", "agent=7",
            input=b"voice")
    rec.stop()
    seen = rec.ctl("inspect", locked)
    assert seen["key"] == "rec" and seen["context"] == {"call": "1", "agent": "7"}
    assert seen["version"] == 1


def test_every_damage_is_refused(rec, tmp_path):
    locked, bad = tmp_path / "locked", tmp_path / "bad"
    rec.ctl("encrypt", "rec", "-", "-o", locked, "--context", "call=1",
            input=os.urandom(40000))
    good = locked.read_bytes()
    head = len(good) - 40000 - 3 * 16 - 56
    places = list(range(0, head, 7)) + [head, head + 24, head + 55, head + 56, head + 20000,
                                        len(good) - 1]
    for at in places:
        flipped = bytearray(good)
        flipped[at] ^= 0x04
        bad.write_bytes(flipped)
        done = rec.ctl("decrypt", bad, "-o", tmp_path / "out", status=None)
        assert done.returncode in (5, 3), (at, done.returncode, done.stderr)
        assert not (tmp_path / "out").exists(), at
    for cut in (0, 1, 10, head, head + 56, head + 56 + 16400, len(good) - 1):
        bad.write_bytes(good[:cut])
        done = rec.ctl("decrypt", bad, "-o", tmp_path / "out", status=None)
        assert done.returncode == 5, (cut, done.returncode, done.stderr)
        assert not (tmp_path / "out").exists(), cut
    bad.write_bytes(good + b"x")
    assert rec.ctl("decrypt", bad, "-o", tmp_path / "out", status=None).returncode == 5


def test_destroyed_key_takes_its_files_along(rec, tmp_path):
    locked = tmp_path / "locked"
    rec.ctl("encrypt", "rec", "-", "-o", locked, input=b"voice")
    rec.ctl("key", "destroy", "rec", "--version", "1", "--yes")
    done = rec.ctl("decrypt", locked, "-o", tmp_path / "out", status=6)
    assert done["error"]["code"] == "wrong_state"
    assert not (tmp_path / "out").exists()


def test_rm_only_after_success(rec, tmp_path):
    clear, locked = tmp_path / "clear", tmp_path / "locked"
    clear.write_bytes(b"voice" * 1000)
    rec.ctl("encrypt", "none", clear, "-o", locked, "--rm", status=3)
    assert clear.exists() and not locked.exists()
    rec.ctl("encrypt", "rec", clear, "-o", locked, "--rm")
    assert not clear.exists()
    assert rec.ctl("decrypt", locked, "-o", "-", text=True) == b"voice" * 1000


def test_output_is_closed_to_others(rec, tmp_path):
    rec.ctl("encrypt", "rec", "-", "-o", tmp_path / "locked", input=b"voice")
    rec.ctl("decrypt", tmp_path / "locked", "-o", tmp_path / "out")
    assert (tmp_path / "out").stat().st_mode & 0o077 == 0


def test_disk_full_leaves_no_half_file(rec, tmp_path):
    clear, locked = tmp_path / "clear", tmp_path / "locked"
    make_file(clear, 2 << 20)

    def small_files():
        import signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    done = rec.ctl("encrypt", "rec", clear, "-o", locked, "--rm", status=None,
                   preexec_fn=small_files)
    assert done.returncode != 0
    assert clear.exists() and not locked.exists()
    assert not [p for p in tmp_path.iterdir() if p != clear]
