#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""clang-tidy over every .c, with .clang-tidy of the root. A file that was clean is not looked at
again until it, a header that it includes, its flags or the configuration change."""
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import subprocess

from source import ROOT, Report

BUILD = ROOT / "build-clang"
CLEAN = BUILD / "tidy"
TOOL = "clang-tidy-14"
report = Report(f"{TOOL} -p build-clang FILE; where it is wrong: /* NOLINT(check): why */")
hashes = {}


def digest(path):
    if path not in hashes:
        hashes[path] = hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
    return hashes[path]


def includes():
    """{object: what it was made from}, as ninja has noted it."""
    out, now = {}, None
    text = subprocess.run(["ninja", "-C", BUILD, "-t", "deps"], check=True, capture_output=True,
                          text=True).stdout
    for line in text.splitlines():
        if line.startswith("    "):
            out[now].append(os.path.normpath(BUILD / line.strip()))
        elif line:
            now = line.split(":")[0]
            out[now] = []
    return out


def sources():
    """{file: key of all that its result depends on}; a file that is compiled twice counts once."""
    deps, out = includes(), {}
    for entry in json.loads((BUILD / "compile_commands.json").read_text()):
        path = os.path.relpath(entry["file"], ROOT)
        if path.startswith("build") or path in out:
            continue
        made = re.search(r" -o (\S+)", entry["command"])[1]
        made_from = sorted(deps.get(made, [entry["file"]]))
        parts = [entry["command"], *map(digest, made_from), *configuration(path)]
        out[path] = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    return out


def configuration(path):
    """.clang-tidy of the file's folder and of all above it."""
    folders = [ROOT / path, *(ROOT / path).parents]
    return [digest(f / ".clang-tidy") for f in folders if (f / ".clang-tidy").exists()]


def tidy(item):
    path, key = item
    if (CLEAN / key).exists():
        return path, ""
    done = subprocess.run([TOOL, "--quiet", "-p", BUILD, path], cwd=ROOT, capture_output=True,
                          text=True)
    if done.returncode == 0 and not done.stdout.strip():
        (CLEAN / key).touch()
    return path, done.stdout.strip() or (done.stderr.strip() if done.returncode else "")


def main():
    CLEAN.mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for path, said in pool.map(tidy, sources().items()):
            if said:
                report.add(path, "\n" + said)
    report.end()


main()
