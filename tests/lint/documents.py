#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the documents say of the source is so: docs/errors.md is err.def as a table (--write makes
it anew), docs/operating.md names each event of the log and nothing else in its table,
packaging/kms.conf shows each option with its default, README names files that exist."""
import re
import sys

from source import ROOT, Report, files, text

HEAD = """\
# Errors

Every error that kmsd, kmsctl and libkms can give, with what to do next. `code` is stable and what a
program should look at; it decides the exit status of kmsctl as well, see
[protocol.md](protocol.md#errors). `name` is finer, for logs and people, and may grow. This page is
made from `kms/base/err.def`.
"""
ENTRY = re.compile(r'^X\((\w+), (\w+), "((?:\\.|[^"\\])*)", "((?:\\.|[^"\\])*)"\)$|^/\* (.*) \*/$',
                   re.MULTILINE)
report = Report("mend the document; for docs/errors.md: tests/lint/documents.py --write")


def errors_page():
    lines = [HEAD.rstrip()]
    for name, wire, what, hint, title in ENTRY.findall(text("kms/base/err.def")):
        if title and not title.startswith("SPDX"):
            lines += ["", f"## {title}", "", "| name | code | what it means | what to do |",
                      "|---|---|---|---|"]
        elif name:
            what, hint = (re.sub(r"\\(.)", r"\1", x).replace("|", "\\|") for x in (what, hint))
            lines.append(f"| `{name.lower()}` | `{wire.lower()}` | {what} | {hint} |")
    return "\n".join(lines) + "\n"


def check_events():
    """Events are the second argument of LOG and log_event, a plain string."""
    said = set(re.findall(r"^\| `([a-z-]+)` \|", text("docs/operating.md"), re.MULTILINE))
    logged = set()
    for path in files(".c", folders=("kms/keeper", "kms/seal", "kms/helper", "tpm")):
        logged |= set(re.findall(r'\b(?:LOG|log_event)\(\s*LOG_LEVEL_\w+,\s*"([^"]+)"', text(path)))
    if not logged:
        return
    for event in sorted(logged - said):
        report.add("docs/operating.md", f"the event `{event}` has no row in the table of events")
    for event in sorted(said - logged):
        report.add("docs/operating.md", f"nothing logs the event `{event}`")


def check_options():
    source = ROOT / "kms/keeper/config.c"
    if not source.exists():
        return
    sample = text("packaging/kms.conf")
    options = re.findall(r'CFG_(?:STR|INT|BOOL|INT_LIST)\("(\w+)", ("[^"]*"|\w+)', source.read_text())
    for name, default in options:
        found = re.findall(rf"^#\s*{name} = (.*)$", sample, re.MULTILINE)  # in several sections
        if not found:
            report.add("packaging/kms.conf", f"the option {name} is not shown")
        elif default[0] in '"c0123456789' and \
                default.strip('"').removeprefix("cfg_") not in [x.strip('"') for x in found]:
            report.add("packaging/kms.conf", f"{name} = {found}, but the default is {default}")


def check_paths(page):
    """Paths in back quotes exist; a folder ends with a slash."""
    for path in re.findall(r"`((?:kms|proto|tpm|tests|docs|packaging|cmake)/[\w./-]*)`", text(page)):
        if not (ROOT / path).exists():
            report.add(page, f"there is no {path}")


if sys.argv[1:] == ["--write"]:
    (ROOT / "docs/errors.md").write_text(errors_page())
elif errors_page() != text("docs/errors.md"):
    report.add("docs/errors.md", "is not what kms/base/err.def says now")
check_events()
check_options()
for page in ("README.md", *(str(p) for p in files(".md", folders=("docs",)))):
    check_paths(page)
report.end()
