# SPDX-License-Identifier: Apache-2.0
"""What the documents show as a command works: README's first steps are typed as they stand, and
every kmsctl of every page is a command with options that there are."""
import os
import pathlib
import re
import shlex
import shutil
import subprocess

import pytest
from instance import BUILD, PATIENCE, ROOT

VOICE = pathlib.Path("/usr/share/sounds/alsa/Front_Center.wav")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")),
         *sorted((ROOT / "docs" / "man").glob("*.[158]"))]


def shown(page):
    """Lines that a reader would type: indented or fenced in Markdown, `$ ` in a manual page."""
    text = page.read_text()
    if page.suffix == ".md":
        return [m[1] for m in re.finditer(r"^(?:    |\$ )(.*)$", text, re.M)]
    return [m[1].replace(r"\(aq", "'") for m in re.finditer(r"^\$ (.*)$", text, re.M)]


def kmsctl_calls():
    """(page, words after kmsctl) of each call, pipes and redirections cut off."""
    for page in PAGES:
        for line in shown(page):
            for part in re.split(r"\|(?![^']*'\s*\|)|&&|;", line):
                if re.match(r"\s*kmsctl [a-z-]+\b(?!,)", part) and part.isascii():
                    words = shlex.split(re.split(r"[<>#]", part)[0])
                    yield page.name, words[1:]


CALLS = sorted({(page, tuple(words)) for page, words in kmsctl_calls()})


def test_there_are_documents():
    assert len(CALLS) >= 15, CALLS


@pytest.mark.parametrize("page, words", CALLS, ids=lambda x: x if isinstance(x, str) else "-".join(x[:2]))
def test_command_and_options_exist(page, words):
    for n in (2, 1):
        command = words[:n]
        done = subprocess.run([BUILD / "kmsctl", *command, "--help"], capture_output=True, text=True)
        if done.returncode == 0 and not any(w.startswith("-") for w in command):
            break
    assert done.returncode == 0, (page, words, done.stderr)
    for option in (w for w in words if re.match(r"--?[a-z]", w)):
        name = option.split("=")[0]
        assert re.search(rf"(^|[\s,]){re.escape(name)}\b", done.stdout), (page, words, name)


def test_first_steps_of_the_readme(tmp_path):
    """The lines of «Start», in their order, in a folder of their own."""
    if not VOICE.exists():
        pytest.skip("alsa-utils is not installed: its voice is what README encrypts")
    start = (ROOT / "README.md").read_text().split("## Start")[1].split("\n## ")[0]
    lines = re.findall(r"^    (\S.*)$", start, re.M)
    assert "./dev demo" in lines[0] and any("kmsctl encrypt" in line for line in lines)
    place = tmp_path / "kms"
    typed = ["kmsctl status", "kmsctl key create rec-2026"]
    assert all(f"`{line}`" in start for line in typed)
    script = ["set -e", f"cd {tmp_path}",
              f"bash {ROOT}/tests/rig/up.sh {place} && . {place}/env", *typed,
              *(line.replace("/tmp/", f"{tmp_path}/") for line in lines if line.startswith("kmsctl"))]
    env = {k: v for k, v in os.environ.items() if not k.startswith("KMS_")} | {"KMS_BUILD": str(BUILD)}
    try:
        done = subprocess.run(["bash", "-c", "\n".join(script)], capture_output=True, text=True,
                              env=env, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        assert (tmp_path / "call.wav").read_bytes() == VOICE.read_bytes()
    finally:
        subprocess.run(["bash", ROOT / "tests/rig/down.sh", place], env=env, capture_output=True)


def test_libkms_is_installed_and_used_as_its_guide_says(tmp_path):
    """The lines of «Install and compile» in a copy of the source, with a folder for a system."""
    guide = (ROOT / "docs" / "libkms.md").read_text()
    section = guide.split("## Install and compile")[1].split("\n## ")[0]
    lines = [line.replace("sudo ", "") for line in re.findall(r"^    (\S.*)$", section, re.M)]
    assert lines[-1].startswith("cc ") and "ldconfig" in lines
    lines.remove("ldconfig")
    clone, system = tmp_path / "clone", tmp_path / "system"
    shutil.copytree(ROOT, clone, ignore=shutil.ignore_patterns(".git", "build*", "__pycache__"))
    script = ["set -e", *lines[:-1],
              f'export PKG_CONFIG_PATH=$(dirname "$(find {system} -name kms.pc)")', lines[-1],
              "export LD_LIBRARY_PATH=$(pkg-config --variable=libdir kms)",
              "readelf -d recorder $LD_LIBRARY_PATH/libkms.so | grep NEEDED >&2", "./recorder"]
    env = {k: v for k, v in os.environ.items() if not k.startswith(("KMS_", "PKG_CONFIG"))}
    done = subprocess.run(["bash", "-c", "\n".join(script)], cwd=clone, capture_output=True,
                          text=True, env=env | {"DESTDIR": str(system)}, timeout=PATIENCE * 20)
    assert done.returncode == 2 and "usage: recorder" in done.stderr, done.stdout + done.stderr
    needed = set(re.findall(r"\[(.*?)\]", done.stderr)) - {"libc.so.6"}
    assert needed == {"libkms.so.0", "libcrypto.so.3"} and all(f"`{n}`" in section for n in needed)
    installed = {p.name for p in system.rglob("*") if not p.is_dir()}
    assert {"kms.h", "kms_envelope.h", "kms.pc", "libkms.so", "libkms.so.0"} <= installed
    assert not {"kmsd", "kmsctl"} & installed, "the client alone"
