# SPDX-License-Identifier: Apache-2.0
"""A policy is checked, asked and compared without kmsd."""
import json
import pathlib
import subprocess

from instance import BUILD

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHIPPED = str(ROOT / "packaging/policy.conf")


def policy(*words):
    done = subprocess.run([BUILD / "kmsctl", "policy", *words, "--json"],
                          capture_output=True, text=True, timeout=30)
    return done.returncode, json.loads(done.stdout)


def test_the_shipped_policy_is_asked(tmp_path):
    status, found = policy("check", SHIPPED)
    assert status == 0 and found["errors"] == 0
    ask = ("explain", SHIPPED, "unix:asterisk")
    yes = policy(*ask, "issue", "rec-1", "--class", "recording")[1]
    assert yes["allowed"] and yes["role"] == "recorder"
    assert policy(*ask, "unwrap", "rec-1", "--class", "recording")[1]["missing"] == "right"
    assert policy(*ask, "issue", "rec-1")[1]["missing"] == "class"
    empty = tmp_path / "empty.conf"
    empty.write_text("# nobody\n")
    changes = policy("diff", SHIPPED, str(empty))[1]["changes"]
    assert {"loses"} == {c["change"] for c in changes if c["role"] != "-"}


def test_what_is_wrong_has_a_place(tmp_path):
    bad = tmp_path / "bad.conf"
    bad.write_text('role "a" {\n}\ngrant "unix:b" { roles = { "x" } }\n')
    status, answer = policy("check", str(bad))
    assert status != 0 and ":3:29:" in json.dumps(answer)
    bad.write_text('class c { separate = yes }\nrole a { operations = { issue, unwrap } }\n')
    status, answer = policy("check", str(bad))
    assert status != 0 and answer["errors"] == 1
    assert policy("explain", SHIPPED, "root", "issue")[0] == 2
