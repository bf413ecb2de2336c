#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Each error of err.def is returned by some code and expected by some test. errors.txt lists the
exceptions, as `NAME.returned` or `NAME.tested`, and why."""
import re

from source import Report, allowed, code, files, text

report = Report("delete an error that nothing returns; write the test that meets it; or say in "
                "tests/lint/errors.txt why not")
names = re.findall(r"^X\((\w+),", text("kms/base/err.def"), re.MULTILINE)
ours = "\n".join(code(p) for p in files(".c", ".h", folders=("kms", "proto", "tpm", "pkcs11")))
returned = set(re.findall(r"\bKMS_E_(\w+)", ours))
in_c = "\n".join(code(p) for p in files(".c", ".h", folders=("tests",)))
in_python = "\n".join(text(p) for p in files(".py", ".sh", folders=("tests",)) if p.parts[1] != "lint")
tested = set(re.findall(r"\bKMS_E_(\w+)", in_c))
tested |= {word.upper() for word in re.findall(r"\b[a-z_]+\b", in_python)}
exceptions, used = allowed("errors.txt"), set()

for name in names:
    for what, there in (("returned", name in returned), ("tested", name in tested)):
        if there:
            continue
        if f"{name}.{what}" in exceptions:
            used.add(f"{name}.{what}")
        else:
            report.add("kms/base/err.def", f"{name} is {what} nowhere")
report.stale("errors.txt", used)
report.end()
