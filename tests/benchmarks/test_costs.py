"""The guard against regressions: a command that costs more than in the stored run fails the comparison."""

from pathlib import Path

import pytest
from support.reports import report, result, save

import actorium.benchmarks
from actorium.actors.actor import Actor
from actorium.benchmarks.catalog import select
from actorium.benchmarks.child import Job, carry_out
from actorium.benchmarks.measuring.environment import python
from actorium.benchmarks.report import BenchmarkReport, load
from actorium.benchmarks.reports.compare import stored_name
from actorium_cli import run

SIZES = {"callers": 20, "commands": 200, "aggregates": 50, "max_live": 1_000, "is_cold": 0}
STORED = Path(actorium.benchmarks.__file__).parent / "stored"


def measured(folder: Path) -> float:
    folder.mkdir()
    outcome = carry_out(Job("cost-100-callers", "memory", SIZES, str(folder), seed=1), folder)
    assert not outcome.wrong
    return outcome.figures["bytecodes_per_command"]


def reported(value: float) -> BenchmarkReport:
    return report(result([value], "cost-100-callers", "memory", figure="bytecodes_per_command", sizes=SIZES))


def slower_by(bytecodes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each turn of an actor execute more bytecodes."""
    turn = Actor.turn

    def slow_turn(actor: Actor, budget: int) -> int:
        for _ in range(bytecodes // 3):  # three bytecodes each
            pass
        return turn(actor, budget)

    monkeypatch.setattr(Actor, "turn", slow_turn)


def test_a_planted_slow_down_of_thirty_percent_fails_the_comparison(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = measured(tmp_path / "before")
    save(reported(before), tmp_path / "before.json")
    save(reported(measured(tmp_path / "again")), tmp_path / "again.json")
    slower_by(round(before * 0.3), monkeypatch)
    now = measured(tmp_path / "now")
    assert 1.2 < now / before < 1.4
    save(reported(now), tmp_path / "now.json")
    compared = ["--compare", str(tmp_path / "before.json")]
    assert run(["bench", "--show", str(tmp_path / "again.json"), *compared]) == 0
    capsys.readouterr()
    assert run(["bench", "--show", str(tmp_path / "now.json"), *compared]) == 1
    out, err = (" ".join(text.split()) for text in capsys.readouterr())
    assert "over the limit" in out
    said = f"cost-100-callers on memory: bytecodes per command was {before:,.0f} and is now {now:,.0f}, "
    assert said in err
    assert "the limit is 1.15 times" in err


def test_a_folder_has_one_stored_run_for_each_version_of_python(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(reported(1_300), tmp_path / "now.json")
    arguments = ["bench", "--show", str(tmp_path / "now.json"), "--compare", str(tmp_path)]
    assert run(arguments) == 0
    assert f"nothing is compared: {tmp_path} has no report for this version of Python" in capsys.readouterr().err
    save(reported(1_000), tmp_path / stored_name(python()))
    assert run(arguments) == 1


def test_the_name_of_a_stored_run_has_the_minor_version() -> None:
    assert stored_name("CPython 3.13.0rc2") == "cpython-3.13.json"


def test_the_stored_run_of_the_repository_covers_every_scenario_with_a_limit() -> None:
    stored = load(STORED / "cpython-3.11.json")
    expected = {(one.name, store) for one in select([]) if one.limit for store in one.stores}
    assert {one.key for one in stored.results} == expected
    assert not stored.failures
    for one in stored.results:
        (scenario,) = (found for found in select([one.scenario]) if found.name == one.scenario)
        assert one.sizes == scenario.sizes, "measure it again: see docs/how-to/benchmark.md"
