# SPDX-License-Identifier: Apache-2.0
"""Ceremonies with shares at real terminals: people who come one after the other, who mistype, who
bring what does not belong here, who give up; and what is left of their shares: nothing."""
import os
import signal

import pytest
from command import Terminal, run
from share import altered, mistyped
from test_secrets import found_in_files, found_in_memory

ASKS = b"it is not shown: "


@pytest.fixture
def people(make):
    """Sealed; two of three people open it."""
    kms = make(slot="shares")
    with kms.client() as c:
        c.call("key_create", key="k")
        c.call("seal")
    return kms


def ceremony(kms):
    return kms.ctl("status").get("ceremony")


def files_of(kms, folder):
    out = []
    for i, share in enumerate(kms.shares):
        out.append(folder / f"share-{i}")
        out[-1].write_text(share + "\n")
    return out


def test_two_people_at_two_terminals(people):
    """Both have been asked before either types; what they type is not on their screens."""
    both = [Terminal(people, "unseal", "--share", "-") for _ in range(2)]
    assert all(t.until(ASKS) for t in both)
    both[0].type(people.shares[2].lower().encode() + b"\n")
    status, first = both[0].end()
    assert status == 0 and "1 of 2 shares are here" in first
    assert people.ctl("status")["state"] == "sealed"
    spaced = " ".join(people.shares[0][i:i + 4] for i in range(0, 74, 4))
    both[1].type(spaced.encode() + b"\n")
    status, second = both[1].end()
    assert status == 0 and "kmsd is unsealed." in second
    assert people.ctl("key", "show", "k")["state"] == "active"
    for screen in (first, second):
        assert not any(s[10:20] in screen.upper() for s in people.shares)


def test_from_files_and_a_terminal(people, tmp_path):
    files = files_of(people, tmp_path)
    seen = people.ctl("unseal", "--share", files[1])
    assert (seen["ceremony"]["have"], seen["ceremony"]["needed"]) == (1, 2)
    third = Terminal(people, "unseal", "--share", "-", "--ceremony", seen["ceremony"]["nonce"])
    assert third.until(ASKS)
    third.type(people.shares[0].encode() + b"\n")
    assert third.end()[0] == 0
    people.wait_state("unsealed")


def test_all_shares_open_in_any_two(people):
    for pair in ((0, 1), (2, 0), (1, 2)):
        for i in pair:
            assert people.ctl("status")["state"] == "sealed"
            people.give(people.shares[i])
        assert people.ctl("status")["state"] == "unsealed"
        people.ctl("seal")


@pytest.mark.parametrize("share, status, name", [
    ("mistyped", 5, "share_typo"), ("altered", 5, "share_wrong"), ("foreign", 5, "share_foreign"),
    ("cut", 5, "share_typo"), ("none", 5, "share_form")])
def test_bad_shares_are_told_apart(people, make, share, status, name):
    """Each by its name, to its bearer only; the ceremony of the others stands."""
    own = people.shares[1]
    lines = {"mistyped": mistyped(own), "altered": altered(own), "cut": own[:-10], "none": "hello"}
    if share == "foreign":
        lines["foreign"] = make(slot="shares").shares[1]
    people.give(people.shares[0])
    error = people.give(lines[share], status=status)["error"]
    assert error["name"] == name and error["hint"]
    assert own[20:40] not in str(error)
    assert ceremony(people)["have"] == 1
    people.give(own)
    assert people.ctl("status")["state"] == "unsealed"


def test_the_same_share_counts_once(people):
    people.give(people.shares[0])
    assert people.give(people.shares[0], status=6)["error"]["name"] == "share_here"
    assert ceremony(people)["have"] == 1
    people.give(people.shares[1])
    people.give(people.shares[2])  # it is open: there is nothing to do


def test_a_ceremony_is_cancelled(people):
    """Whoever gave a share before must give it again; the old ceremony's name is worth nothing."""
    nonce = people.give(people.shares[0])["ceremony"]["nonce"]
    other = "00" * 16
    assert people.give(people.shares[1], "--ceremony", other,
                       status=3)["error"]["name"] == "no_ceremony"
    assert people.ctl("unseal", "--cancel", "--ceremony", other, status=3)["error"]["name"] == \
        "no_ceremony"
    assert ceremony(people)["have"] == 1
    people.ctl("unseal", "--cancel", "--ceremony", nonce)
    assert ceremony(people) is None
    assert people.ctl("unseal", "--cancel", status=3)["error"]["name"] == "no_ceremony"
    assert people.give(people.shares[1], "--ceremony", nonce,
                       status=3)["error"]["name"] == "no_ceremony"
    assert people.give(people.shares[1])["ceremony"]["have"] == 1
    people.give(people.shares[0])
    people.wait_state("unsealed")


def test_without_people_it_stays_closed(people):
    assert people.ctl("unseal", status=4)["error"]["name"] == "shares_needed"
    people.give(people.shares[0])
    people.stop()
    people.start(people=False)
    assert people.state == "sealed"
    assert ceremony(people) is None  # a restart forgets
    assert run("unseal", "--share", people.shares[0], kms=people).returncode == 2  # no argument


def test_an_interrupted_terminal_shows_what_is_typed_again(people):
    asked = Terminal(people, "unseal", "--share", "-")
    assert asked.until(ASKS)
    asked.type(people.shares[0][:30].encode())
    os.kill(asked.pid, signal.SIGINT)
    status, seen = asked.end()
    assert status == -signal.SIGINT and people.shares[0][:20] not in seen
    assert ceremony(people) is None


def test_an_interrupted_presentation_is_in_nobodys_way(make):
    """Who was shown a new share and left has changed nothing; the next one gets other shares."""
    kms = make()
    shown = Terminal(kms, "slot", "add", "--shares", "2/2")
    assert shown.until(b"then press Enter. ")
    assert kms.ctl("slot", "add", "--shares", "2/2", status=8)["error"]["name"] == "slot_work"
    shown.type(b"\n")
    assert shown.until(b"not shown again. ")
    os.kill(shown.pid, signal.SIGINT)
    _, screen = shown.end()
    made = kms.ctl("slot", "add", "--shares", "2/2")["shares"]
    assert not any(share in screen for share in made)
    assert [s["kind"] for s in kms.ctl("slot", "list")["slots"]] == ["tpm", "shares"]
    kms.ctl("seal")
    first = next(w for w in screen.split() if w.startswith("KMS1"))
    assert kms.give(first, status=5)["error"]["name"] == "share_foreign"
    for share in made:
        kms.give(share)
    kms.wait_state("unsealed")


def test_shares_at_a_terminal(make):
    """One at a time, each wiped from the screen before the next; in force when all were seen."""
    kms = make()
    shown = Terminal(kms, "slot", "add", "--shares", "2/2")
    lines = []
    for i in (1, 2):
        assert shown.until(b"Share %d of 2. " % i)
        assert not any(line.encode() in shown.seen for line in lines)
        shown.seen = b""
        shown.type(b"\n")
        assert shown.until(b"not shown again. ")
        lines += [w.decode() for w in shown.seen.split() if w.startswith(b"KMS1")]
        assert len(lines) == i
        assert [s["kind"] for s in kms.ctl("slot", "list")["slots"]] == ["tpm"]
        shown.seen = b""
        shown.type(b"\n")
    status, screen = shown.end()
    assert status == 0 and "in force" in screen and lines[1] not in screen
    kms.ctl("seal")
    for line in lines:
        kms.give(line)
    kms.wait_state("unsealed")


def test_nothing_is_left_of_shares(people):
    """Not in a log, the audit log, the store, a backup or kmsd's memory, however the ceremony ends."""
    lines = list(people.shares)
    wrong = altered(lines[1])
    people.give(lines[0])
    people.give(wrong, status=5)
    people.give(mistyped(lines[1]), status=5)
    people.ctl("unseal", "--cancel")
    people.unseal()
    people.ctl("backup", "create")
    new = people.ctl("root", "rotate", "--yes")["shares"]
    people.ctl("backup", "create", status=None)  # one a second
    people.ctl("audit", "tail")
    texts = [form.encode() for line in [*lines, *new, wrong]
             for form in (line, line.lower(), line[10:70])]
    assert found_in_files(people.dir, texts) == []
    if os.geteuid() == 0:
        for pid in people.family():
            assert found_in_memory(pid, [t for t in texts if len(t) == 74]) == []
    os.kill(people.keeper(), signal.SIGABRT)
    people.state = None
    people.wait_state("sealed")
    assert found_in_files(people.dir, texts) == []
    assert not [p for p in people.dir.iterdir() if p.name.startswith("core")]
    people.shares = new
    people.unseal()
