#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Each include is an edge that floors.txt or libraries.txt allows. Tests may include anything,
and nothing includes tests."""
import fnmatch
import re

from source import Report, files, table, text

INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]', re.MULTILINE)
INSTALLED = ("kms_admin.h", "kms_envelope.h")  # kms.h names them as they lie beside it installed
report = Report("move the code to a floor that may know it, or let the caller pass what is needed")
edges = {line.split()[0]: line.split()[1:] for _, line in table("floors.txt")}
libraries = {line.split()[0]: line.split()[1:] for _, line in table("libraries.txt")}


def check_own(path, header):
    folder = str(path.parent)
    if header in INSTALLED and (path.parent / header).exists():
        return
    if "/" not in header:
        report.add(path, f'"{header}" is not written from the root')
    elif header.rpartition("/")[0] not in (folder, *edges[folder]) and header not in edges[folder]:
        report.add(path, f'{folder} may not include "{header}" (tests/lint/floors.txt)')


def check_library(path, header):
    for prefix, where in libraries.items():
        if header.startswith(prefix) and not any(fnmatch.fnmatch(path, w) for w in where):
            report.add(path, f"<{header}> is for {' '.join(where)} alone (tests/lint/libraries.txt)")


for path in files(".c", ".h", ".def", folders=("kms", "proto", "tpm", "pkcs11")):
    if str(path.parent) not in edges:
        report.add(path, f"{path.parent} has no line in tests/lint/floors.txt")
        continue
    for kind, header in INCLUDE.findall(text(path)):
        if kind == '"':
            check_own(path, header)
        else:
            check_library(str(path), header)
report.end()
