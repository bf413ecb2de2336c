# SPDX-License-Identifier: Apache-2.0
"""One kmsd with its software TPM or token in a folder of its own, for tests. Waits for events, never for
time: kmsd says its state through sd_notify, ends of processes come through pidfds. Whatever a
test does, nothing outlives the Instance."""
import json
import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from hardware import PATIENCE, TOKEN_CONFIG, Hardware, die_with_parent, token_module
from wire import Bag, Client, Closed, KmsError

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("KMS_BUILD", ROOT / "build")).resolve()


def _sanitized():
    """True if the build has a sanitizer or counts coverage: no sandbox, and memory of its own."""
    try:
        cache = (BUILD / "CMakeCache.txt").read_text()
    except OSError:
        return False
    values = dict(line.split("=", 1) for line in cache.splitlines() if line.startswith("KMS_"))
    return bool(values.get("KMS_SANITIZE:STRING")) or values.get("KMS_COVERAGE:BOOL") == "ON"


SANITIZED = _sanitized()

CONFIG = """\
socket = "{dir}/kms.sock"
socket_mode = "{socket_mode}"
socket_group = ""
admin_group = "{admin_group}"
store = "{store}"
audit = "{audit}"
backup = "{backup}"
backup_every = "{backup_every}"
slot_check_every = "{slot_check_every}"
audit_segment = {audit_segment}
helper = "{helper}"
allow_unlocked = true
max_connections = {max_connections}
max_versions = {max_versions}
frame_timeout = "{frame_timeout}"
log_level = "{log_level}"
tpm {{
	tcti = "swtpm:path={tpm_socket}"
	auth_file = "{dir}/tpm-auth"
	pcrs = {{{pcrs}}}
	deadline = "{deadline}"
}}
"""

DEFAULTS = {"socket_mode": "0600", "admin_group": "", "audit_segment": 2 << 20,
            "max_connections": 16384, "max_versions": 1000, "frame_timeout": "2s",
            "backup_every": "off", "slot_check_every": "off", "deadline": "10s", "pcrs": "7",
            "log_level": "info", "helper": BUILD / "kms-seal"}


class Failed(Exception):
    """kmsctl ended with another status than the test wanted."""


def wait_gone(pid, seconds=PATIENCE):
    """Waits until a process that is not our child has ended."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        assert poll.poll(seconds * 1000), f"process {pid} did not end in {seconds} s"
    finally:
        os.close(fd)


def children(pid):
    """Ids of a process's children; none if it has gone."""
    try:
        text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(p) for p in text.split()]


def name_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


class Instance(Hardware):
    """slot: what init makes: "tpm", "pkcs11" or "shares". shares: "K/N" beside hardware; those of the
    people are kept in self.shares. both: TPM and token are there, whatever init makes; token: the
    token beside the slot."""

    def __init__(self, folder=None, env=None, init=True, wrapper=(), slot="tpm", shares=None,
                 both=False, token=False, **config):
        self.own_dir = folder is None
        self.dir = pathlib.Path(folder or tempfile.mkdtemp(prefix="kms-", dir="/tmp"))
        self.env, self.wrapper, self.slot = dict(env or {}), list(wrapper), slot
        self.store = pathlib.Path(config.pop("store", self.dir / "store"))
        self.audit = pathlib.Path(config.pop("audit", self.dir / "audit"))
        self.backup = pathlib.Path(config.pop("backup", self.dir / "backup"))
        self.config = {**DEFAULTS, **config}
        self.wants_shares = shares or ("2/3" if slot == "shares" else None)
        self.shares = []
        self.socket, self.tpm_socket = str(self.dir / "kms.sock"), str(self.dir / "tpm.sock")
        self.log = self.dir / "kmsd.log"
        self.kmsd = self.swtpm = self.state = None
        for folder in (self.store, self.audit, self.backup):
            folder.mkdir(mode=0o700, exist_ok=True)
        self._make_auth()
        self.has_token = both or token or slot == "pkcs11"
        if self.has_token:
            self.make_token()
        self.write_config()
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(self.dir / "notify"))
        if both or slot == "tpm":
            self.start_tpm()
        if init:
            self.start()
            self.init()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.kill()
        self.kill_tpm()
        self._notify.close()
        if self.own_dir and not os.environ.get("KMS_TEST_KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)

    def write_config(self, **changes):
        self.config.update(changes)
        text = CONFIG + (TOKEN_CONFIG if self.has_token else "")
        (self.dir / "kms.conf").write_text(text.format(
            dir=self.dir, store=self.store, audit=self.audit, backup=self.backup, tpm_socket=self.tpm_socket,
            token_module=token_module(), **self.config))

    # ---- kmsd ----------------------------------------------------------------------------

    def start(self, wait=True, people=True):
        """Starts kmsd; waits for the first state that isn't a passing one. Where only shares open
        it, people give theirs."""
        env = {k: v for k, v in os.environ.items() if not k.startswith(("KMS_", "NOTIFY_"))}
        env |= {"NOTIFY_SOCKET": str(self.dir / "notify"), "TSS2_LOG": "all+none"} | self.env
        self._drain()
        self.state = None
        self.log_start = self.log.stat().st_size if self.log.exists() else 0
        with open(self.log, "ab") as log:
            self.kmsd = subprocess.Popen(
                [*self.wrapper, BUILD / "kmsd", "-c", self.dir / "kms.conf"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, cwd=self.dir,
                preexec_fn=die_with_parent)
        if wait:
            self.wait_state()
            if people:
                self.gather()
        return self

    def _drain(self):
        self._notify.setblocking(False)
        try:
            while self._take(self._notify.recv(4096)):
                pass
        except BlockingIOError:
            pass

    def _take(self, data):
        for line in data.decode().splitlines():
            if line.startswith("STATUS="):
                self.state = line[7:].split(":")[0].split(" ")[0]
        return True

    def wait_state(self, *wanted, seconds=PATIENCE):
        """Waits until kmsd says one of these states; without any, until it says a settled one."""
        end = time.monotonic() + seconds
        fd = os.pidfd_open(self.kmsd.pid)
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        poll.register(self._notify, select.POLLIN)
        try:
            while True:
                self._drain()
                if self.state in wanted or not wanted and self.state not in (None, "opening"):
                    return self.state
                left = end - time.monotonic()
                ready = dict(poll.poll(max(left, 0) * 1000))
                if self._notify.fileno() in ready:
                    continue
                why = "ended" if fd in ready else "timed out"
                raise AssertionError(
                    f"kmsd {why} in state {self.state}, not {wanted}; its log:\n{self.tail()}")
        finally:
            os.close(fd)

    def tail(self, lines=25):
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def logged(self):
        """What kmsd has logged since its last start."""
        return self.log.read_bytes()[self.log_start:].decode(errors="replace")

    def stop(self):
        """A clean stop; its exit status."""
        if self.kmsd is None:
            return None
        keeper = self.keeper()
        self.kmsd.terminate()
        self._take_in_until_it_ends()
        status = self.kmsd.wait(PATIENCE)
        self.kmsd = None
        if keeper:
            wait_gone(keeper)
        return status

    def _take_in_until_it_ends(self):
        """The socket holds a few messages only: a kmsd that says more waits for us."""
        fd = os.pidfd_open(self.kmsd.pid)
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        poll.register(self._notify, select.POLLIN)
        end = time.monotonic() + PATIENCE
        while fd not in dict(poll.poll(max(end - time.monotonic(), 0) * 1000)):
            if time.monotonic() >= end:
                break
            self._drain()
        os.close(fd)

    def kill(self):
        """kill -9 of everything: parent, keeper, helper."""
        if self.kmsd is None:
            return
        family = self.family()
        for pid in family:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.kmsd.wait(PATIENCE)
        for pid in family[1:]:
            wait_gone(pid)
        self.kmsd = None

    def restart(self):
        self.stop()
        return self.start()

    def parent(self):
        """The parent's id: that of kmsd, or its child where a wrapper stands in front."""
        if not self.wrapper or name_of(self.kmsd.pid) == "kmsd":
            return self.kmsd.pid
        return next((p for p in children(self.kmsd.pid) if name_of(p) == "kmsd"), self.kmsd.pid)

    def keeper(self):
        return next((p for p in children(self.parent()) if name_of(p) != "kms-seal"), None)

    def helper(self):
        return next((p for p in children(self.parent()) if name_of(p) == "kms-seal"), None)

    def family(self):
        parent = self.parent()
        out = [self.kmsd.pid] if parent != self.kmsd.pid else []
        return [*out, parent, *children(parent)]

    # ---- opening -------------------------------------------------------------------------

    def init(self):
        if self.wants_shares:
            hardware = [] if self.slot == "shares" else ["--slot", self.slot]
            self.shares = self.ctl("init", *hardware, "--shares", self.wants_shares)["shares"]
        else:
            with self.client() as c:
                c.call("init", slot=self.slot)
        self.wait_state("unsealed")

    def unseal(self):
        """As a person would: with hardware, or with as many people as are needed."""
        if self.slot != "shares":
            with self.client() as c:
                c.call("unseal")
            return
        for share in self.shares[:int(self.wants_shares.split("/")[0])]:
            done = self.give(share, status=None)
            if done.returncode != 0:
                error = parse_json(done.stdout)["error"]
                raise KmsError(Bag({"text": error["message"], "detail": "", **error}))
        self.wait_state("unsealed")

    def gather(self):
        """People come where only they can open it."""
        if self.slot == "shares" and self.shares and self.state == "sealed":
            self.unseal()

    def wait_open(self):
        """Waits until it serves again, with the help of people if need be."""
        self.wait_state("unsealed", *(["sealed"] if self.slot == "shares" else []))
        self.gather()

    def give(self, share, *args, status=0):
        """One person's share; what kmsctl says."""
        return self.ctl("unseal", "--share", "-", *args, input=share.encode(), status=status)

    # ---- asking --------------------------------------------------------------------------

    def client(self, **always):
        return Client(self.socket, **always)

    def status(self):
        with self.client() as c:
            return c.status()

    def ctl(self, *args, status=0, input=None, env=None, text=False, **more):
        """kmsctl; its JSON (a list where it gave several lines), or bytes with text=True. Wants
        exit status `status`; None takes any and returns the process."""
        full = {k: v for k, v in os.environ.items() if not k.startswith("KMS_")}
        full |= {"KMS_SOCKET": self.socket} | (env or {})
        if not text:
            full["KMS_FORMAT"] = "json"
        done = subprocess.run([BUILD / "kmsctl", *map(str, args)], input=input, env=full,
                              capture_output=True, timeout=PATIENCE * 3, **more)
        if status is None:
            return done
        if done.returncode != status:
            raise Failed(f"kmsctl {' '.join(map(str, args))}: exit {done.returncode}, not "
                         f"{status}\n{done.stdout.decode(errors='replace')[:2000]}"
                         f"{done.stderr.decode(errors='replace')[:2000]}")
        if text:
            return done.stdout
        return parse_json(done.stdout or done.stderr)


def parse_json(raw):
    text = raw.decode()
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        return lines[0] if len(lines) == 1 else lines


__all__ = ["BUILD", "PATIENCE", "ROOT", "SANITIZED", "Client", "Closed", "Failed", "Instance", "KmsError",
           "children", "parse_json", "wait_gone"]
