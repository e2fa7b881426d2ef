"""What `actorium simulate` prints: the figures of a simulation, a failure, and the steps of one run."""

from __future__ import annotations

from actorium.commands.screen import Screen
from actorium.simulation.record.trace import TraceLine, TraceMark
from actorium.simulation.record.violation import Violation
from actorium.simulation.reports.report import FailureReport, SimulationReport
from actorium.simulation.reports.story import story, token_of
from actorium.simulation.search.campaign import SeedResult
from actorium.simulation.search.exhaustive import Coverage
from actorium.simulation.search.run import Outcome
from actorium.simulation.words import UNREPEATABLE, UNSTEADY_STORY, duration
from actorium.store.wording import counted

_STYLES = {
    TraceMark.FAULT: "yellow",
    TraceMark.CRASHED: "yellow",
    TraceMark.VIOLATED: "bold red",
    TraceMark.CALM: "dim",
}
_COMMAND_MAX = 4_000


def say_simulation(screen: Screen, report: SimulationReport) -> None:
    """Print what the seeds of a simulation came to."""
    faults = sum(report.faults.values())
    faster = f", {report.simulated_s / report.elapsed_s:,.0f} times real time" if report.elapsed_s else ""
    screen.say(
        f"  {counted(report.seeds, 'seed')} in {duration(report.elapsed_s)}: {report.seeds_per_minute:,} per minute, "
        f"in {counted(report.jobs, 'process', 'processes')}, "
        f"with store {report.store}"
    )
    screen.say(f"  {duration(report.simulated_s)} simulated{faster}")
    screen.say(
        f"  {counted(report.operations, 'command')}, {counted(report.events, 'event')}, {counted(report.steps, 'step')}"
    )
    screen.say(f"  {counted(faults, 'fault')}, {faults / max(report.seeds, 1):.1f} per seed")
    for kind, count in report.faults.items():
        screen.say(f"    {count:9,}  {kind}")
    if report.failure is not None:
        say_failure(screen, report.failure, report.audit)
    elif report.unrepeatable is not None:
        say_unrepeatable(screen, report.unrepeatable, report.audit)
    elif not report.is_cut_short:
        screen.say("  every invariant held", style="green")


def say_unrepeatable(screen: Screen, result: SeedResult, audit: str) -> None:
    """Print what broke in a run that nobody can have again, and how to find out why."""
    violation = result.violation
    assert violation is not None
    screen.say()
    _say_violation(screen, f"  VIOLATED with seed {result.seed}: ", violation)
    screen.say(f"  {UNREPEATABLE}", style="bold")
    screen.say(f"  audit code:    {audit}")


def _say_violation(screen: Screen, head: str, violation: Violation) -> None:
    """Print what broke, behind a head whose indentation the lines below it take up."""
    indent = " " * (len(head) - len(head.lstrip()) + 2)
    screen.say(f"{head}{violation.invariant}", style="bold red")
    screen.say(f"{indent}expected  {violation.expected}")
    screen.say(f"{indent}found     {violation.actual}")


def say_failure(screen: Screen, failure: FailureReport, audit: str) -> None:
    """Print a failure: what broke, the smallest story of it, and how to see both again."""
    screen.say()
    _say_violation(screen, f"  VIOLATED with seed {failure.seed}: ", failure.found)
    screen.say(f"  {failure.smallest}", style="bold")
    screen.say(f"    shrunk from {failure.story.partition(' → ')[2]}")
    screen.say(f"    {failure.how_shrunk}")
    if not failure.is_repeatable:
        screen.say(f"  {UNSTEADY_STORY}")
        screen.say(f"  audit code:    {audit}")
    screen.say(f"  replay seed:   {failure.replay}")
    if len(failure.replay_smallest) <= _COMMAND_MAX:  # no shell takes much more, and no person
        screen.say(f"  replay story:  {failure.replay_smallest}")


def say_coverage(screen: Screen, coverage: Coverage) -> None:
    """Print how much of a scenario's faults and crashes were tried."""
    part = coverage.faults_run / coverage.faults
    screen.say(
        f"  {coverage.faults_run:,} of {coverage.faults:,} runs with at most one fault ({part:.0%}); "
        f"with a crash added to each: {counted(coverage.classes, 'crash', 'crashes')}, "
        f"which represent {counted(coverage.steps, 'step')}"
    )
    screen.say(f"  {counted(coverage.runs, 'run')} in {duration(coverage.elapsed_s)}")
    if not coverage.failures and coverage.is_complete:
        screen.say("  every invariant held", style="green")


def say_counterexample(screen: Screen, outcome: Outcome, command: str) -> None:
    """Print a run that broke an invariant."""
    violation = outcome.violation
    assert violation is not None
    screen.say()
    _say_violation(screen, "  VIOLATED: ", violation)
    screen.say(f"  {story(outcome)}", style="bold")
    screen.say(f"  replay story:  {command} --story {token_of(outcome.options)}")


def say_line(screen: Screen, line: TraceLine) -> None:
    """Print a line of a run; a fault, or what it broke, is marked."""
    mark = "!" if line.mark in (TraceMark.FAULT, TraceMark.CRASHED, TraceMark.VIOLATED) else " "
    screen.say(f"{mark} {line}", style=_STYLES.get(line.mark))


def say_end(screen: Screen, outcome: Outcome) -> None:
    """Print what a run came to."""
    screen.say()
    screen.say(f"{story(outcome)}", style="bold")
    screen.say(
        f"{duration(outcome.simulated_s)} simulated, {counted(outcome.steps, 'step')}, "
        f"{counted(outcome.events, 'event')}, trace {outcome.fingerprint():08x}"
    )
    if outcome.violation is None:
        screen.say("every invariant held", style="green")
    else:
        _say_violation(screen, "VIOLATED: ", outcome.violation)
