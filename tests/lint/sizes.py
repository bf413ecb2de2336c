#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""No file has more than 500 lines. Functions are measured by clang-tidy."""
from source import Report, files, text

FILE_MAX = 500
report = Report("a file with two subjects becomes two files; a name says which is which")

for path in files(".c", ".h", ".py", ".sh"):
    n = text(path).count("\n")
    if n > FILE_MAX:
        report.add(path, f"{n} lines, more than {FILE_MAX}")
report.end()
