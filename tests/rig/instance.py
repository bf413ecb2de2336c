# SPDX-License-Identifier: Apache-2.0
"""One kmsd with its software TPM or token in a folder of its own, for tests. Waits for events, never for
time: kmsd says its state through sd_notify, ends of processes come through pidfds. Whatever a
test does, nothing outlives the Instance."""
import ctypes
import json
import os
import pathlib
import secrets
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from wire import Client, Closed, KmsError

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
PATIENCE = float(os.environ.get("KMS_TEST_PATIENCE", "20"))  # seconds that an event may take

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

TOKEN_CONFIG = """\
pkcs11 hsm {{
	module = "{token_module}"
	environment = {{"SOFTHSM2_CONF={dir}/softhsm/softhsm2.conf"}}
	token = "kms"
	pin_file = "{dir}/pkcs11-pin"
	deadline = "{deadline}"
}}
"""

TOKEN_MODULES = [pathlib.Path(p) / "libsofthsm2.so" for p in (
    "/usr/lib/softhsm", "/usr/lib64/softhsm", "/usr/lib64/pkcs11", "/usr/local/lib/softhsm")]

DEFAULTS = {"socket_mode": "0600", "admin_group": "", "audit_segment": 2 << 20,
            "max_connections": 16384, "max_versions": 1000, "frame_timeout": "2s",
            "backup_every": "off", "slot_check_every": "off",
            "deadline": "10s", "pcrs": "7", "log_level": "info", "helper": BUILD / "kms-seal"}

_libc = ctypes.CDLL(None, use_errno=True)


def _die_with_parent():
    _libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


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


class Instance:
    def __init__(self, folder=None, env=None, init=True, wrapper=(), slot="tpm", **config):
        self.own_dir = folder is None
        self.dir = pathlib.Path(folder or tempfile.mkdtemp(prefix="kms-", dir="/tmp"))
        self.env, self.wrapper, self.slot = dict(env or {}), list(wrapper), slot
        self.store = pathlib.Path(config.pop("store", self.dir / "store"))
        self.audit = pathlib.Path(config.pop("audit", self.dir / "audit"))
        self.backup = pathlib.Path(config.pop("backup", self.dir / "backup"))
        self.config = {**DEFAULTS, **config}
        self.socket, self.tpm_socket = str(self.dir / "kms.sock"), str(self.dir / "tpm.sock")
        self.log = self.dir / "kmsd.log"
        self.kmsd = self.swtpm = self.state = None
        for folder in (self.store, self.audit, self.backup):
            folder.mkdir(mode=0o700, exist_ok=True)
        self._make_auth()
        if slot == "pkcs11":
            self.make_token()
        self.write_config()
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(self.dir / "notify"))
        if slot == "tpm":
            self.start_tpm()
        if init:
            self.start()
            with self.client() as c:
                c.call("init", slot=slot)
            self.wait_state("unsealed")

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

    def _make_auth(self):
        auth = self.dir / "tpm-auth"
        if not auth.exists():
            auth.touch(mode=0o600)
            auth.write_text(secrets.token_hex(32))

    def write_config(self, **changes):
        self.config.update(changes)
        text = CONFIG + (TOKEN_CONFIG if self.slot == "pkcs11" else "")
        (self.dir / "kms.conf").write_text(text.format(
            dir=self.dir, store=self.store, audit=self.audit, backup=self.backup, tpm_socket=self.tpm_socket,
            token_module=next((m for m in TOKEN_MODULES if m.exists()), "/none"),
            **self.config))

    # ---- the token -----------------------------------------------------------------------

    def make_token(self, label="kms"):
        """A token of SoftHSM, and its PIN in a file."""
        pin, conf = self.dir / "pkcs11-pin", self.dir / "softhsm" / "softhsm2.conf"
        if not conf.exists():
            (conf.parent / "tokens").mkdir(mode=0o700, parents=True)
            conf.write_text(f"directories.tokendir = {conf.parent}/tokens\n"
                            "objectstore.backend = file\nlog.level = ERROR\n")
            pin.touch(mode=0o600)
            pin.write_text(secrets.token_hex(8))
        self.token("--init-token", "--free", "--label", label, "--pin", pin.read_text(),
                   "--so-pin", "12345678")

    def token(self, *command):
        """Runs softhsm2-util against this token."""
        env = os.environ | {"SOFTHSM2_CONF": str(self.dir / "softhsm" / "softhsm2.conf")}
        return subprocess.run(["softhsm2-util", *command], check=True, capture_output=True,
                              env=env, timeout=PATIENCE).stdout

    # ---- the TPM -------------------------------------------------------------------------

    def start_tpm(self, state="tpm"):
        """Listens itself and hands the sockets over, so that they answer from the start."""
        (self.dir / state).mkdir(mode=0o700, exist_ok=True)
        listeners = []
        for path in (self.tpm_socket, self.tpm_socket + ".ctrl"):
            pathlib.Path(path).unlink(missing_ok=True)
            s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            s.bind(path)
            s.listen(16)
            listeners.append(s)
        server, ctrl = (s.fileno() for s in listeners)
        self.swtpm = subprocess.Popen(
            ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.dir / state}",
             "--server", f"type=unixio,fd={server}", "--ctrl", f"type=unixio,fd={ctrl}",
             "--flags", "not-need-init,startup-clear",
             "--log", f"file={self.dir}/swtpm.log,level=1"],
            pass_fds=(server, ctrl), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, preexec_fn=_die_with_parent)
        for s in listeners:
            s.close()

    def tpm(self, *command):
        """Runs one of tpm2-tools against this TPM."""
        return subprocess.run([command[0], "-T", f"swtpm:path={self.tpm_socket}", *command[1:]],
                              check=True, capture_output=True, timeout=PATIENCE).stdout

    def stop_tpm(self):
        """In order, so that it doesn't count as a failed try."""
        self.tpm("tpm2_shutdown", "-c")
        self.kill_tpm()

    def kill_tpm(self):
        if self.swtpm is not None:
            self.swtpm.kill()
            self.swtpm.wait()
        self.swtpm = None

    def hang_tpm(self):
        self.swtpm.send_signal(signal.SIGSTOP)

    def resume_tpm(self):
        self.swtpm.send_signal(signal.SIGCONT)

    # ---- kmsd ----------------------------------------------------------------------------

    def start(self, wait=True):
        """Starts kmsd; waits for the first state that isn't a passing one."""
        env = {k: v for k, v in os.environ.items() if not k.startswith(("KMS_", "NOTIFY_"))}
        env |= {"NOTIFY_SOCKET": str(self.dir / "notify"), "TSS2_LOG": "all+none"} | self.env
        self._drain()
        self.state = None
        self.log_start = self.log.stat().st_size if self.log.exists() else 0
        with open(self.log, "ab") as log:
            self.kmsd = subprocess.Popen(
                [*self.wrapper, BUILD / "kmsd", "-c", self.dir / "kms.conf"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, cwd=self.dir,
                preexec_fn=_die_with_parent)
        if wait:
            self.wait_state()
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
