"""`actorium prove crash`: kills lose nothing, and the program itself ends cleanly."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from actorium.examples.bank.crashes.kills import KillFindings, Kills
from actorium_cli import run

pytestmark = pytest.mark.about("sqlite", "`prove crash` kills a bank on a file; `prove postgresql` has its own tests")
ACTORIUM = [sys.executable, "-m", "actorium"]


def test_nothing_is_lost_duplicated_or_gapped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = tmp_path / "bank.db"
    assert run(["prove", "crash", "--kills", "4", "--seed", "7", "--db", str(database)]) == 0
    printed = capsys.readouterr()
    assert "acknowledged commands found after every kill, 0 lost, 0 duplicated, 0 gaps" in printed.out
    assert "4 kills by SIGKILL" in printed.out
    assert printed.err == ""
    assert database.exists()
    assert run(["prove", "crash", "--db", str(database)]) == 2
    assert "already exists" in capsys.readouterr().err


def test_the_counts_come_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["prove", "crash", "--kills", "2", "--json", "-"]) == 0
    printed = capsys.readouterr()
    assert "2 kills by SIGKILL" in printed.err
    counts = json.loads(printed.out)
    assert counts["kills"] == 2
    assert counts["acknowledged"] > 0
    assert counts["events"] >= counts["acknowledged"]
    assert [counts[name] for name in ("lost", "duplicated", "gaps", "moved", "wrong_balances")] == [0] * 5


def test_a_loss_is_found(tmp_path: Path) -> None:
    kills = Kills(tmp_path / "bank.db", seed=3)
    kills._acknowledged["open-99"] = 5  # as if somebody had been told so
    found = kills.run(1, lambda done: None)
    assert found.lost == 1
    assert not found.holds
    assert found.examples == ["open-99 was acknowledged at position 5 but is not there"]


def test_ctrl_c_leaves_no_process_behind(tmp_path: Path) -> None:
    database = tmp_path / "bank.db"
    command = [*ACTORIUM, "prove", "crash", "--kills", "1000", "--db", str(database)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "killing a bank under load 1,000 times\n"
        while not Path(f"{database}-wal").exists():
            assert program.poll() is None
        os.killpg(program.pid, signal.SIGINT)
        _, err = program.communicate(timeout=60)
    assert program.returncode == 130
    assert "stopped by Ctrl-C after" in err
    with pytest.raises(ProcessLookupError):
        os.killpg(program.pid, 0)  # nobody of its group is left


@pytest.mark.parametrize("wrong", ["lost", "duplicated", "gaps", "moved", "wrong_balances"])
def test_any_finding_breaks_the_promise(wrong: str) -> None:
    assert KillFindings().holds
    assert not KillFindings(**{wrong: 1}).holds
