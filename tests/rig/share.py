# SPDX-License-Identifier: Apache-2.0
"""The lines on which people hold their shares, a second time, from docs/formats.md and BIP 350: to
make ones that no honest instance would."""

LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
HRP = "kms"


def _sum(values):
    check = 1
    for value in values:
        top, check = check >> 25, (check & 0x1FFFFFF) << 5 ^ value
        for i, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= generator if top >> i & 1 else 0
    return check


def _prefix():
    return [ord(x) >> 5 for x in HRP] + [0] + [ord(x) & 31 for x in HRP]


def values_of(line):
    """The letters behind the prefix as numbers, without the checksum."""
    values = [LETTERS.index(x) for x in line.lower()[len(HRP) + 1:]]
    assert _sum(_prefix() + values) == 0x2BC830A3, "the checksum is wrong"
    return values[:-6]


def line_of(values):
    check = _sum(_prefix() + values + [0] * 6) ^ 0x2BC830A3
    values = values + [check >> 5 * (5 - i) & 31 for i in range(6)]
    return (HRP + "1" + "".join(LETTERS[v] for v in values)).upper()


def altered(line):
    """A share of the same set and number with another value: as a forger would make it."""
    values = values_of(line)
    values[-1] ^= 1
    return line_of(values)


def mistyped(line):
    """One letter is another one."""
    at = len(line) - 20
    return line[:at] + ("Q" if line[at] != "Q" else "P") + line[at + 1:]
