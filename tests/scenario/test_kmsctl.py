# SPDX-License-Identifier: Apache-2.0
"""kmsctl, every command of its table: as text and as JSON, its exit statuses, what it refuses."""
import base64
import json
import os
import re
import subprocess

import pytest
from command import KMSCTL, environment, issue, run
from instance import PATIENCE, parse_json

COMMON = {"--json", "--quiet", "--socket", "--subject", "--purpose", "--help"}


def commands():
    """Every command that the list in --help names, as words."""
    text = run("--help").stdout.decode()
    block = text.split("Commands:\n")[1].split("\n\n")[0]
    return [line[2:26].split() for line in block.splitlines()]


# ---- help, completion, words ----------------------------------------------------------------

def test_help_of_every_command():
    found = commands()
    assert len(found) >= 30
    for words in found:
        done = run(*words, "--help")
        text = done.stdout.decode()
        assert done.returncode == 0 and not done.stderr, words
        assert text.startswith(f"Usage: kmsctl {' '.join(words)}"), words
        assert "Examples:\n" in text and COMMON <= set(re.findall(r"--[a-z-]+", text)), words
        assert run("help", *words).stdout == done.stdout
        assert run("--help", *words).stdout == done.stdout


def test_help_names_exactly_the_options_that_are_taken():
    named = {}
    for words in commands():
        options = run(*words, "--help").stdout.decode().split("\nOptions")
        named[" ".join(words)] = set(
            re.findall(r"^ +(?:-\w, )?(--[a-z0-9-]+)", "\n".join(options[1:]), re.M))
    every = set().union(*named.values())
    assert len(every) > 20
    for words, options in named.items():
        for option in every - options:
            done = run(*words.split(), option + "=1")
            assert done.returncode == 2 and option.encode() in done.stderr, (words, option)
        for option in options:
            done = run(*words.split(), option, "--other", "--other")
            said = done.stdout + done.stderr
            assert b"no option --other" in said or b"Usage:" in said or re.search(
                rb"takes|name=value", said), (words, option)


def test_help_of_nouns():
    text = run("key", "--help").stdout.decode()
    assert "key destroy" in text and "audit tail" not in text
    assert run("help", "key").stdout.decode() == text
    assert run("help", "nonsense").returncode == 2


@pytest.mark.parametrize("words, says", [
    ([], "command is missing"),
    (["stauts"], 'did you mean "status"?'),
    (["key"], "what about the key?"),
    (["key", "shw"], 'no command "key shw"'),
    (["status", "--jsn"], "did you mean --json?"),
    (["status", "extra"], "one word too many"),
    (["key", "show"], "it wants NAME"),
    (["issue", "k", "--count", "1025"], "from 1 to 1024"),
    (["issue", "k", "--context", "x"], "name=value"),
    (["issue", "k", "--key-out", "x", "--wrapped-only"], "exclude each other"),
    (["issue", "k", "--key-out", "fd:99"], "no open descriptor"),
    (["key", "create", "k", "--rotate-every", "soon"], "takes a time"),
    (["audit", "show", "last"], "a record has a number"),
    (["random", "0"], "1 to 65536 bytes"),
    (["encrypt", "k", "-", "--rm"], "--rm needs"),
    (["completion", "zsh"], "bash only"),
])
def test_wrong_usage(words, says):
    done = run(*words)
    assert done.returncode == 2 and not done.stdout
    assert says in done.stderr.decode() and "what to do:" in done.stderr.decode()
    done = run(*words, "--json")
    assert done.returncode == 2
    error = json.loads(done.stdout)["error"]
    assert says in error["message"] and error["code"] == "bad_request" and error["hint"]


def test_wrong_format_is_refused():
    assert run("version", KMS_FORMAT="yaml").returncode == 2
    assert run("version", KMS_FORMAT="text").returncode == 0


def test_completion(tmp_path):
    script = tmp_path / "kmsctl.bash"
    script.write_bytes(run("completion").stdout)

    def complete(*words):
        line = " ".join(f"'{w}'" for w in words)
        out = subprocess.run(
            ["bash", "-c", f". {script}; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; "
             "_kmsctl; printf '%s\\n' \"${COMPREPLY[@]}\""], capture_output=True, check=True)
        assert not out.stderr
        return set(out.stdout.decode().split())
    assert {"status", "key", "audit", "issue"} <= complete("kmsctl", "")
    assert complete("kmsctl", "ke") == {"key"}
    assert complete("kmsctl", "key", "d") == {"deactivate", "destroy"}
    assert complete("kmsctl", "key", "destroy", "--y") == {"--yes"}
    assert "--count" in complete("kmsctl", "issue", "--")
    assert "--count" not in complete("kmsctl", "wrap", "--")


def test_version():
    assert re.fullmatch(rb"kmsctl \d+\.\d+\.\d+\n", run("version").stdout)
    assert run("--version").stdout == run("version").stdout
    assert json.loads(run("version", "--json").stdout)["program"] == "kmsctl"


# ---- every command against an instance ------------------------------------------------------

READING = [["status"], ["wait"], ["whoami"], ["metrics"], ["slot", "list"], ["slot", "check"],
           ["key", "list"], ["key", "show", "k"], ["audit", "tail", "--lines", "3"],
           ["audit", "show", "0"]]


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_reading_as_text_and_json(shared, words):
    done = run(*words, kms=shared)
    assert done.returncode == 0, done.stderr
    assert b"{\"" not in done.stdout and b"\x1b" not in done.stdout
    done = run(*words, "--json", kms=shared)
    assert done.returncode == 0 and parse_json(done.stdout)
    assert run(*words, kms=shared, KMS_FORMAT="json").returncode == 0
    assert run(*words[:1], "--json", *words[1:], kms=shared).returncode in (0, 2)
    assert run("--json", "-q", *words, kms=shared).returncode == 0
    quiet = run(*words, "-q", kms=shared)
    assert quiet.returncode == 0 and not quiet.stderr


def test_status_says_what_is(shared):
    seen = shared.ctl("status")
    assert seen["state"] == "unsealed" and seen["sealed"] is False and seen["why"] == ""
    assert seen["slots"][0]["kind"] == "tpm" and len(seen["instance"]) == 32
    assert shared.ctl("status", "-q", text=True) == b"unsealed\n"
    assert b"kmsd serves." in shared.ctl("status", text=True)


def test_key_list_and_show(shared):
    keys = shared.ctl("key", "list")["keys"]
    assert {"k", "k-gcm", "k-kwp"} <= {key["key"] for key in keys}
    assert {"key", "id", "class", "algorithm", "state", "version"} <= set(keys[0])
    names = shared.ctl("key", "list", "-q", text=True).decode().split()
    assert names == sorted(names) == [key["key"] for key in keys]
    key = shared.ctl("key", "show", "k")
    assert key["versions"][0]["state"] == "active" and key["algorithm"] == "xaes-256-gcm"
    assert shared.ctl("key", "show", "k", "--version", "7", status=3)["error"]["code"] == "not_found"


def test_key_list_pages(make):
    kms = make(max_versions=2000)
    with kms.client() as c:
        for i in range(1005):
            c.call("key_create", key=f"k{i:04}")
    listed = kms.ctl("key", "list")["keys"]
    assert [key["key"] for key in listed] == [f"k{i:04}" for i in range(1005)]


@pytest.mark.parametrize("args, count", [([], 1), (["--count", "3"], 3)])
def test_issue(shared, args, count):
    text = shared.ctl("issue", "k", "--context", "call=1", *args, text=True).decode()
    assert [len(base64.b64decode(line, validate=True)) for line in text.split()] == [96] * count
    got = shared.ctl("issue", "k", "--context", "call=1", *args)
    for item in got if count > 1 else [got]:
        assert item["key"] == "k" and item["version"] == 1 and item["context"] == {"call": "1"}
        assert len(base64.b64decode(item["plaintext"])) == 32
        opened = shared.ctl("unwrap", "--context", "call=1", input=item["wrapped"].encode())
        assert opened["plaintext"] == item["plaintext"]
    got = shared.ctl("issue", "k", "--wrapped-only", *args)
    assert all("plaintext" not in item for item in (got if count > 1 else [got]))


def test_issue_asks_for_no_clear_key_that_nobody_gets(shared):
    """As text the clear key does not even leave kmsd."""
    with shared.client() as c:
        before = c.call("status").audit_records
    issue(shared)
    with shared.client() as c:
        assert c.call("status").audit_records > before
    out = shared.ctl("issue", "k", text=True)
    assert len(out.split()) == 1


def test_issue_key_out(shared, tmp_path):
    key = tmp_path / "key"
    wrapped = issue(shared, "--key-out", key, "--count", "2").split()
    assert key.stat().st_mode & 0o077 == 0 and key.stat().st_size == 64
    opened = [shared.ctl("unwrap", "-", input=w, text=True) for w in wrapped]
    assert b"".join(opened) == key.read_bytes()
    assert "plaintext" not in shared.ctl("issue", "k", "--key-out", key)
    reader, writer = os.pipe()
    shared.ctl("issue", "k", "--key-out", f"fd:{writer}", text=True, pass_fds=[writer])
    os.close(writer)
    assert len(os.read(reader, 100)) == 32
    os.close(reader)


def test_wrap_unwrap(shared, tmp_path):
    data = os.urandom(1000)
    clear, wrapped, back = (tmp_path / n for n in ("clear", "wrapped", "back"))
    clear.write_bytes(data)
    shared.ctl("wrap", "k", clear, "-o", wrapped, "--context", "a=b", text=True)
    assert shared.ctl("unwrap", wrapped, "--context", "a=b", text=True) == data
    shared.ctl("unwrap", wrapped, "--context", "a=b", "-o", back, text=True)
    assert back.read_bytes() == data and back.stat().st_mode & 0o077 == 0
    assert shared.ctl("wrap", "k", input=b"x")["key"] == "k"
    assert shared.ctl("wrap", "k", input=b"", status=5)["error"]["code"] == "bad_request"
    assert shared.ctl("wrap", "k", input=bytes(65537), status=5)["error"]["code"] == "too_big"


@pytest.mark.parametrize("form", ["binary", "line", "folded"])
def test_unwrap_takes_every_form(shared, form):
    wrapped = shared.ctl("issue", "k")["wrapped"].encode()
    given = {"binary": base64.b64decode(wrapped), "line": wrapped + b"\n",
             "folded": b"\n".join(wrapped[i:i + 76] for i in range(0, len(wrapped), 76))}[form]
    assert len(shared.ctl("unwrap", input=given, text=True)) == 32
    assert shared.ctl("unwrap", "-", input=given)["version"] == 1


@pytest.mark.parametrize("given", [b"", b"AQ==", b"no wrapped key", b"\x01" * 96, b"\x02" * 96])
def test_unwrap_refuses_rubbish(shared, given):
    assert shared.ctl("unwrap", input=given, status=5)["error"]["code"] in ("bad_request",
                                                                           "integrity")


def test_rewrap(kms):
    kms.ctl("key", "create", "k")
    lines = b"".join(issue(kms, "--context", "a=1", "--count", "1024").splitlines(True)
                     + [b"\n", issue(kms, "--context", "a=1")])
    kms.ctl("key", "rotate", "k")
    moved = kms.ctl("rewrap", "--context", "a=1", input=lines, text=True).split()
    assert len(moved) == 1025
    assert kms.ctl("unwrap", "--context", "a=1", input=moved[-1])["version"] == 2
    assert kms.ctl("rewrap", "--context", "a=1", input=lines.split()[0])["version"] == 2
    other = kms.ctl("rewrap", "--context", "a=1", "--new-context", "b=2", input=moved[0], text=True)
    assert kms.ctl("unwrap", "--context", "b=2", input=other)["version"] == 2
    kms.ctl("unwrap", "--context", "a=1", input=other, status=5)
    done = kms.ctl("rewrap", "--context", "a=9", input=lines, status=None)
    assert done.returncode == 5 and parse_json(done.stdout)["error"]["code"] == "integrity"


def test_rewrap_of_a_file(kms, tmp_path):
    kms.ctl("key", "create", "k")
    clear, sealed = tmp_path / "call", tmp_path / "call.kms"
    clear.write_bytes(b"voice" * 50000)
    kms.ctl("encrypt", "k", clear, "--context", "a=1", "-o", sealed)
    kms.ctl("key", "rotate", "k")
    before = sealed.read_bytes()
    assert run("rewrap", sealed, "-o", tmp_path / "other", kms=kms).returncode == 2
    kms.ctl("rewrap", sealed, "--context", "a=2", status=5)
    assert sealed.read_bytes() == before, "a refusal changes no byte"
    assert kms.ctl("rewrap", sealed, "--context", "a=1")["version"] == 2
    kms.ctl("key", "destroy", "k", "--version", "1", "--yes")
    kms.ctl("decrypt", sealed, "--context", "a=1", "-o", tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == clear.read_bytes()


# Root may write everywhere, unless it gives that up.
MERE = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []


def test_rewrap_of_a_file_that_may_not_be_written(kms, tmp_path):
    kms.ctl("key", "create", "k")
    clear, sealed, key = tmp_path / "call", tmp_path / "call.kms", tmp_path / "key"
    clear.write_bytes(b"voice")
    kms.ctl("encrypt", "k", clear, "-o", sealed)
    key.write_bytes(issue(kms))
    kms.ctl("key", "rotate", "k")
    sealed.chmod(0o400)
    key.chmod(0o400)
    tmp_path.chmod(0o500)
    before = sealed.read_bytes()

    def rewrap(path):
        return subprocess.run([*MERE, KMSCTL, "rewrap", path, "--json"], capture_output=True,
                              env=environment(kms), timeout=PATIENCE)

    done = rewrap(sealed)
    error = json.loads(done.stdout)["error"]
    assert done.returncode == 7 and (error["name"], error["detail"]) == (
        "io", f"{sealed}: Permission denied")
    assert sealed.read_bytes() == before
    assert json.loads(rewrap(key).stdout)["version"] == 2, "a wrapped key is only read"
    sealed.chmod(0o600)
    assert json.loads(rewrap(sealed).stdout)["version"] == 2, "in place: the folder does not matter"
    assert rewrap(tmp_path / "none").returncode == 2
    tmp_path.chmod(0o700)


def test_mac_and_random(shared):
    first = shared.ctl("mac", "k", input=b"+81 3 1234")
    assert len(base64.b64decode(first["mac"])) == 32
    assert shared.ctl("mac", "k", input=b"+81 3 1234") == first
    assert shared.ctl("mac", "k", input=b"+81 3 1235")["mac"] != first["mac"]
    text = shared.ctl("mac", "k", input=b"+81 3 1234", text=True)
    assert text.decode().strip() == first["mac"]
    assert len(shared.ctl("random", text=True)) == 32
    assert len(shared.ctl("random", "65536", text=True)) == 65536
    assert len(base64.b64decode(shared.ctl("random", "5", "--base64", text=True))) == 5
    assert len(base64.b64decode(shared.ctl("random", "7")["random"])) == 7


def test_files_and_inspect(shared, tmp_path):
    clear, locked, back = (tmp_path / n for n in ("clear", "locked", "back"))
    clear.write_bytes(os.urandom(50000))
    made = shared.ctl("encrypt", "k", clear, "-o", locked, "--context", "call=1")
    assert made["key"] == "k" and made["bytes"] == 50000
    seen = shared.ctl("inspect", locked)
    assert seen["wrapped"] == made["wrapped"] and seen["context"] == {"call": "1"}
    assert b"An encrypted file." in shared.ctl("inspect", locked, text=True)
    assert shared.ctl("decrypt", locked, "-o", back)["bytes"] == 50000
    assert back.read_bytes() == clear.read_bytes()
    wrapped = shared.ctl("inspect", "-", input=made["wrapped"].encode())
    assert wrapped["kind"] == "wrapped-key" and wrapped["id"] == seen["id"]
    assert shared.ctl("inspect", "-", input=b"voice", status=5)["error"]["code"] == "bad_request"
    assert {p.name for p in tmp_path.iterdir()} == {"clear", "locked", "back"}


@pytest.mark.parametrize("verb, says, advised, compromised", [
    (None, b"", False, False),
    ("rotate", b"newer version", True, False),
    ("compromise --yes", b"version 1 of k, which wraps its key, is compromised", True, True)])
def test_decrypt_tells_of_the_version(kms, tmp_path, verb, says, advised, compromised):
    clear, locked, back = (tmp_path / n for n in ("clear", "locked", "back"))
    clear.write_bytes(b"voice")
    kms.ctl("key", "create", "k")
    kms.ctl("encrypt", "k", clear, "-o", locked)
    if verb:
        kms.ctl("key", *verb.split(), "k")
    told = kms.ctl("decrypt", locked, "-o", back)
    assert (told["key"], told["version"]) == ("k", 1) and back.read_bytes() == b"voice"
    assert (told["rewrap_advised"], told["compromised"]) == (advised, compromised)
    done = run("decrypt", locked, "-o", "-", kms=kms)
    assert done.returncode == 0 and done.stdout == b"voice"
    assert says in done.stderr and bool(done.stderr) == bool(says)


def test_hidden_context(shared, tmp_path):
    locked = tmp_path / "locked"
    shared.ctl("encrypt", "k", "-", "-o", locked, "--context", "call=0001", "--hide-context",
               input=b"voice")
    assert b"0001" not in locked.read_bytes()
    assert shared.ctl("inspect", locked)["values_hidden"] is True
    assert shared.ctl("decrypt", locked, "-o", tmp_path / "x", status=None).returncode == 5
    assert shared.ctl("decrypt", locked, "-o", "-", "--context", "call=0001", text=True) == b"voice"


def test_encrypt_never_loses_the_clear_file(shared, tmp_path):
    clear, link = tmp_path / "clear", tmp_path / "link"
    clear.write_bytes(b"voice")
    link.symlink_to(clear)
    for out in (clear, link, tmp_path / "." / "clear"):
        for rm in ([], ["--rm"]):
            shared.ctl("encrypt", "k", clear, "-o", out, *rm, status=2)
    shared.ctl("encrypt", "k", clear, "-o", "/dev/null", "--rm", status=2)
    shared.ctl("encrypt", "k", clear, "-o", "-", "--rm", status=2)
    shared.ctl("encrypt", "k", clear, "-o", tmp_path / "none" / "x", "--rm", status=7)
    assert clear.read_bytes() == b"voice"
    assert {p.name for p in tmp_path.iterdir()} == {"clear", "link"}


def test_killed_encrypt_leaves_nothing(shared, tmp_path):
    """Ended in the middle of its input: neither the file nor a temporary one."""
    locked = tmp_path / "locked"
    work = subprocess.Popen([KMSCTL, "encrypt", "k", "-", "-o", locked], stdin=subprocess.PIPE,
                            env=environment(shared))
    for _ in range(8):
        work.stdin.write(os.urandom(1 << 20))
    work.stdin.flush()
    work.terminate()
    work.wait(PATIENCE)
    work.stdin.close()
    assert not locked.exists()


def test_audit(shared):
    issue(shared, "--subject", "agent-7", "--purpose", "quality")
    last = [r for r in shared.ctl("audit", "tail") if r.get("subject") == "agent-7"][-1]
    assert last["op"] == "issue" and last["result"] == "ok" and last["purpose"] == "quality"
    shown = shared.ctl("audit", "show", last["seq"])
    assert shown["seq"] == last["seq"] and base64.b64decode(shown["record"])
    lines = shared.ctl("audit", "tail", "--lines", "2", text=True).decode().splitlines()
    assert len(lines) == 2
    assert shared.ctl("audit", "show", 1 << 40, status=3)["error"]["code"] == "not_found"


def test_audit_tail_follows(shared):
    with subprocess.Popen([KMSCTL, "audit", "tail", "-f", "--lines", "1", "--json"],
                          stdout=subprocess.PIPE, env=environment(shared)) as tail:
        try:
            assert json.loads(tail.stdout.readline())["seq"] >= 0
            issue(shared, "--subject", "follow-me")
            while json.loads(tail.stdout.readline()).get("subject") != "follow-me":
                pass
        finally:
            tail.kill()


def test_following_does_not_follow_itself(shared):
    """Reading leaves a record; that record must not wake the reading, for ever."""
    with subprocess.Popen([KMSCTL, "audit", "tail", "-f", "--lines", "1", "--json"],
                          stdout=subprocess.PIPE, env=environment(shared)) as tail:
        tail.stdout.readline()
        before = shared.status().audit_records
        issue(shared, "--subject", "seen")
        while json.loads(tail.stdout.readline()).get("subject") != "seen":
            pass
        between = shared.status().audit_records - before
        tail.kill()
    assert between < 10


def test_doctor(shared):
    seen = shared.ctl("doctor")
    checks = {c["check"]: c["result"] for c in seen["checks"]}
    assert seen["ok"] and "fail" not in checks.values()
    assert checks["socket"] == checks["state"] == checks["audit log"] == checks["slot"] == "ok"
    assert {"rights", "memory", "counter", "clock", "version", "restarts"} <= set(checks)
    assert b"kmsd answers on" in shared.ctl("doctor", text=True)
