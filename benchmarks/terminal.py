"""A report on the terminal: what was measured, beside what, what failed, what did not run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from actorium.benchmarks.caption import describe, warnings
from actorium.benchmarks.catalog import CATALOG
from actorium.benchmarks.compare import Comparison
from actorium.benchmarks.ratios import ratios
from actorium.benchmarks.report import Report, Result
from actorium.benchmarks.suite import Suite
from actorium.benchmarks.words import LATENCIES, amount, half_spread, number, others

_PLAIN_WIDTH = 160  # of a table in a file or a pipe
_WIDE = 130  # from here on there is room for every figure in one table
_STYLES = {"faster": "green", "slower": "red"}


class Terminal:
    """Standard output; a moving bar only where somebody sees it move."""

    def __init__(self, console: Console | None = None) -> None:
        self._out = console or Console(highlight=False, markup=False, emoji=False)
        if not self._out.is_terminal:
            self._out.width = max(self._out.width, _PLAIN_WIDTH)

    def say(self, text: str = "", style: str | None = None) -> None:
        """Print a line."""
        self._out.print(text, style=style, soft_wrap=True)

    def scenarios(self) -> None:
        """Print which scenarios there are."""
        table = self._table("scenario", "whose", "stores", "question")
        for scenario in CATALOG:
            needs = f" (needs {scenario.needs})" if scenario.needs else ""
            table.add_row(scenario.name, scenario.subject, " ".join(scenario.stores), scenario.question + needs)
        self._out.print(table)

    @contextmanager
    def measuring(self, suite: Suite) -> Iterator[_Bar]:
        """Show how far a suite is."""
        if not self._out.is_terminal:
            yield _Bar(None)
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._out, transient=True) as progress:
            yield _Bar(progress, suite.runs)

    def report(self, report: Report) -> None:
        """Print everything that a report holds."""
        self.say(describe(report.environment))
        self.say(f"{report.began}, {report.rounds} rounds, interleaved{', --quick' if report.quick else ''}")
        for warning in warnings(report):
            self.say(warning, style="yellow")
        self._results(report.results)
        self._ratios(report)
        if report.not_run:
            self.say("Not run", style="bold")
            for why in dict.fromkeys(one.why for one in report.not_run):
                names = [f"{one.scenario} ({one.store})" for one in report.not_run if one.why == why]
                self.say(f"  {', '.join(names)}: {why}")
        for failure in report.failures:
            self.say(f"WRONG {failure}", style="bold red")

    def comparison(self, lines: Sequence[Comparison], differences: Sequence[str]) -> None:
        """Print what became faster or slower."""
        self.say("Then and now", style="bold")
        for difference in differences:
            self.say(f"  not the same machine: {difference}", style="yellow")
        table = self._table("scenario", "store", "then", "now", "ratio", "verdict", right=(2, 3, 4))
        for one in lines:
            verdict = one.verdict + (f" ({one.why})" if one.why else "")
            cells = (amount(one.figure, one.old), amount(one.figure, one.new), f"{one.ratio:.2f}", verdict)
            table.add_row(one.scenario, one.store, *cells, style=_STYLES.get(one.verdict))
        self._out.print(table)

    def _results(self, results: Sequence[Result]) -> None:
        is_wide = self._out.width >= _WIDE
        columns = ("scenario", "store", "median", "±", "p50", "p99", "p99.9", "max", *(("also",) if is_wide else ()))
        table = self._table(*columns, right=range(2, 8))
        also = self._table("scenario", "store", "also")
        for result in [one for one in results if one.runs]:
            headline = result.headline
            latencies = [result.median(name) for name in LATENCIES]
            more = others(result, headline)
            table.add_row(
                result.scenario,
                result.store,
                amount(headline, result.median(headline) or 0.0),
                half_spread(result.values(headline)),
                *("" if value is None else number(value) for value in latencies),
                *((more,) if is_wide else ()),
            )
            also.add_row(result.scenario, result.store, more)
        self.say("Medians with half of their spread; latencies in ms", style="bold")
        self._out.print(table)
        if not is_wide:
            self._out.print(also)

    def _ratios(self, report: Report) -> None:
        lines = ratios(report)
        if not lines:
            return
        self.say("Beside each other and the same work elsewhere (ratios of medians)", style="bold")
        table = self._table("work", "store", "first", "second", "ratio", right=(2, 3, 4))
        for line in lines:
            table.add_row(line.title, line.store, number(line.first), number(line.second), f"{line.ratio:.2f}")
        self._out.print(table)

    def _table(self, *columns: str, right: Sequence[int] = ()) -> Table:
        table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1))
        for number_of, column in enumerate(columns):
            last = number_of == len(columns) - 1
            table.add_column(column, justify="right" if number_of in right else "left", no_wrap=not last)
        return table


class _Bar:
    """The place where a suite says how far it is."""

    def __init__(self, progress: Progress | None, total: int = 0) -> None:
        self._progress = progress
        self._task = None if progress is None else progress.add_task("", total=total)

    def __call__(self, done: int, what: str) -> None:
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done, description=what)
