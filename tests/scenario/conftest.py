# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the stories. Each story has an instance of its own unless it only asks; then it may
share one with its file. Safe to run in parallel: folders and sockets are per instance."""
import contextlib
import os
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
for place in ("rig", "fault"):
    sys.path.insert(0, str(HERE.parent / place))

from instance import SANITIZED, Instance  # noqa: E402

LONG = os.environ.get("KMS_TEST_LONG") == "1"  # hours instead of minutes

# What asks for the sandbox, or for memory as it is in production.
as_installed = pytest.mark.skipif(SANITIZED, reason="this build has no sandbox, and memory of its own")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

# A story that must be true whatever opens the root.
every_slot = pytest.mark.parametrize("slot", ("tpm", "pkcs11", "shares"), indirect=True,
                                     scope="module")


def pytest_configure(config):
    config.addinivalue_line("markers", "root: needs root")


def pytest_runtest_setup(item):
    if "root" in item.keywords and os.geteuid() != 0:
        pytest.skip("needs root")


def _end(instance):
    """Ends a story: what went wrong must be readable, and kmsd must not have crashed."""
    tail = instance.tail(40)
    log = instance.log.read_text(errors="replace") if instance.log.exists() else ""
    instance.close()
    for sign in ("AddressSanitizer", "runtime error:", "ThreadSanitizer", "check failed"):
        assert sign not in log, tail


def _checked(instance):
    yield instance
    _end(instance)


@pytest.fixture(scope="module")
def slot(request):
    """What opens the root of the story's instances; see every_slot."""
    return getattr(request, "param", "tpm")


@pytest.fixture
def kms(slot):
    """A fresh instance, initialised and unsealed."""
    yield from _checked(Instance(slot=slot))


@pytest.fixture
def blank(slot):
    """A fresh instance that has not been initialised."""
    instance = Instance(slot=slot, init=False)
    instance.start()
    yield from _checked(instance)


@pytest.fixture(scope="module")
def shared(slot):
    """One instance for a file, with a key `k` of each algorithm: k, k-gcm, k-kwp."""
    instance = Instance(slot=slot)
    with instance.client() as c:
        c.call("key_create", key="k")
        c.call("key_create", key="k-gcm", algorithm="aes-256-gcm")
        c.call("key_create", key="k-kwp", algorithm="aes-256-kwp")
    yield from _checked(instance)


@pytest.fixture
def make():
    """Makes instances with other settings: make(frame_timeout="1s")."""
    made = []

    def build(**args):
        made.append(Instance(**args))
        return made[-1]

    yield build
    with contextlib.ExitStack() as ends:  # each of them, also if one fails
        for instance in made:
            ends.callback(_end, instance)
