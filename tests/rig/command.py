# SPDX-License-Identifier: Apache-2.0
"""kmsctl as people run it: from a script and at a terminal."""
import os
import pty
import select
import subprocess

from instance import BUILD, PATIENCE

KMSCTL = BUILD / "kmsctl"


def environment(kms=None, **more):
    env = {k: v for k, v in os.environ.items() if not k.startswith("KMS_")}
    return env | ({"KMS_SOCKET": kms.socket} if kms else {}) | more


def run(*args, kms=None, input=b"", **more):
    return subprocess.run([KMSCTL, *map(str, args)], input=input, capture_output=True,
                          env=environment(kms, **more), timeout=PATIENCE * 3)


def on_terminal(kms, *args, typed=b"", stdout=None):
    """kmsctl with a terminal as stdin, stdout and stderr; its exit status and all it wrote.
    stdout: this file instead of the terminal."""
    pid, fd = pty.fork()
    if pid == 0:
        if stdout is not None:
            os.dup2(os.open(stdout, os.O_WRONLY | os.O_CREAT, 0o600), 1)
        os.execve(KMSCTL, ["kmsctl", *map(str, args)], environment(kms, TERM="xterm"))
    seen, asked = b"", False
    while True:
        assert select.select([fd], [], [], PATIENCE)[0], f"kmsctl hangs after {seen!r}"
        try:
            data = os.read(fd, 4096)
        except OSError:
            break
        if not data:
            break
        seen += data
        if typed and not asked and b"to go on:" in seen:
            asked = True
            os.write(fd, typed)
    _, status = os.waitpid(pid, 0)
    os.close(fd)
    return os.waitstatus_to_exitcode(status), seen.decode(errors="replace")


def issue(kms, *args):
    return kms.ctl("issue", "k", *args, text=True).strip()
