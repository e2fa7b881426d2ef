"""`actorium keys`, `head` and `verify`: what they print, their exit codes, and what they refuse."""

import asyncio
import json
import os
import resource
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from support.backups import fill
from support.command_line import output
from support.tables import run_on
from support.verifying import forge, store_chain

EVENTS = 900


@pytest.fixture(autouse=True)
def here(log_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with a log that has a chain."""
    monkeypatch.chdir(tmp_path)
    asyncio.run(fill(log_url, 0, EVENTS // 3))
    asyncio.run(store_chain(log_url))
    return tmp_path


def head_file(capsys: pytest.CaptureFixture[str], log_url: str, name: str, *options: str) -> str:
    code, out, err = output(capsys, "head", log_url, *options)
    assert code == 0, err
    Path(name).write_text(out, encoding="utf-8")
    return name


def test_a_log_is_verified_against_a_signed_head(log_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = output(capsys, "keys", "new", "key")
    assert (code, err) == (0, "")
    assert "the private key is in key, the public key in key.pub" in out
    assert stat.S_IMODE(os.stat("key").st_mode) == 0o600
    head = head_file(capsys, log_url, "head.json", "--sign", "key")
    assert json.loads(Path(head).read_bytes())["key"] in out

    asyncio.run(fill(log_url, EVENTS, 1))
    code, out, err = output(
        capsys, "verify", log_url, "--head", head, "--public-key", "key.pub", "--json", "report.json"
    )
    assert (code, err) == (0, "")
    assert "the log matches the head at position 900\n3 later events not covered by it\n" in out
    assert "the log matches its stored chain up to position 768" in out
    report = json.loads(Path("report.json").read_bytes())
    assert report == {"log": log_url, "end": 903, "covered": 900, "linked": 768, "problem": "", "first": 0, "last": 0}
    assert "was not checked" in output(capsys, "verify", log_url, "--head", head)[2]

    asyncio.run(forge(log_url, 300))
    code, out, err = output(capsys, "verify", log_url, "--head", head, "--public-key", "key.pub")
    assert code == 1
    assert "the first difference is between the positions 257 and 512" in err


def test_a_head_signed_with_another_key_is_refused(log_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    for key in ("ours", "theirs"):
        assert output(capsys, "keys", "new", key)[0] == 0
    theirs = head_file(capsys, log_url, "theirs.json", "--sign", "theirs")
    unsigned = head_file(capsys, log_url, "unsigned.json")
    changed = json.loads(Path(head_file(capsys, log_url, "changed.json", "--sign", "ours")).read_bytes())
    Path("changed.json").write_text(json.dumps({**changed, "position": 899}), encoding="utf-8")
    for file, words in (
        (theirs, "was not signed with the key"),
        (unsigned, "is not signed"),
        ("changed.json", "or it"),
    ):
        code, _, err = output(capsys, "verify", log_url, "--head", file, "--public-key", "ours.pub")
        assert code == 1
        assert words in err
    assert output(capsys, "verify", log_url, "--head", theirs)[0] == 0


def test_a_new_head_continues_an_earlier_one_or_is_not_printed(
    log_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first = head_file(capsys, log_url, "first.json")
    asyncio.run(fill(log_url, EVENTS, 1))
    second = head_file(capsys, log_url, "second.json", "--after", first)
    asyncio.run(forge(log_url, 902))
    code, out, err = output(capsys, "head", log_url, "--after", second)
    assert (code, out) == (1, "")
    assert "does not match the earlier head at position 903" in err
    code, _, err = output(capsys, "verify", log_url, "--head", second, "--head", first)
    assert code == 1
    assert "between the positions 901 and 903" in err


def test_without_a_head_only_the_stored_chain_is_compared(log_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = output(capsys, "verify", log_url)
    assert (code, out.splitlines()[-1]) == (0, "the log matches its stored chain up to position 768")
    assert "whose chain was rewritten too looks the same" in err
    asyncio.run(run_on(log_url, "DELETE FROM checkpoints"))
    code, _, err = output(capsys, "verify", log_url)
    assert code == 2
    assert "nothing to compare with" in err


def test_what_cannot_be_used_is_refused(log_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    output(capsys, "keys", "new", "key")
    Path("text").write_text("no", encoding="utf-8")
    head = head_file(capsys, log_url, "head.json")
    newer = {**json.loads(Path(head).read_bytes()), "actorium_head": 2}
    Path("newer.json").write_text(json.dumps(newer), encoding="utf-8")
    odd = {**json.loads(Path(head).read_bytes()), "position": 0}
    Path("odd.json").write_text(json.dumps(odd), encoding="utf-8")
    for command, words in (
        (["head", "sqlite:///none.db"], "there is no log"),
        (["head", log_url, "--sign", "none"], "there is no file none"),
        (["head", log_url, "--sign", "text"], "is not the PEM file of a private key"),
        (["head", log_url, "--sign", "key.pub"], "is not the PEM file of a private key"),
        (["head", log_url, "--after", "text"], "is not a head"),
        (["verify", log_url, "--head", "none.json"], "there is no file none.json"),
        (["verify", log_url, "--head", "newer.json"], "a newer version of Actorium wrote it"),
        (["verify", log_url, "--head", "odd.json"], "its position or hash is impossible"),
        (["verify", log_url, "--head", head, "--public-key", "key"], "is not the PEM file of a public key"),
        (["keys", "new", "key"], "exists: name another file"),
        (["keys", "new", "no/such/key"], "cannot write no/such/key.pub: No such file or directory"),
    ):
        code, out, err = output(capsys, *command)
        assert (code, out) == (2, ""), command
        assert words in err


@pytest.mark.about("memory", "it names it")
def test_a_log_in_memory_has_no_head(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = output(capsys, "head", "memory://")
    assert code == 2
    assert "no other process can read the log" in err


def test_a_key_is_written_with_its_public_key_or_not_at_all(capsys: pytest.CaptureFixture[str]) -> None:
    Path("key").mkdir()
    code, _, err = output(capsys, "keys", "new", "key")
    assert (code, Path("key.pub").exists()) == (2, False)
    assert "key exists: name another file" in err


def test_a_key_on_a_full_disk_leaves_no_file() -> None:
    command = [sys.executable, "-m", "actorium", "keys", "new", "key"]
    limits = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20, resource.RLIM_INFINITY))  # noqa: E731
    done = subprocess.run(command, capture_output=True, preexec_fn=limits)
    assert done.returncode == 2
    assert b"cannot write key.pub: File too large" in done.stderr
    assert not [*Path().glob("key*")]


def test_a_key_that_cannot_sign_is_refused_before_the_log_is_read(
    log_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    output(capsys, "keys", "new", "key")
    code, _, err = output(capsys, "head", log_url, "--sign", "key.pub")
    assert code == 2
    assert "key.pub is not the PEM file of a private key" in err
    assert "hashing" not in err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has this file")
def test_an_output_that_takes_no_more_is_named(log_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = output(capsys, "verify", log_url, "--json", "/dev/full")
    assert code == 1
    assert "cannot write /dev/full: No space left on device; the report in it is incomplete" in " ".join(err.split())
    with open("/dev/full", "wb") as full:
        done = subprocess.run([sys.executable, "-m", "actorium", "head", log_url], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert b"cannot write to standard output: No space left on device" in b" ".join(done.stderr.split())


def test_a_missing_package_is_named(
    log_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "actorium.verification.signatures", raising=False)
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    code, _, err = output(capsys, "keys", "new", "key")
    assert code == 2
    assert "pip install 'actorium[verify]'" in err
    head = head_file(capsys, log_url, "head.json")
    assert output(capsys, "verify", log_url, "--head", head)[0] == 0


def test_a_drill_compares_the_restored_log_with_a_head(log_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    head = head_file(capsys, log_url, "head.json")
    assert output(capsys, "backup", log_url, "backup")[0] == 0
    code, out, err = output(capsys, "drill", "backup", "--head", head)
    assert code == 0, err
    assert "the restored log matches the head at position 900" in out
    asyncio.run(forge(log_url, 300))
    assert output(capsys, "backup", log_url, "forged")[0] == 0
    code, out, err = output(capsys, "drill", "forged", "--head", head)
    assert code == 1
    assert "does not match the head at position 900" in out


def test_changes_are_made_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = output(capsys, "prove", "tampering", "--changes", "8", "--json", "report.json")
    assert (code, err) == (0, "")
    assert "8 changes of a log of" in out
    assert "8 of 8 found" in out
    kinds = json.loads(Path("report.json").read_bytes())["kinds"]
    assert sum(kind["found"] for kind in kinds.values()) == 8
