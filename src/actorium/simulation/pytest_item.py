"""`SimulationItem`: a simulation as a pytest test, created by `actorium_pytest`."""

from __future__ import annotations

import inspect
import os
import shlex
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark.structures import get_unpacked_marks

from actorium.simulation.record.violation import Violation
from actorium.simulation.reports.report import failure_report
from actorium.simulation.reports.verdict import Failure, judge
from actorium.simulation.search.campaign import SeedResult
from actorium.simulation.search.decorator import Simulation
from actorium.simulation.words import NOTHING_TRIED, UNREPEATABLE, UNSTEADY_STORY
from actorium.simulation.world.faults import Faults
from actorium.store.wording import counted


class InvariantBroken(AssertionError):
    """A seed broke an invariant; the message tells the story."""


class SimulationItem(pytest.Item):
    """Runs the seeds of one simulation; fails with the story of the first seed that breaks an invariant."""

    def __init__(self, *, simulation: Simulation, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._simulation = simulation
        for marked in (simulation, simulation.scenario):
            for mark in get_unpacked_marks(marked, consider_mro=False):
                self.add_marker(
                    mark.name if not (mark.args or mark.kwargs) else pytest.MarkDecorator(mark, _ispytest=True)
                )

    def runtest(self) -> None:
        """Run the seeds; raise InvariantBroken if one fails."""
        option = self.config.option
        rate: float | None = option.simulation_rate
        verdict = judge(
            self._simulation,
            seeds=option.simulation_seeds,
            first=option.simulation_from,
            faults=None if rate is None else Faults.all(rate=rate),
        )
        if verdict.tally.is_cut_short:
            raise KeyboardInterrupt
        if verdict.failure is not None:
            raise InvariantBroken(self._failure_text(verdict.failure, verdict.tally.seeds))
        if verdict.unrepeatable is not None:
            raise InvariantBroken(self._unrepeatable_text(verdict.unrepeatable))
        if not verdict.tally.operations and not verdict.tally.events:
            raise InvariantBroken(NOTHING_TRIED)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *args: Any) -> Any:
        """Show a broken invariant without a traceback: the traceback of a check does not show the cause."""
        if isinstance(excinfo.value, InvariantBroken):
            return str(excinfo.value)
        return super().repr_failure(excinfo, *args)

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        """Return the location of the scenario."""
        return self.path, inspect.unwrap(self._simulation.scenario).__code__.co_firstlineno - 1, self.name

    def _command(self) -> str:
        file = shlex.quote(os.path.relpath(self.path, Path.cwd()))
        rate = self.config.option.simulation_rate
        words = f"actorium simulate {file} --only {self._simulation.name}"
        return words if rate is None else f"{words} --rate {rate}"

    def _unrepeatable_text(self, result: SeedResult) -> str:
        violation = result.violation
        assert violation is not None
        return _text(
            f"{violation.invariant}: broken by seed {result.seed}",
            violation,
            UNREPEATABLE,
            f"audit code:    {self._command()} --audit",
        )

    def _failure_text(self, failure: Failure, seeds: int) -> str:
        report = failure_report(failure, self._command())
        return _text(
            f"{report.violation.invariant}: broken by seed {report.seed}, after {counted(seeds, 'seed')}",
            report.found,
            report.smallest,
            f"  {report.how_shrunk}",
            *([] if report.is_repeatable else [UNSTEADY_STORY, f"audit code:    {self._command()} --audit"]),
            f"replay seed:   {report.replay}",
            f"replay story:  {report.replay_smallest}",
        )


def _text(broken: str, found: Violation, *more: str) -> str:
    """Return the text of a failure: what was expected, what was found, and how to investigate."""
    return "\n".join((broken, f"  expected  {found.expected}", f"  found     {found.actual}", *more))
