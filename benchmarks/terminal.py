"""A report on the terminal: all figures first, the comparisons with alternatives last, where the reader looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from actorium.benchmarks.catalog import CATALOG
from actorium.benchmarks.ratios import fronts, ratios
from actorium.benchmarks.report import BenchmarkReport, Result
from actorium.benchmarks.reports.caption import describe, peers_missing, warnings, when
from actorium.benchmarks.reports.compare import Comparison, summary
from actorium.benchmarks.reports.words import (
    LATENCIES,
    also,
    amount,
    half_spread,
    headline,
    number,
    times,
    times_span,
    title,
)
from actorium.benchmarks.scenario import STORE_TITLES, SURVIVES
from actorium.benchmarks.suite import Suite

_PLAIN_WIDTH = 160  # of a table in a file or a pipe
_PLAIN_LINES = 10  # without a terminal, the progress is shown in this many lines
_WIDE = 130  # at this width all figures fit into one table
_LATENCIES_IF_NARROW = ("p50_ms", "p99_ms", "max_ms")
# Headings over the first table only: all tables have the same columns.
_FRONT_COLUMNS = (("", 35), ("per second", 10), ("actorium", 8), ("range over rounds", 17))
_STYLES = {"faster": "green", "slower": "red", "over the limit": "bold red"}


class Terminal:
    """Prints a report to standard output, and progress to standard error, with a moving bar on a terminal."""

    def __init__(self, console: Console | None = None) -> None:
        self._out = console or Console(highlight=False, markup=False, emoji=False)
        self._err = Console(highlight=False, markup=False, emoji=False, stderr=True)
        if not self._out.is_terminal:
            self._out.width = max(self._out.width, _PLAIN_WIDTH)

    def say(self, text: str = "", style: str | None = None) -> None:
        """Print a line."""
        self._out.print(text, style=style, soft_wrap=True)

    def scenarios(self) -> None:
        """Print the list of scenarios."""
        table = self._table("scenario", "subject", "stores", "question")
        for scenario in CATALOG:
            needs = f" (needs {scenario.needs})" if scenario.needs else ""
            asked = scenario.asked(scenario.sizes) + needs
            table.add_row(scenario.name, scenario.subject, " ".join(scenario.stores), asked)
        self._out.print(table)

    @contextmanager
    def measuring(self, suite: Suite, *, is_disturbed: bool) -> Iterator[Callable[[int, str], None]]:
        """Print what the user should know first, and show the progress of a suite."""
        for warning in warnings(msgspec.structs.replace(suite.report(), disturbed=is_disturbed)):
            self._err.print(warning, style="yellow", soft_wrap=True)
        if not self._err.is_terminal:
            yield partial(self._plain_progress, suite.runs)
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._err, transient=True) as progress:
            task = progress.add_task("", total=suite.runs)
            yield lambda done, what: progress.update(task, completed=done, description=what)

    def _plain_progress(self, runs: int, done: int, what: str) -> None:
        if done * _PLAIN_LINES // runs != (done - 1) * _PLAIN_LINES // runs:
            self._err.print(f"{done} of up to {runs} runs done; next: {what}", soft_wrap=True)

    def report(self, report: BenchmarkReport) -> None:
        """Print a whole report."""
        self._results(report.results)
        self._ratios(report)
        self._not_run(report)
        self._fronts(report)
        self.say(describe(report.environment))
        self.say(when(report))
        for warning in warnings(report):
            self.say(warning, style="yellow")
        for failure in report.failures:
            self.say(f"WRONG {failure}", style="bold red")

    def comparison(self, lines: Sequence[Comparison], differences: Sequence[str]) -> None:
        """Print what became faster or slower."""
        self.say("Before and after", style="bold")
        for difference in differences:
            self.say(f"  {difference}", style="yellow")
        if not lines:
            self.say("  no scenario was measured on the same store both times")
            return
        table = self._table("scenario", "store", "then", "now", "now / then", "verdict", right=(2, 3, 4))
        for one in lines:
            verdict = one.verdict + (f" ({one.why})" if one.why else "")
            cells = (
                headline(one.figure, one.old),
                headline(one.figure, one.new),
                f"{one.ratio:.2f}" if one.ratio else "",
                verdict,
            )
            table.add_row(one.scenario, one.store, *cells, style=_STYLES.get(one.verdict))
        self._out.print(table)
        for line in summary(lines):
            self.say(f"  {line}")

    def _results(self, results: Sequence[Result]) -> None:
        if not any(one.runs for one in results):
            return
        is_wide = self._out.width >= _WIDE
        latencies = LATENCIES if is_wide else _LATENCIES_IF_NARROW
        columns = ("scenario", "store", "median", "±", *(title(name) for name in latencies))
        table = self._table(*columns, *(("other figures",) if is_wide else ()), right=range(2, len(columns)))
        narrow = self._table("scenario", "store", "other figures")
        for result in [one for one in results if one.runs]:
            figure, medians = result.headline, [result.median(name) for name in latencies]
            table.add_row(
                result.scenario,
                result.store,
                (headline if is_wide else amount)(figure, result.median(figure) or 0.0),
                half_spread(result.values(figure)),
                *("" if median is None else number(median) for median in medians),
                *((also(result),) if is_wide else ()),
            )
            if more := also(result):
                narrow.add_row(result.scenario, result.store, more)
        self.say("All figures: medians, ± half the spread of the rounds, latencies in ms", style="bold")
        self._out.print(table)
        if not is_wide:
            self._out.print(narrow)

    def _ratios(self, report: BenchmarkReport) -> None:
        lines = [line for line in ratios(report) if line.is_among_ours]
        if not lines:
            return
        self.say("Scenarios compared with each other: ratios of medians", style="bold")
        table = self._table("scenario", "compared with", "store", "first", "second", "ratio", right=(3, 4, 5))
        for line in lines:
            cells = (number(line.first), number(line.second), times(line.ratio))
            table.add_row(line.name, line.other, line.store, *cells)
        self._out.print(table)

    def _not_run(self, report: BenchmarkReport) -> None:
        if not report.not_run:
            return
        self.say("Not run", style="bold")
        for why in dict.fromkeys(one.why for one in report.not_run):
            names = [f"{one.scenario} ({one.store})" for one in report.not_run if one.why == why]
            self.say(f"  {', '.join(names)}: {why}")
        self.say()

    def _fronts(self, report: BenchmarkReport) -> None:
        found = fronts(report)
        if not found:
            return
        self.say("Compared with the alternatives: commands per second, medians of the rounds", style="bold")
        for store, group in groupby(found, key=lambda front: front.ours.store):
            self.say(f"\n {STORE_TITLES[store]}: {SURVIVES[store]}")
            table = Table(box=None, show_header=store == found[0].ours.store, padding=(0, 2, 0, 0), header_style="")
            for head, width in _FRONT_COLUMNS:
                table.add_column(head, justify="right" if head else "left", no_wrap=True, min_width=width)
            for front in group:
                ours = front.ours
                name = f"actorium, {ours.scenario.replace('-', ' ')}"
                table.add_row(name, number(ours.median(ours.headline) or 0.0), style="bold")
                for one in front.ratios:
                    span = times_span(one.low, one.high)
                    table.add_row(f"  {one.label}", number(one.second), times(one.ratio), span)
            self._out.print(table)
        self.say("\n × is how many times as many commands actorium executes\n", style="dim")
        for why in peers_missing(report):
            self.say(f"  {why}", style="yellow")

    def _table(self, *columns: str, right: Sequence[int] = ()) -> Table:
        table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1))
        for number_of, column in enumerate(columns):
            last = number_of == len(columns) - 1
            table.add_column(column, justify="right" if number_of in right else "left", no_wrap=not last)
        return table
