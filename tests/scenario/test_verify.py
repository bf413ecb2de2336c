# SPDX-License-Identifier: Apache-2.0
"""kms-verify on the log of a real keeper: right as it is, and the record that was changed is named."""
import subprocess

from instance import BUILD, PATIENCE


def verify(*args):
    done = subprocess.run([BUILD / "kms-verify", *map(str, args)], capture_output=True, text=True,
                          timeout=PATIENCE, check=False)
    return done.returncode, done.stdout


def test_a_keepers_log(kms):
    with kms.client() as c:
        c.call("key_create", key="rec")
        for _ in range(5):
            c.issue("rec")
    kms.stop()
    status, said = verify(kms.audit)
    assert status == 0 and "not signed" in said, said
    path = kms.audit / "00000000.seg"
    raw = path.read_bytes()
    at = raw.index(b"unix")
    path.write_bytes(raw[:at] + b"U" + raw[at + 1:])
    status, said = verify(kms.audit)
    assert status == 1 and "wrong: frame" in said and "\nrecord: " in said, said
    path.write_bytes(raw[:-4096])
    status, said = verify(kms.audit)
    assert status == 1 and "wrong: head" in said, said
    path.write_bytes(raw)
    assert verify(kms.audit)[0] == 0
    assert verify()[0] == 2
