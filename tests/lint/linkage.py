#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Proves on the built programs what the floors promise: the keeper has no hardware code, the
helper no keys, the gate neither. linkage.txt says what each may not have. No two folders give a
function the same name, so that a test may link them all."""
import os
import re
import subprocess

from source import ROOT, Report, table

BUILD = ROOT / "build"
report = Report("take the edge out of CMakeLists.txt; a program must not be able to do this")


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True,
                          env={**os.environ, "LC_ALL": "C"}).stdout


def functions(path, *options):
    """Names of defined symbols; a static library's hidden ones too, for nothing is stripped."""
    lines = run("nm", "--defined-only", *options, path).splitlines()
    return [x.split()[-1].split("@")[0] for x in lines if len(x.split()) > 1]


def check(path, rules):
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "--dynamic", "--wide", path))
    defined = functions(path)
    for rule in rules:
        kind, _, prefix = rule.partition(":")
        if kind == "lib":
            bad = [x for x in needed if x.startswith(prefix)]
        elif kind == "sym":
            bad = [x for x in defined if x.startswith(prefix)]
        else:
            bad = [x for x in functions(path, "--dynamic") if not x.startswith(prefix)]
        for name in bad[:5]:
            report.add(path.name, f"has {name} ({rule})")


def check_names():
    owner = {}
    for library in sorted(BUILD.glob("libkms_*.a")):
        for name in functions(library, "--extern-only"):
            if owner.setdefault(name, library) != library:
                report.add(library.name, f"{name} is in {owner[name].name} too; rename one")


for _, line in table("linkage.txt"):
    program, *rules = line.split()
    if (BUILD / program).exists():
        check(BUILD / program, rules)
check_names()
report.end()
