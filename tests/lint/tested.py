#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Each .c of ours is known to a test: one includes its header, or names the file in a comment, or
bears its name. untested.txt lists the exceptions and why."""
import fnmatch

from source import Report, allowed, files, text

report = Report("write tests/unit/<module>_test.c, or say in tests/lint/untested.txt who tests it")
tests = {p: text(p) for p in files(".c", ".h", folders=("tests",))}
names = {p.stem for p in tests}
everything = "\n".join(tests.values())
exceptions, used = allowed("untested.txt"), set()


def excepted(path):
    patterns = [p for p in exceptions if fnmatch.fnmatch(path, p)]
    used.update(patterns)
    return bool(patterns)


for path in files(".c", folders=("kms", "proto", "tpm", "pkcs11")):
    header = path.with_suffix(".h")
    known = f'"{header}"' in everything or f"{path.stem}_test" in names or str(path) in everything
    if not known and not excepted(str(path)):
        report.add(path, "no test includes its header or names it")
report.stale("untested.txt", used)
report.end()
