"""Simulations as pytest tests: collected automatically, failing with a story, at no cost to other runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

SCENARIOS = """
import pytest
from actorium import Aggregate, Command, Event, decide, evolve
from actorium.simulation import Faults, Kind, World, simulation


class Add(Command):
    amount: int


class Added(Event):
    amount: int


class Sum(Aggregate):
    amount: int = 0

    @decide
    def add(self, command: Add) -> Added:
        return Added(command.amount)

    @evolve
    def added(self, event: Added) -> None:
        self.amount += event.amount


def total(view):
    return sum(one.amount for one in view.all(Sum))


@simulation(seeds=3)
async def every_sum_is_kept(world: World) -> None:
    sums = world.runtime([Sum])
    for _ in range(2):
        await sums.send(Add("a", 1))
    world.always("nothing is lost", lambda view: total(view) == 2)


@pytest.mark.slow
@simulation(seeds=50, faults=Faults.only(Kind.CRASH_AFTER_COMMIT, rate=0.2))
async def counts_its_attempts(world: World) -> None:
    sums = world.runtime([Sum])
    world.always("at most 2", lambda view: total(view) <= 2)
    for number in range(4):
        await sums.send(Add("a", 1))
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with two simulations beside an ordinary test; the second always breaks its invariant."""
    pytester.makeini("[pytest]\nmarkers = slow: takes long\naddopts = --strict-markers -p actorium_pytest")
    pytester.makepyfile(test_sums=f"{SCENARIOS}\n\ndef test_ordinary():\n    assert True\n")
    return pytester


def test_simulations_are_collected_without_changes(project: pytest.Pytester) -> None:
    result = project.runpytest_subprocess("--collect-only", "-q")
    result.stdout.fnmatch_lines(
        ["test_sums.py::every_sum_is_kept", "test_sums.py::counts_its_attempts", "test_sums.py::test_ordinary"]
    )


def test_an_imported_simulation_is_not_a_test(project: pytest.Pytester) -> None:
    project.makepyfile(test_more="from test_sums import counts_its_attempts\n\ndef test_more():\n    pass\n")
    found = project.runpytest_subprocess("--collect-only", "-q", "test_more.py")
    assert [line for line in found.outlines if "::" in line] == ["test_more.py::test_more"]


def test_a_passing_simulation_passes_and_a_failing_one_tells_its_story(project: pytest.Pytester) -> None:
    result = project.runpytest_subprocess("--simulation-seeds", "2")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "at most 2: broken by seed 0, after 1 seed",
            "  expected  to hold after every commit",
            "  found     after position *: it does not hold",
            "seed 0 → 3 commands (Add a*), no fault, found in Sum.add",
            "replay seed:   actorium simulate test_sums.py --only counts_its_attempts --replay 0",
            "replay story:  actorium simulate test_sums.py --only counts_its_attempts --story *",
        ]
    )


def test_an_unrepeatable_seed_is_reported_with_the_audit_command(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\naddopts = -p actorium_pytest")
    capricious = """
names = iter("abc")

@simulation(seeds=1, faults=Faults.none())
async def capricious(world: World) -> None:
    sums = world.runtime([Sum])
    await sums.send(Add(next(names), 1))
    world.always("nothing is added", lambda view: total(view) == 0)
"""
    pytester.makepyfile(test_sums=SCENARIOS.replace("@pytest.mark.slow", "") + capricious)
    result = pytester.runpytest_subprocess("-k", "capricious")
    result.stdout.fnmatch_lines(
        [
            "nothing is added: broken by seed 0",
            "  expected  to hold after every commit",
            "  found     after position *: it does not hold",
            "this seed behaved differently when it was run again*",
            "audit code:    actorium simulate test_sums.py --only capricious --audit",
        ]
    )


def test_marks_and_options_apply_to_simulations(project: pytest.Pytester) -> None:
    project.runpytest_subprocess("-m", "not slow").assert_outcomes(passed=2, deselected=1)
    project.runpytest_subprocess(
        "-k", "every_sum", "--simulation-from", "7", "--simulation-rate", "0.1"
    ).assert_outcomes(passed=1, deselected=2)


def test_the_command_of_a_story_reproduces_the_failure(project: pytest.Pytester) -> None:
    result = project.runpytest_subprocess("-k", "counts")
    # Where CI is set, pytest's summary shows the whole message once more.
    (line,) = {line for line in result.stdout.lines if line.startswith("replay story:")}
    words = line.partition("simulate ")[2].split()
    replayed = project.run(sys.executable, "-m", "actorium", "simulate", *words)
    assert replayed.ret == 1
    replayed.stdout.fnmatch_lines(["*VIOLATED: at most 2"])


def test_numbers_out_of_range_are_rejected(project: pytest.Pytester) -> None:
    for words in (["--simulation-seeds", "0"], ["--simulation-from", "-1"], ["--simulation-rate", "7"]):
        result = project.runpytest_subprocess(*words)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([f"*argument {words[0]}: invalid number from * value: *"])


def test_ctrl_c_ends_the_run_without_passing_tests(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\naddopts = -p actorium_pytest")
    pressed = SCENARIOS.replace("@pytest.mark.slow", "").replace(
        "    for _ in range(2):", "    import signal\n    signal.raise_signal(signal.SIGINT)\n    for _ in range(2):"
    )
    pytester.makepyfile(test_sums=pressed)
    result = pytester.runpytest_subprocess()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert "passed" not in result.outlines[-1]


def test_a_simulation_that_tries_nothing_fails(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\naddopts = -p actorium_pytest")
    idle = "@simulation(seeds=1)\nasync def idle(world):\n    world.runtime([Sum])\n"
    pytester.makepyfile(f"{SCENARIOS.replace('@pytest.mark.slow', '')}\n\n{idle}")
    result = pytester.runpytest_subprocess("-k", "idle")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*nothing was tried*"])


def test_a_run_without_simulations_imports_nothing_of_the_package(tmp_path: Path) -> None:
    plain = "import sys\n\ndef test_it():\n    assert not {'actorium', 'apsw'} & set(sys.modules)\n"
    (tmp_path / "test_plain.py").write_text(plain, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "actorium_pytest", "-p", "no:cacheprovider", str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stdout
