"""`actorium prove power-loss`: its counts and its exit code."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from actorium_cli import run

FULL = ["prove", "power-loss", "--states", "120", "--commands", "12"]


def test_full_loses_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*FULL, "--jobs", "1"]) == 0
    printed = capsys.readouterr()
    assert "states: 120 of 120" in printed.out
    assert "every state has all acknowledged commands and no wrong content" in printed.out
    assert printed.err == ""


def test_normal_loses_commands_and_the_program_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*FULL, "--synchronous", "NORMAL", "--seed", "4", "--jobs", "1", "--json", "-"]) == 1
    printed = capsys.readouterr()
    counts = json.loads(printed.out)
    assert (counts["synchronous"], counts["seed"], counts["wrong"]) == ("NORMAL", 4, 0)
    assert counts["states"] >= 120
    assert counts["lossy"] > 0
    assert "acknowledged commands are gone" in counts["examples"][0]
    assert f"{counts['lossy']} states lost acknowledged commands" in printed.err


def test_the_counts_are_written_to_a_file_beside_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*FULL, "--jobs", "1", "--json", str(tmp_path / "counts.json")]) == 0
    assert "distinct states rebuilt" in capsys.readouterr().out
    assert json.loads((tmp_path / "counts.json").read_text(encoding="utf-8"))["lossy"] == 0


def test_several_processes_give_the_same_result(capsys: pytest.CaptureFixture[str]) -> None:
    counts = []
    for jobs in ("1", "2"):
        assert run([*FULL, "--jobs", jobs, "--json", "-"]) == 0
        counts.append(json.loads(capsys.readouterr().out) | {"took_s": 0})
    assert counts[0] == counts[1]


def test_ctrl_c_leaves_no_process_behind() -> None:
    command = [sys.executable, "-m", "actorium", "prove", "power-loss", "--jobs", "2"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "power cuts with synchronous=FULL, starting at seed 1\n"
        os.killpg(program.pid, signal.SIGINT)
        _, err = program.communicate(timeout=60)
    assert program.returncode == 130
    assert "interrupted" in err


def test_invalid_options_are_rejected(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--states", "0"], ["--jobs", "0"], ["--synchronous", "HALF"]):
        assert run(["prove", "power-loss", *arguments]) == 2


def test_without_apsw_the_program_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("connection", "place", "vfs"):
        monkeypatch.delitem(sys.modules, f"actorium.simulation.disk.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "apsw", None)
    assert run([*FULL, "--jobs", "1"]) == 2
    assert "pip install 'actorium[simulation]'" in capsys.readouterr().err
