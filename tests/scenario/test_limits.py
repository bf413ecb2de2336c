# SPDX-License-Identifier: Apache-2.0
"""Peers that are slow, many, or greedy: each is bounded, and others are served meanwhile."""
import os
import resource
import socket
import time

import pytest
from conftest import as_installed
from instance import Closed, KmsError
from wire import frame, request


@pytest.fixture
def quick(make):
    kms = make(frame_timeout="1s")
    with kms.client() as c:
        c.call("key_create", key="k")
    return kms


def served(kms):
    begun = time.monotonic()
    with kms.client() as c:
        for _ in range(20):
            c.issue("k")
    return time.monotonic() - begun < 2


def test_frame_that_never_ends(quick):
    body = frame(request("issue", key="k"))
    for part in (1, 3, 4, 5, len(body) - 1):
        with quick.client() as c:
            begun = time.monotonic()
            c.send_raw(body[:part])
            assert served(quick)
            assert c.closes(5)
            assert 0.7 < time.monotonic() - begun < 3


def test_frame_that_drips(quick):
    """A byte now and then doesn't extend the deadline."""
    with quick.client() as c:
        begun = time.monotonic()
        c.sock.settimeout(0.1)
        body = frame(request("issue", key="k", context={"call": "x" * 200}))
        try:
            for byte in body:
                c.send_raw(bytes([byte]))
                try:
                    assert c.sock.recv(1) == b""
                    break
                except TimeoutError:
                    pass
        except Closed:
            pass
        assert time.monotonic() - begun < 4
    assert served(quick)


def test_peer_that_never_reads(quick):
    """Its answers pile up to a bound; at the deadline it is closed, and memory comes back."""
    with quick.client() as c:
        c.sock.setblocking(False)
        asks = b"".join(frame(request("random", id=i, n=65536)) for i in range(200))
        begun = time.monotonic()
        sent, gone = 0, False
        while time.monotonic() - begun < 10 and not gone:
            try:
                sent += c.sock.send(asks[sent % len(asks):])
            except BlockingIOError:
                gone = not peer_alive(c.sock)
            except (BrokenPipeError, ConnectionResetError):
                gone = True
        assert gone and time.monotonic() - begun < 6
    assert served(quick)


def peer_alive(sock):
    import select
    p = select.poll()
    p.register(sock, select.POLLHUP | select.POLLERR)
    return not p.poll(50)


def test_idle_is_allowed(quick):
    """Only what has begun has a deadline."""
    with quick.client() as idle:
        idle.call("whoami")
        with quick.client() as c:
            c.send_raw(b"\1")
            assert c.closes(5)  # longer than the deadline has passed
        idle.call("whoami")


def rss_kib(pid):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    return 0


@as_installed
def test_pipelining_without_reading_is_bounded(quick):
    """A hundred peers that ask and don't read: memory stays bounded and others are served."""
    before = rss_kib(quick.keeper())
    peers = [quick.client() for _ in range(30)]
    asks = b"".join(frame(request("random", id=i, n=65536)) for i in range(1200))
    for p in peers:
        p.sock.setblocking(False)
        try:
            p.sock.send(asks)
        except (BlockingIOError, BrokenPipeError):
            pass
    assert served(quick)
    assert rss_kib(quick.keeper()) - before < 30 * 3 * 1024
    for p in peers:
        p.close()


def test_cap_and_the_operators_place(make):
    """Ordinary peers find no place; the operator does; when one leaves there is room again."""
    kms = make(max_connections=8, socket_mode="0666")
    with kms.client() as c:
        c.call("key_create", key="k")
    held = []
    # We are the operator: the places above the cap are ours, and they end too.
    while len(held) < 100:
        c = kms.client()
        try:
            c.call("whoami")
        except (KmsError, Closed) as e:
            if isinstance(e, KmsError):
                assert (e.code, e.name) == ("limit", "too_many")
            break
        held.append(c)
    assert 8 < len(held) <= 24
    held.pop().close()
    with kms.client() as c:
        wait_until(lambda: c.call("whoami"))
    if os.geteuid() == 0:
        os.chmod(kms.dir, 0o755)
        while len(held) > 9:
            held.pop().close()
        assert stranger_is_turned_away(kms)
        assert kms.status().state == "unsealed"
    for c in held:
        c.close()


def wait_until(what, seconds=5):
    end = time.monotonic() + seconds
    while True:
        try:
            return what()
        except (KmsError, Closed):
            assert time.monotonic() < end


def stranger_is_turned_away(kms):
    """As another user: the answer is `limit`, and the connection is closed."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            with kms.client() as c:
                try:
                    status = 0 if c.ask("whoami").error.code == "limit" and c.closes() else 2
                except Closed:
                    status = 0
        finally:
            os._exit(status)
    return os.waitpid(pid, 0)[1] == 0


def test_out_of_descriptors(make):
    """No spin, no flood, and who is connected is served."""
    kms = make(init=True)
    with kms.client() as c:
        c.call("key_create", key="k")
    kms.stop()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    kms.wrapper = ["prlimit", "--nofile=64:64"]
    kms.start()
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 2048), hard))
    first = kms.client()
    first.issue("k")
    crowd = []
    for _ in range(200):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.setblocking(False)
        try:
            s.connect(kms.socket)
        except (BlockingIOError, OSError):
            pass
        crowd.append(s)
    keeper = kms.keeper()
    logged, cpu = kms.log.stat().st_size, cpu_seconds(keeper)
    begun = time.monotonic()
    while time.monotonic() - begun < 2:
        first.issue("k")
        select_nothing(0.1)
    assert cpu_seconds(keeper) - cpu < 1.0
    assert kms.log.stat().st_size - logged < 4096
    for s in crowd:
        s.close()
    with kms.client() as c:
        assert wait_until(lambda: c.call("whoami"))
    first.issue("k")
    first.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def select_nothing(seconds):
    import select
    select.select([], [], [], seconds)


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_many_idle_connections(kms):
    n = 3000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < n + 200:
        pytest.skip(f"the limit on descriptors is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (n + 200, hard))
    kms.restart()
    with kms.client() as c:
        c.call("key_create", key="k")
    before = rss_kib(kms.keeper())
    crowd = [kms.client() for _ in range(n)]
    for c in crowd[-3:]:
        c.call("whoami")
    each = (rss_kib(kms.keeper()) - before) / n
    assert served(kms)
    for c in crowd:
        c.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert each <= 2, f"{each:.2f} KiB for each idle connection"


def test_descriptors_come_back(kms):
    with kms.client() as c:
        c.call("key_create", key="k")
    if os.geteuid() != 0:
        pytest.skip("needs root to count another process's descriptors")
    keeper = kms.keeper()
    count = lambda: len(os.listdir(f"/proc/{keeper}/fd"))  # noqa: E731
    before = count()
    for _ in range(300):
        with kms.client() as c:
            c.issue("k")
    with kms.client() as c:
        c.call("whoami")
        wait_until_true(lambda: count() <= before + 2)


def wait_until_true(what, seconds=5):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end


def test_options_refused(make):
    """A configuration that is not valid names its option, and kmsd ends with status 2."""
    kms = make(init=False)
    for bad in ({"max_connections": 0}, {"audit_segment": 5}, {"frame_timeout": "soon"},
                {"socket_mode": "rw"}, {"pcrs": "24"}, {"log_level": "loud"}):
        good = {k: kms.config[k] for k in bad}
        kms.write_config(**bad)
        kms.start(wait=False)
        pid = kms.kmsd
        assert pid.wait(10) == 2
        kms.kmsd = None
        option = next(iter(bad))
        assert option in kms.logged()
        kms.write_config(**good)
    kms.start()
    assert kms.state == "uninitialised"


def test_reload(make):
    """SIGHUP reads again what may change while it serves; a mistake changes nothing."""
    kms = make(max_connections=5)
    kms.write_config(max_connections=300, frame_timeout="1s")
    os.kill(kms.parent(), 1)
    wait_until_true(lambda: "event=reloaded" in kms.logged())
    crowd = [kms.client() for _ in range(60)]
    assert all(c.call("whoami").admin for c in crowd)
    kms.write_config(max_connections=0)
    os.kill(kms.parent(), 1)
    wait_until_true(lambda: "event=config-invalid" in kms.logged())
    assert crowd[0].call("whoami").admin and kms.status().state == "unsealed"
    for c in crowd:
        c.close()
