# SPDX-License-Identifier: Apache-2.0
"""What the checks share: the files of the tree, C without its comments and strings, tables of
words with `#` comments, and how a finding is printed."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("kms", "proto", "tpm", "pkcs11", "tests")

_TOKEN = re.compile(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.DOTALL)


def files(*suffixes, folders=FOLDERS):
    """Paths below the folders, from the root, in order."""
    found = (p for f in folders for p in (ROOT / f).rglob("*") if p.suffix in suffixes)
    return sorted(p.relative_to(ROOT) for p in found)


def text(path):
    return (ROOT / path).read_text()


def _blank(match):
    token = match[0]
    lines = "\n" * token.count("\n")
    return lines if token.startswith("/*") else token[0] + lines + token[-1]


def code(path):
    """The file without comments and without what is in quotes; lines stay where they are."""
    return _TOKEN.sub(_blank, text(path))


def table(name):
    """(line number, line) of each line of a data file here that says something."""
    lines = (pathlib.Path(__file__).parent / name).read_text().splitlines()
    return [(i, x) for i, x in enumerate(lines, 1) if x.strip() and not x.startswith("#")]


def allowed(name):
    """{first word: reason} of an allow-list; an entry without a reason is an error of its own."""
    out = {}
    for i, line in table(name):
        word, _, reason = line.partition(" ")
        if not reason.strip():
            sys.exit(f"tests/lint/{name}:{i}: {word} has no reason behind it")
        out[word] = reason.strip()
    return out


class Report:
    """Collects findings and ends the check."""

    def __init__(self, advice):
        self.advice, self.found = advice, 0

    def add(self, where, what):
        self.found += 1
        print(f"{where}: {what}")

    def stale(self, name, used):
        """Entries of an allow-list that allow nothing any more."""
        for word in allowed(name):
            if word not in used:
                self.add(f"tests/lint/{name}", f"{word} is not needed any more; take it out")

    def end(self):
        if self.found:
            print(f"what to do: {self.advice}")
        sys.exit(1 if self.found else 0)
