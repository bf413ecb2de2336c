#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tally.py JUNIT…: adds up what ctest and pytest have written and says it in one last line,
`N passed, N failed, N skipped`. Counts the cases inside of a unit test, not the program around
them. A file that is missing is a failure: its runner has crashed. Ends with 1 if anything failed."""
import re
import sys
import xml.etree.ElementTree as tree

CMOCKA = re.compile(r"^\[  (PASSED|FAILED|SKIPPED) *\] (\d+) test\(s\)", re.MULTILINE)


def count_case(case):
    """(passed, failed, skipped) of one <testcase>."""
    output = "".join(part.text or "" for part in case.iter("system-out"))
    inner = {"PASSED": 0, "FAILED": 0, "SKIPPED": 0}
    for kind, n in CMOCKA.findall(output):
        inner[kind] += int(n)
    counts = [inner["PASSED"], inner["FAILED"], inner["SKIPPED"]]
    if case.find("skipped") is not None:
        return [0, 0, 1]
    if case.find("failure") is not None or case.find("error") is not None:
        counts[1] = max(counts[1], 1)  # it may have died before it could count
    elif sum(counts) == 0:
        counts[0] = 1
    return counts


def count_file(path):
    try:
        cases = list(tree.parse(path).iter("testcase"))
    except (OSError, tree.ParseError) as e:
        print(f"no results in {path}: {e}")
        return [0, 1, 0]
    if not cases:
        print(f"no test has run: {path}")
        return [0, 1, 0]
    return [sum(n) for n in zip(*map(count_case, cases))]


def main():
    passed, failed, skipped = (sum(n) for n in zip(*map(count_file, sys.argv[1:])))
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
