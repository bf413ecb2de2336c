# SPDX-License-Identifier: Apache-2.0
"""./dev up, down and demo: what a stranger types first."""
import json
import os
import pathlib
import select
import shutil
import subprocess

import pytest
from instance import BUILD, PATIENCE, ROOT

RIG = ROOT / "tests" / "rig"


def run(script, *args, status=0, **more):
    env = {k: v for k, v in os.environ.items() if not k.startswith("KMS_")}
    done = subprocess.run([RIG / script, *map(str, args)], capture_output=True, timeout=180,
                          env=env | {"KMS_BUILD": str(BUILD)}, **more)
    assert status is None or done.returncode == status, done.stdout.decode() + done.stderr.decode()
    return done.stdout.decode() + done.stderr.decode()


def source(folder, command):
    done = subprocess.run(["bash", "-c", f". '{folder}/env' && {command}"], capture_output=True,
                          timeout=60)
    return done.returncode, done.stdout, done.stderr


def alive(folder, name):
    try:
        pid = int((folder / name).read_text())
        return pathlib.Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (OSError, ValueError):
        return False


@pytest.fixture
def place(tmp_path):
    yield tmp_path / "instance"
    if (tmp_path / "instance").exists():
        run("down.sh", tmp_path / "instance")


def test_up_and_down(place):
    run("up.sh", place, "--slot", "tpm")
    assert alive(place, "kmsd.pid") and alive(place, "swtpm.pid")
    code, out, _ = source(place, "kmsctl status --json")
    assert code == 0 and json.loads(out)["state"] == "unsealed"
    code, out, _ = source(place, "kmsctl key create rec-2026 --json && "
                                 "kmsctl issue rec-2026 --context call=1 --json")
    assert code == 0
    run("up.sh", place)  # once more: nothing to do
    run("down.sh", place)
    assert not alive(place, "kmsd.pid") and not alive(place, "swtpm.pid")
    run("down.sh", place)  # once more: nothing to do
    run("up.sh", place)
    code, out, _ = source(place, "kmsctl key show rec-2026 --json")
    assert code == 0 and json.loads(out)["state"] == "active"


def test_up_starts_what_is_missing(place):
    run("up.sh", place)
    parent = int((place / "kmsd.pid").read_text())
    children = pathlib.Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    ends = [os.pidfd_open(int(pid)) for pid in (parent, *children)]
    os.kill(parent, 9)
    for end in ends:
        assert select.select([end], [], [], PATIENCE)[0], "the keeper outlives its parent"
        os.close(end)
    run("up.sh", place)
    assert source(place, "kmsctl status")[0] == 0
    run("down.sh", place)


def test_long_path(tmp_path):
    place = tmp_path / ("d" * 60) / ("e" * 60)
    place.mkdir(parents=True)
    run("up.sh", place)
    socket = source(place, "echo $KMS_SOCKET")[1].decode().strip()
    assert len(socket) < 100 and source(place, "kmsctl status")[0] == 0
    run("down.sh", place)
    assert not pathlib.Path(socket).parent.exists()
    run("up.sh", place)
    assert source(place, "kmsctl status")[0] == 0
    run("down.sh", place)


def test_up_with_a_token(place):
    run("up.sh", place, "--slot", "pkcs11")
    assert "SOFTHSM2_CONF" in (place / "env").read_text()
    code, out, _ = source(place, "softhsm2-util --show-slots")
    assert code == 0 and b"Label:            kms " in out
    assert subprocess.run([BUILD / "kmsd", "-t", "-c", place / "kms.conf"]).returncode == 0
    assert not alive(place, "swtpm.pid")
    for name in ("pkcs11-pin", "pkcs11-so-pin"):
        assert (place / name).stat().st_mode & 0o077 == 0
    code, out, _ = source(place, "kmsctl status --json")
    assert code == 0 and json.loads(out)["state"] == "unsealed"
    run("down.sh", place)
    assert "made with the slot pkcs11" in run("up.sh", place, "--slot", "tpm", status=1)
    run("up.sh", place)
    code, out, _ = source(place, "kmsctl status --json")
    assert code == 0 and json.loads(out)["state"] == "unsealed"


def test_up_with_shares_alone(place):
    """Nothing but people opens it: those of DIR/shares, each time."""
    run("up.sh", place, "--slot", "shares")
    files = sorted((place / "shares").iterdir())
    assert len(files) == 3 and all(p.stat().st_mode & 0o777 == 0o600 for p in files)
    assert (place / "shares").stat().st_mode & 0o077 == 0
    code, out, _ = source(place, "kmsctl slot list --json")
    assert code == 0 and [s["kind"] for s in json.loads(out)["slots"]] == ["shares"]
    run("down.sh", place)
    said = run("up.sh", place)
    assert "does not help" not in said
    assert json.loads(source(place, "kmsctl status --json")[1])["state"] == "unsealed"
    assert source(place, "kmsctl slot add tpm")[0] == 0  # its TPM runs, for whoever wants that
    assert "made with the slot shares" in run("up.sh", place, "--slot", "tpm", status=1)


@pytest.mark.parametrize("slot", ["tpm", "pkcs11"])
def test_up_with_hardware_and_shares(place, slot):
    run("up.sh", place, "--slot", slot, "--shares=2/2")
    listed = json.loads(source(place, "kmsctl slot list --json")[1])["slots"]
    assert sorted(s["kind"] for s in listed) == sorted([slot, "shares"])
    run("down.sh", place)
    (place / "tpm-auth").unlink()
    (place / "pkcs11-pin").unlink(missing_ok=True)
    if slot == "pkcs11":
        shutil.rmtree(place / "softhsm" / "tokens")
    run("up.sh", place)  # the hardware doesn't open it any more
    assert json.loads(source(place, "kmsctl status --json")[1])["state"] == "unsealed"


def test_failure_says_what_to_do(place):
    place.mkdir()
    (place / "kms.conf").write_text('socket = "relative"\n')
    said = run("up.sh", place, status=1)
    assert "what to do" in said and "socket" in said


def test_usage():
    assert "usage" in run("up.sh", status=2)
    said = run("up.sh", "/tmp/none", "--slot", "paper", status=1)
    assert "paper" in said and "pkcs11" in said
    assert "usage" in run("up.sh", "/tmp/none", "--shares", "two", status=2)


@pytest.mark.root
def test_as_an_ordinary_user(tmp_path):
    import tempfile
    place = pathlib.Path(tempfile.mkdtemp(prefix="kms-user-", dir="/tmp"))
    os.chown(place, 65534, 65534)
    try:
        as_nobody = {"user": 65534, "group": 65534, "extra_groups": [], "cwd": "/"}
        run("up.sh", place, **as_nobody)
        assert source(place, "kmsctl status")[0] == 0  # root may connect, status is everybody's?
        run("down.sh", place, **as_nobody)
    finally:
        shutil.rmtree(place)


def test_demo():
    before, ran = set(pathlib.Path("/tmp").iterdir()), set(running())
    said = run("demo.sh")
    assert 45 <= len(said.splitlines()) <= 62
    assert set(p for p in pathlib.Path("/tmp").iterdir() if p.name.startswith("kms-demo")) <= before
    assert "tpm_foreign" in said and "integrity" in said
    story = ["A stolen disk", "A backup", "The fire", "Another host", "Two of three", "As before",
             "A person leaves"]
    places = [said.index(title) for title in story]
    assert places == sorted(places) and "recording plays, byte for byte" in said[places[4]:]
    left = set(running()) - ran
    assert not any("kms-demo" in line for line in left), "something of it still runs"


def running():
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            pass  # it has ended


def test_up_with_a_tpm_and_shares(place):
    run("up.sh", place, "--slot", "tpm", "--shares", "2/3")
    shares = sorted((place / "shares").iterdir())
    assert [p.name for p in shares] == [f"share-{i}-of-3" for i in (1, 2, 3)]
    assert all(p.stat().st_mode & 0o077 == 0 for p in shares)
    code, out, _ = source(place, "kmsctl slot list --json")
    assert code == 0 and {s["slot"] for s in json.loads(out)["slots"]} == {"tpm", "shares"}
    assert "K/N" in run("up.sh", place.with_name("wrong"), "--shares", "4/3", status=1)
    assert not (place.with_name("wrong") / "shares").exists()
    run("down.sh", place.with_name("wrong"))
