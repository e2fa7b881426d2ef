"""`actorium dead-letters`: list while the application runs, retry and discard with its own handlers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.command_line import TROUBLED, write_troubled_log
from support.troubled_disks import immutable

from actorium_cli import run

NAME = "projection Totals version 1"


@pytest.fixture
def parked(log_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An application whose projection has parked one event, with another waiting behind it; its module's name."""
    module = f"letters_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{module}.py").write_text(TROUBLED.replace("sqlite:///troubled.db", log_url), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    write_troubled_log(module)
    return module


def run_command(*arguments: str) -> int:
    return run(["dead-letters", *arguments])


@pytest.fixture
def fixed(parked: str) -> str:
    sys.modules[parked].Totals.poison = frozenset()
    return parked


def test_list_shows_parked_events_with_their_errors(
    parked: str, log_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command("list", "--at", log_url) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert f"{NAME}, position 2: Deposited at Account<alice> version 2" in out
    assert "after 1 attempt: ValueError: poison" in out


@pytest.mark.parametrize("name", [NAME, "Totals"])
def test_retry_after_a_fix_leaves_nothing_parked(
    fixed: str, log_url: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command("retry", "--at", f"{fixed}:runtime", "--processor", name, "--reason", "fixed") == 0
    assert "1 handled, 0 parked" in capsys.readouterr().out
    assert run_command("list", "--at", log_url) == 0
    assert "no dead letters" in capsys.readouterr().out


def test_a_retry_that_parks_again_has_failed(parked: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("retry", "--at", f"{parked}:runtime", "--processor", "Totals", "--reason", "a test") == 1
    assert "0 handled, 1 parked" in capsys.readouterr().err


def test_discard_keeps_its_reason_and_continues(parked: str, log_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("discard", "--at", f"{parked}:runtime", "--processor", NAME, "--position", "2", "--reason", "was a test")
    assert run_command(*words) == 0
    assert "the events behind it are handled" in capsys.readouterr().out
    assert run_command("list", "--at", log_url) == 0
    assert "discarded: was a test" in " ".join(capsys.readouterr().out.split())


def test_a_wrong_name_is_answered_with_the_known_names(parked: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("retry", "--at", f"{parked}:runtime", "--processor", "Sums", "--reason", "a test") == 2
    assert NAME in " ".join(capsys.readouterr().err.split())


def test_a_directory_is_not_a_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("list", "--at", str(tmp_path)) == 2
    assert "is a directory, not a log" in capsys.readouterr().err


@pytest.mark.about("sqlite", "it opens a file")
def test_a_missing_file_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("list", "--at", str(tmp_path / "no.db")) == 2
    assert "no.db" in "".join(capsys.readouterr().err.split())


@pytest.mark.about("sqlite", "it makes the directory of the file read-only")
def test_a_read_only_log_is_listed(
    parked: str, log_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with immutable(tmp_path):
        assert run_command("list", "--at", log_url) == 0
    assert f"{NAME}, position 2" in " ".join(capsys.readouterr().out.split())


@pytest.mark.about("sqlite", "it opens a file")
def test_another_file_is_not_a_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.db").write_text("This is no database.\n" * 100, encoding="utf-8")
    assert run_command("list", "--at", str(tmp_path / "notes.db")) == 1
    assert "notes.db: file is not a database" in capsys.readouterr().err
