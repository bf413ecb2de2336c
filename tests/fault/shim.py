# SPDX-License-Identifier: Apache-2.0
"""The test's side of fault_shim.c: says which call of a kmsd fails, tears or is its last."""
import errno
import mmap
import os
import struct

import pytest

from instance import BUILD, SANITIZED

KILL_BEFORE, KILL_AFTER, TEAR, FAIL, SHORT = 1, 2, 3, 4, 5
WRITE, SYNC, TRUNCATE, RENAME, UNLINK = 1, 2, 4, 8, 16
ALL = 31
FOR_EVER = (1 << 64) - 1
LAYOUT = struct.Struct("<IIiIQQQQ")  # action, calls, error, unused, first, last, count, fired
SIZE = LAYOUT.size + 128


class Shim:
    """`match`: parts of paths, with colons between. Give `env` to an Instance."""

    def __init__(self, path, match):
        if SANITIZED:
            pytest.skip("a sanitizer must be loaded before everything else")
        self.path = str(path)
        with open(self.path, "wb") as f:
            f.write(LAYOUT.pack(0, 0, 0, 0, 0, 0, 0, 0) + match.encode().ljust(128, b"\0"))
        fd = os.open(self.path, os.O_RDWR)
        self.map = mmap.mmap(fd, SIZE)
        os.close(fd)
        self.env = {"LD_PRELOAD": str(BUILD / "tests" / "fault_shim.so"),
                    "KMS_FAULT_STATE": self.path}

    def arm(self, action, first=1, last=None, calls=ALL, error=errno.EIO):
        """The calls from first to last (of those that follow) meet `action`."""
        LAYOUT.pack_into(self.map, 0, action, calls, error, 0, first,
                         first if last is None else last, 0, 0)

    def disarm(self):
        self.arm(0, 0)

    @property
    def count(self):
        return LAYOUT.unpack_from(self.map, 0)[6]

    @property
    def fired(self):
        return LAYOUT.unpack_from(self.map, 0)[7]
