"""Every single fault with every crash step: all of them are run, one step for each class."""

import signal
from pathlib import Path

from support import small_bank

from actorium.simulation import Faults, Outcome, RunOptions, run, simulation
from actorium.simulation.search.exhaustive import crash_steps, exhaust
from actorium.simulation.search.place import ScenarioPlace
from actorium.simulation.world.faults import CrashAt

FILE = str(Path(__file__).resolve().parents[2] / "support" / "small_bank.py")
PLAIN = RunOptions(seed=0, faults=Faults.none(), only=frozenset(), reorder=False, remember=True)


def crashed(at: CrashAt) -> Outcome:
    return run(
        small_bank.one_deposit.scenario,
        RunOptions(seed=0, faults=Faults.none(), only=frozenset(), crash_at=at, reorder=False),
    )


def told(outcome: Outcome) -> list[str]:
    """What is visible of a run: the commits and the clients' answers, without times."""
    return [line.text for line in outcome.trace if line.mark in ("committed", "answered", "sent")]


def test_steps_of_one_class_leave_the_same_state_behind() -> None:
    plain = run(small_bank.one_deposit.scenario, PLAIN)
    classes = [at.step for at in crash_steps(plain)]
    every = [at.step for at in crash_steps(plain, every_step=True)]
    assert every == list(range(1, plain.lives[0].step + 1))
    assert len(classes) < len(every) / 2
    expected: list[str] = []
    for step in every:
        outcome = crashed(CrashAt("node1", 1, step))
        assert outcome.violation is None
        if step in classes:
            expected = told(outcome)
        assert told(outcome) == expected, f"the crash before step {step} is not like the one its class begins with"


def test_every_fault_is_run_with_every_crash() -> None:
    coverage = exhaust(ScenarioPlace(FILE, "one_deposit"), jobs=2)
    assert coverage.failures == []
    assert coverage.is_complete
    assert coverage.faults > 20
    assert coverage.runs == coverage.faults + coverage.classes
    assert coverage.classes < coverage.steps


def test_a_bug_that_needs_a_fault_and_a_crash_is_found_and_reproducible() -> None:
    coverage = exhaust(small_bank.restarted_at_most_once, stop_after=1)
    found = coverage.failures[0]
    assert not coverage.is_complete
    assert found.fault is not None
    assert found.crash_at is not None
    assert (
        run(small_bank.restarted_at_most_once.scenario, found.options(small_bank.restarted_at_most_once, 0)).violation
        == found.violation
    )


def test_ctrl_c_ends_it_after_the_current_fault() -> None:
    coverage = exhaust(small_bank.one_deposit, progress=lambda coverage: signal.raise_signal(signal.SIGINT))
    assert coverage.is_cut_short
    assert coverage.faults_run == 1


def test_a_run_may_take_as_many_steps_as_its_simulation_says() -> None:
    short = simulation(steps_max=10, faults=Faults.none())(small_bank.one_deposit.scenario)
    found = exhaust(short).failures[0]
    assert found.violation.invariant == "the run ends"
    assert "after 10 steps" in found.violation.actual
