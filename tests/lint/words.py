#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Words that our C does without, and the first line of each file."""
import re

from source import Report, code, files, text

CALLS = {
    "strcpy": "struct buf or memcpy with a checked length", "strcat": "struct buf",
    "sprintf": "snprintf", "vsprintf": "vsnprintf", "gets": "read", "atoi": "strtoul and its checks",
    "alloca": "a fixed array or the arena", "rand": "rand_bytes", "random": "rand_bytes",
    "system": "nothing: kmsd starts one helper, and no shell", "popen": "nothing",
    "strtok": "struct bytes", "assert": "CHECK",
}
CALL = re.compile(r"(?<![\w.>])(" + "|".join(CALLS) + r")\s*\(")
report = Report("use what stands behind each word; a comment about later becomes an issue")


def line_of(source, at):
    return source.count("\n", 0, at) + 1


def check(path):
    source = code(path)
    for m in CALL.finditer(source):
        report.add(f"{path}:{line_of(source, m.start())}", f"{m[1]}: use {CALLS[m[1]]}")
    for m in re.finditer(r"\bgoto\b", source):
        report.add(f"{path}:{line_of(source, m.start())}", "goto: AUTO frees, functions return")
    for m in re.finditer(r"//", source):
        report.add(f"{path}:{line_of(source, m.start())}", "//: comments are /* */")
    whole = text(path)
    for m in re.finditer(r"\b(TODO|FIXME|XXX|HACK)\b|^#if 0", whole, re.MULTILINE):
        report.add(f"{path}:{line_of(whole, m.start())}", f"{m[0]}: do it, or open an issue")
    if not whole.startswith("/* SPDX-License-Identifier: Apache-2.0 */\n"):
        report.add(path, "does not begin with its SPDX line")


for path in files(".c", ".h", ".def"):
    check(path)
report.end()
