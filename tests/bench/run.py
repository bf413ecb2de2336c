#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures kmsd in one run: what its parts allow, what the whole reaches, memory and start. The
server is pinned to one core, the client to another. A table for people, and with --json FILE the
same as one flat object."""
import argparse
import json
import os
import pathlib
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "rig"))

from instance import BUILD, Instance  # noqa: E402
from wire import frame, request  # noqa: E402

TESTS = BUILD / "tests"
KEYS, IDLE = 10000, 10000
FLIGHTS = (1, 16, 64, 256)


def cores():
    """(server's, client's): two different ones, and not siblings of one core if there is a choice."""
    own = sorted(os.sched_getaffinity(0))
    if len(own) < 2:
        return own[0], own[0]
    server = own[0]
    try:
        raw = pathlib.Path(
            f"/sys/devices/system/cpu/cpu{server}/topology/thread_siblings_list").read_text()
        near = {int(x) for part in raw.strip().split(",") for x in part.split("-")}
    except (OSError, ValueError):
        near = {server}
    far = [c for c in own if c not in near]
    return server, (far or own[1:])[0]


def program(name, *args):
    """Output of one of the bench programs as JSON."""
    done = subprocess.run([TESTS / name, *map(str, args)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{name} failed: {done.stderr.strip()}")
    return json.loads(done.stdout[done.stdout.index("{"):])


class Bench:
    def __init__(self, seconds):
        self.server_cpu, self.client_cpu = cores()
        self.seconds = seconds
        self.out = {}

    def load(self, socket, op="issue", **args):
        options = [f"--{k}={v}" for k, v in {"seconds": self.seconds, **args}.items()]
        return program("load", f"--socket={socket}", f"--op={op}", f"--cpu={self.client_cpu}",
                       *options)

    def pinned(self, *command, **more):
        return subprocess.Popen(["taskset", "-c", str(self.server_cpu), *map(str, command)],
                                **more)

    # ---- what the parts allow ------------------------------------------------------------

    def echo(self):
        with tempfile.TemporaryDirectory(prefix="kms-", dir="/tmp") as folder:
            path = f"{folder}/echo"
            server = self.pinned(TESTS / "echo", path, stdout=subprocess.PIPE)
            server.stdout.readline()
            for n in FLIGHTS:
                got = self.load(path, flight=n)
                self.out[f"echo_ops_{n}"] = got["ops"]
            server.kill()
            server.wait()
        self.out["echo_ops"] = self.out["echo_ops_64"]

    def crypto(self):
        done = subprocess.run(["taskset", "-c", str(self.server_cpu), TESTS / "crypto_bench",
                               "--json"], capture_output=True, text=True, check=True)
        self.out |= json.loads(done.stdout[done.stdout.index("{"):])
        echo, crypto = self.out["echo_ops"], self.out["crypto_ops"]
        self.out["limit_ops"] = round(1 / (1 / echo + 1 / crypto))

    def disk(self, folder):
        """A write and fdatasync of 8 KiB into a file that has been written before."""
        path = os.path.join(folder, "disk")
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.write(fd, bytes(16 << 20))
        os.fsync(fd)
        block, took = os.urandom(8192), []
        for i in range(1500):
            begun = time.perf_counter_ns()
            os.pwrite(fd, block, i * 8192)
            os.fdatasync(fd)
            took.append((time.perf_counter_ns() - begun) / 1000)
        os.close(fd)
        os.unlink(path)
        took.sort()
        self.out["disk_p50_us"] = round(statistics.median(took))
        self.out["disk_p99_us"] = round(took[int(len(took) * 0.99)])

    def envelope(self):
        self.out |= program("envelope_bench")
        done = subprocess.run(["openssl", "speed", "-mr", "-evp", "aes-256-gcm", "-bytes", "16384",
                               "-seconds", "2"], capture_output=True, text=True)
        found = re.search(r"\+F:\d+:[^:]+:([0-9.]+)", done.stdout)
        if found:
            self.out["openssl_gcm_mb_s"] = round(float(found[1]) / 1e6)
            self.out["envelope_ratio"] = round(
                self.out["envelope_encrypt_mb_s"] / self.out["openssl_gcm_mb_s"], 2)

    # ---- the whole -----------------------------------------------------------------------

    def instance(self):
        need = IDLE + 200
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(need, hard), hard))
        kms = Instance(wrapper=["taskset", "-c", str(self.server_cpu)], audit_segment=64 << 20,
                       max_versions=40000)
        with kms.client() as c:
            c.call("key_create", key="bench")
        return kms

    def measure(self, kms, name, op, **args):
        keeper = kms.keeper()
        before = cpu_seconds(keeper)
        got = self.load(kms.socket, op, **args)
        used = cpu_seconds(keeper) - before
        # Warm-up and measurement alike use the processor: share it over the whole time.
        answers = got["ops"] * (self.seconds + 0.3)
        self.out |= {f"{op}_ops_{name}": got["ops"], f"{op}_p50_us_{name}": got["p50_us"],
                     f"{op}_p99_us_{name}": got["p99_us"],
                     f"{op}_cpu_us_{name}": round(used * 1e6 / max(answers, 1), 2)}

    def service(self, kms):
        for op in ("issue", "unwrap", "wrap"):
            for n in FLIGHTS:
                self.measure(kms, str(n), op, flight=n)
            self.measure(kms, "64x1", op, flight=1, connections=64)
        best = max(self.out["issue_ops_64"], self.out["issue_ops_256"])
        got = self.load(kms.socket, "issue", rate=int(self.out["issue_ops_64"] / 2))
        self.out["issue_half_load_ops"] = got["ops"]
        self.out["issue_p50_us_half_load"] = got["p50_us"]
        self.out["issue_p99_us_half_load"] = got["p99_us"]
        self.out["issue_of_limit"] = round(self.out["issue_ops_64"] / self.out["limit_ops"], 2)
        self.out["issue_best_of_limit"] = round(best / self.out["limit_ops"], 2)

    def memory(self, kms):
        kms.restart()
        self.out["rss_start_kib"] = rss_kib(kms.keeper())
        self.out["rss_parent_kib"] = rss_kib(kms.parent())
        begun = time.monotonic()
        self.make_keys(kms)
        self.out["create_ops"] = round(KEYS / (time.monotonic() - begun))
        took = []
        for _ in range(3):
            kms.stop()
            begun = time.monotonic()
            kms.start()
            with kms.client() as c:
                c.issue("many-00001")
            took.append((time.monotonic() - begun) * 1000)
        self.out["ready_ms_10k"] = round(statistics.median(took))
        self.out["rss_10k_keys_kib"] = rss_kib(kms.keeper())
        self.idle(kms)

    def make_keys(self, kms):
        with kms.client(timeout=300) as c:
            for at in range(1, KEYS, 500):
                many = range(at, min(at + 500, KEYS))
                c.send_raw(b"".join(frame(request("key_create", id=i, key=f"many-{i:05}"))
                                    for i in many))
                for _ in many:
                    answer = c.recv()
                    if answer.error is not None:
                        sys.exit(f"key_create: {answer.error}")

    def idle(self, kms):
        n = min(IDLE, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 100)
        before = rss_kib(kms.keeper())
        crowd = [kms.client() for _ in range(n)]
        crowd[-1].call("whoami")
        after = rss_kib(kms.keeper())
        self.out["idle_connections"] = n
        self.out["rss_10k_connections_kib"] = after
        self.out["rss_per_connection_bytes"] = round((after - before) * 1024 / n)
        for c in crowd:
            c.close()


def cpu_seconds(pid):
    """Of all threads; the scheduler's own count, in nanoseconds."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def rss_kib(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1])


# What we want to reach: name → (text, is it reached).
def goals(o):
    fast_disk = o["disk_p50_us"] <= 140
    flight = 64 if fast_disk else 256
    return [
        (f"issue at {flight} in flight ≥ 200,000/s", o[f"issue_ops_{flight}"] >= 200000),
        ("issue ≥ 0.4 of limit", o[f"issue_ops_{flight}"] >= 0.4 * o["limit_ops"]),
        ("p99 at half load ≤ 2 ms", o["issue_p99_us_half_load"] <= 2000),
        ("p50 of one in flight ≤ 250 µs" + ("" if fast_disk else " (the disk is slower)"),
         o["issue_p50_us_1"] <= 250 if fast_disk else None),
        ("serving with 10,000 keys ≤ 1 s", o["ready_ms_10k"] <= 1000),
        ("resident with 10,000 keys ≤ 20 MiB", o["rss_10k_keys_kib"] <= 20480),
        ("≤ 2 KiB for each idle connection", o["rss_per_connection_bytes"] <= 2048),
        ("envelope ≥ 0.8 of the plain cipher", o.get("envelope_ratio", 0) >= 0.8),
    ]


def table(o):
    def row(text, *cells):
        print(f"  {text:<34}" + "".join(f"{c:>12}" for c in cells))

    def n(name):
        return f"{round(o[name]):,}" if name in o else "-"

    print("what the parts allow")
    row("", *(f"{f} in flight" for f in FLIGHTS))
    row("echo, requests/s", *(n(f"echo_ops_{f}") for f in FLIGHTS))
    row("crypto of an issue, /s", n("crypto_ops"))
    row("limit = 1/(1/echo + 1/crypto), /s", n("limit_ops"))
    row("disk: write + fdatasync, µs", f"p50 {n('disk_p50_us')}", f"p99 {n('disk_p99_us')}")
    for op in ("issue", "unwrap", "wrap"):
        print(op)
        names = [*map(str, FLIGHTS), "64x1"]
        row("in flight", *names)
        row("requests/s", *(n(f"{op}_ops_{x}") for x in names))
        row("p50, µs", *(n(f"{op}_p50_us_{x}") for x in names))
        row("p99, µs", *(n(f"{op}_p99_us_{x}") for x in names))
        row("processor, µs each", *(o.get(f"{op}_cpu_us_{x}", "-") for x in names))
    print("issue at half load")
    row("requests/s, p50 µs, p99 µs", n("issue_half_load_ops"), n("issue_p50_us_half_load"),
        n("issue_p99_us_half_load"))
    print("memory and start")
    row("resident at start, KiB", n("rss_start_kib"), f"(parent {n('rss_parent_kib')})")
    row("with 10,000 keys, KiB", n("rss_10k_keys_kib"))
    row("with 10,000 connections too, KiB", n("rss_10k_connections_kib"))
    row("for each idle connection, bytes", n("rss_per_connection_bytes"))
    row("exec to serving, 10,000 keys, ms", n("ready_ms_10k"))
    row("keys created, /s", n("create_ops"))
    print("files, MB/s")
    row("encrypt, decrypt, openssl speed", n("envelope_encrypt_mb_s"), n("envelope_decrypt_mb_s"),
        n("openssl_gcm_mb_s"))
    print("goals")
    for text, reached in goals(o):
        print(f"  {'–' if reached is None else 'yes' if reached else 'NO ':<4} {text}")


def main():
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("--json", metavar="FILE", help="write the same as one flat object")
    parser.add_argument("--seconds", type=float, default=2, help="of each measurement (2)")
    args = parser.parse_args()
    b = Bench(args.seconds)
    print(f"server on core {b.server_cpu}, client on core {b.client_cpu}", file=sys.stderr)
    b.echo()
    b.crypto()
    b.envelope()
    with b.instance() as kms:
        b.disk(kms.dir)
        b.service(kms)
        b.memory(kms)
    table(b.out)
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(b.out, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
