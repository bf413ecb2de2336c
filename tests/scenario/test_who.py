# SPDX-License-Identifier: Apache-2.0
"""Who may: the user that initialised and the administrators' group; nobody else, and a denial is
in the log. A stranger's uid needs root to put on."""
import grp
import os
import subprocess
import sys

import pytest
from audit import records
from instance import ROOT, KmsError

STRANGER, ADMIN_GROUP = 65534, "daemon"

ASK = """
import sys
sys.path.insert(0, {rig!r})
from wire import Client
with Client({socket!r}) as c:
    for op, args in {asks!r}:
        answer = c.ask(op, **args)
        print(answer.error.code if answer.error else "ok")
    print(c.ask("whoami").whoami)
"""


def ask_as(kms, asks, uid=STRANGER, groups=()):
    """Asks as another user; the codes, and what whoami said."""
    code = ASK.format(rig=str(ROOT / "tests" / "rig"), socket=kms.socket, asks=asks)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=20, cwd="/",
                          user=uid, group=uid, extra_groups=list(groups))
    assert done.returncode == 0, done.stderr.decode()
    lines = done.stdout.decode().splitlines()
    return lines[:-1], lines[-1]


def open_to_all(kms):
    os.chmod(kms.dir, 0o755)


ALL = [("issue", {"key": "rec"}), ("unwrap", {"items": [{"data": b"x" * 92}]}),
       ("key_create", {"key": "mine"}), ("key_list", {}), ("key_destroy", {"key": "rec"}),
       ("seal", {}), ("unseal", {}), ("audit_read", {}), ("random", {"n": 8}),
       ("slot_list", {}), ("metrics", {}), ("init", {"slot": "tpm"})]


@pytest.mark.root
def test_stranger_is_denied_and_recorded(make):
    kms = make(socket_mode="0666")
    open_to_all(kms)
    with kms.client() as c:
        c.call("key_create", key="rec")
        before = c.status().audit_records
    codes, who = ask_as(kms, ALL)
    assert set(codes) == {"denied"}, list(zip(ALL, codes))
    assert f"unix:{STRANGER}" in who and "'admin': 0" in who
    found = [r for r in records(kms, before) if r.identity == f"unix:{STRANGER}"]
    assert [r.op for r in found[: len(ALL)]] == [op.replace("_", "-") for op, _ in ALL]
    assert {r.result for r in found[: len(ALL)]} == {"denied"}
    with kms.client() as c:
        assert c.call("key_show", key="rec").state == "active"


@pytest.mark.root
def test_member_of_the_group_may(make):
    gid = grp.getgrnam(ADMIN_GROUP).gr_gid
    kms = make(socket_mode="0666", admin_group=ADMIN_GROUP)
    open_to_all(kms)
    asks = [("key_create", {"key": "mine"}), ("issue", {"key": "mine"}), ("audit_read", {})]
    assert ask_as(kms, asks, groups=[gid])[0] == ["ok"] * 3
    assert ask_as(kms, asks)[0] == ["denied"] * 3


@pytest.mark.root
def test_socket_closed_to_others(kms):
    """The default mode: the kernel already refuses, and kmsctl names what to do."""
    open_to_all(kms)
    done = kms.ctl("status", status=None, user=STRANGER, group=STRANGER, extra_groups=[], cwd="/")
    assert done.returncode == 8
    assert b"group" in done.stdout + done.stderr


@pytest.mark.root
def test_init_is_not_for_strangers(make):
    """Before there is an owner: only the service's own user, root, or the group may make one."""
    kms = make(socket_mode="0666", init=False)
    open_to_all(kms)
    kms.start()
    assert ask_as(kms, [("init", {"slot": "tpm"})])[0] == ["denied"]
    assert kms.status().state == "uninitialised"


def test_nobody_speaks_for_another(shared):
    with shared.client() as c:
        for who in ("unix:0", "tls:spiffe://x", "x"):
            with pytest.raises(KmsError) as e:
                c.call("issue", key="k", asserted=who)
            assert e.value.code == "denied"
