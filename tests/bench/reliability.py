#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Measures what others feel while kmsd is disturbed: by a backup, by a TPM that hangs; and how long a
backup, a restore and a restart past a hung slot take. Each latency stands beside that of an
undisturbed phase of the same run. Figures only: nothing here passes or fails."""
import argparse
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "rig"))

from instance import BUILD, Instance, KmsError  # noqa: E402
from wire import frame, request  # noqa: E402


def load(kms, seconds, rate):
    done = subprocess.run(
        [BUILD / "tests" / "load", f"--socket={kms.socket}", "--op=issue", "--key=bench",
         f"--seconds={seconds}", f"--rate={rate}"], capture_output=True, text=True, check=True)
    return json.loads(done.stdout[done.stdout.index("{"):])


def disturbed(kms, seconds, rate, disturb):
    """The load's figures while disturb(client) is done again and again; and how often it was."""
    stop, times = threading.Event(), []

    def again():
        with kms.client() as c:
            while not stop.is_set():
                begun = time.monotonic()
                disturb(c)
                times.append(time.monotonic() - begun)

    thread = threading.Thread(target=again)
    thread.start()
    try:
        return load(kms, seconds, rate), times
    finally:
        stop.set()
        thread.join()


def make_keys(kms, count):
    with kms.client(timeout=300) as c:
        c.call("key_create", key="bench")
        for at in range(0, count, 500):
            many = range(at, min(at + 500, count))
            c.send_raw(b"".join(frame(request("key_create", id=i + 1, key=f"many-{i:05}"))
                                for i in many))
            for _ in many:
                answer = c.recv()
                if answer.error is not None:
                    sys.exit(f"key_create: {answer.error}")


def phases(out, name, quiet, loud):
    out |= {f"{name}_quiet_p50_us": quiet["p50_us"], f"{name}_quiet_p99_us": quiet["p99_us"],
            f"{name}_p50_us": loud["p50_us"], f"{name}_p99_us": loud["p99_us"]}


def backups(out, keys, seconds, rate):
    with Instance(max_versions=4 * keys + 1000, audit_segment=64 << 20) as kms:
        make_keys(kms, keys)
        made = []

        def back_up(c):
            info = c.call("backup_create")["backups"][0]
            made.append(info)
            (kms.backup / info.name).rename(kms.backup / f"b{len(made)}.kmsb")
            if len(made) > 1:  # those of before are not measured
                (kms.backup / f"b{len(made) - 1}.kmsb").unlink()

        quiet = load(kms, seconds, rate)
        loud, times = disturbed(kms, seconds, rate, back_up)
        phases(out, "backup", quiet, loud)
        times = []
        with kms.client() as c:
            item = c.issue("many-00001")
            for _ in range(5):
                begun = time.monotonic()
                back_up(c)
                times.append(time.monotonic() - begun)
        out |= {"keys": keys, "backup_s": round(statistics.median(times), 3),
                "backup_bytes": made[-1].size, "backup_rows": made[-1].rows}
        restore(out, kms, f"b{len(made)}.kmsb", item)


def restore(out, kms, name, item):
    kms.stop()
    shutil.rmtree(kms.store)
    kms.store.mkdir(mode=0o700)
    begun = time.monotonic()
    kms.start()
    with kms.client(timeout=60) as c:
        asked = time.monotonic()
        c.call("backup_restore", name=name)
        c.call("unseal")
        opened = time.monotonic()
        if c.unwrap(item.wrapped).plaintext != item.plaintext:
            sys.exit("a restored key opens to other bytes")
    out |= {"restore_and_unseal_s": round(opened - asked, 3),
            "exec_to_restored_s": round(time.monotonic() - begun, 3)}


def hung_tpm(out, seconds, rate, deadline):
    with Instance(deadline=f"{deadline}s") as kms:
        make_keys(kms, 0)
        quiet = load(kms, seconds, rate)

        def check(c):
            try:
                c.call("slot_check", slot="tpm")
            except KmsError as e:
                if e.name != "hardware_timeout":
                    raise

        kms.hang_tpm()
        loud, times = disturbed(kms, seconds, rate, check)
        phases(out, "hung_check", quiet, loud)
        loud, changes = disturbed(kms, seconds, rate,
                                  lambda c: c.call("key_rotate", key="bench"))
        phases(out, "hung_change", quiet, loud)
        kms.resume_tpm()
        out |= {"hung_deadline_s": deadline, "hung_checks": len(times),
                "hung_changes": len(changes)}


def restart_past_hung(out, deadline):
    """The first slot hangs, the second is good: from exec to the first data key."""
    with Instance(token=True, deadline=f"{deadline}s") as kms:
        with kms.client() as c:
            c.call("key_create", key="bench")
            c.call("slot_add", slot="hsm")
        for name, hang in (("quiet", lambda: None), ("hung", kms.hang_tpm)):
            kms.stop()
            hang()
            begun = time.monotonic()
            kms.start(wait=False)
            kms.wait_state("unsealed", seconds=60)
            with kms.client() as c:
                c.issue("bench")
            out[f"restart_{name}_s_deadline_{deadline}"] = round(time.monotonic() - begun, 2)
        kms.resume_tpm()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", metavar="FILE", help="write the same as one flat object")
    parser.add_argument("--keys", type=int, default=10000)
    parser.add_argument("--seconds", type=float, default=4, help="of each phase (4)")
    parser.add_argument("--rate", type=int, default=2000, help="data keys a second (2,000)")
    args = parser.parse_args()
    out = {"rate": args.rate}
    backups(out, args.keys, args.seconds, args.rate)
    hung_tpm(out, args.seconds, args.rate, 1)
    for deadline in (2, 5):
        restart_past_hung(out, deadline)
    for name, value in out.items():
        print(f"  {name:<34}{value:>14,}")
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(out, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
