# SPDX-License-Identifier: Apache-2.0
"""An instance's software TPM and token, each in the instance's folder; and the hurts that they can
come to. Waits for ends of processes, never for time."""
import ctypes
import os
import pathlib
import secrets
import signal
import socket
import subprocess

PATIENCE = float(os.environ.get("KMS_TEST_PATIENCE", "20"))  # seconds that an event may take

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

_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent():
    _libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG



def token_module():
    return next((m for m in TOKEN_MODULES if m.exists()), "/none")


class Hardware:
    """Of an Instance: wants dir and tpm_socket."""

    def _make_auth(self):
        auth = self.dir / "tpm-auth"
        if not auth.exists():
            auth.touch(mode=0o600)
            auth.write_text(secrets.token_hex(32))

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
            stderr=subprocess.DEVNULL, preexec_fn=die_with_parent)
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
