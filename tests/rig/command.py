# SPDX-License-Identifier: Apache-2.0
"""kmsctl as people run it: from a script and at a terminal."""
import os
import pty
import select
import signal
import subprocess

from instance import BUILD, PATIENCE

KMSCTL = BUILD / "kmsctl"


def environment(kms=None, **more):
    env = {k: v for k, v in os.environ.items() if not k.startswith("KMS_")}
    return env | ({"KMS_SOCKET": kms.socket} if kms else {}) | more


def run(*args, kms=None, input=b"", **more):
    return subprocess.run([KMSCTL, *map(str, args)], input=input, capture_output=True,
                          env=environment(kms, **more), timeout=PATIENCE * 3)


class Terminal:
    """kmsctl with a terminal as stdin, stdout and stderr. stdout: this file instead of the terminal."""

    def __init__(self, kms, *args, stdout=None):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            if stdout is not None:
                os.dup2(os.open(stdout, os.O_WRONLY | os.O_CREAT, 0o600), 1)
            os.execve(KMSCTL, ["kmsctl", *map(str, args)], environment(kms, TERM="xterm"))
        self.seen = b""

    def _read(self):
        assert select.select([self.fd], [], [], PATIENCE)[0], f"kmsctl hangs after {self.seen!r}"
        try:
            data = os.read(self.fd, 4096)
        except OSError:
            data = b""
        self.seen += data
        return bool(data)

    def until(self, text):
        """Waits until it has said this; False if it ended before."""
        while text not in self.seen:
            if not self._read():
                return False
        return True

    def type(self, data):
        os.write(self.fd, data)

    def end(self):
        """Its exit status and all it wrote."""
        while self._read():
            pass
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status), self.seen.decode(errors="replace")


def on_terminal(kms, *args, typed=b"", stdout=None):
    """Types that where it is asked for a confirmation; kmsctl's exit status and all it wrote."""
    terminal = Terminal(kms, *args, stdout=stdout)
    if typed and terminal.until(b"to go on:"):
        terminal.type(typed)
    return terminal.end()


def issue(kms, *args):
    return kms.ctl("issue", "k", *args, text=True).strip()
