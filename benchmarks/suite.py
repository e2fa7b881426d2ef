"""`Suite`: the runs and their order; each in a fresh process, interleaved by rounds."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from actorium.benchmarks.child import OUTCOME, PROFILE, Job, JobOutcome
from actorium.benchmarks.databases import Databases, ServerPlace
from actorium.benchmarks.measuring.environment import look_around
from actorium.benchmarks.ratios import is_in_front
from actorium.benchmarks.report import BenchmarkReport, NotRun, Result, Run
from actorium.benchmarks.scenario import IN_PROCESS, Scenario, Sizes, StoreName

QUICK_S = 53.0  # no run that would likely end later is started, so that --quick takes at most a minute
_QUICK_RUN_S_MAX = 20.0
QUICK_ROUNDS = 3
ROUNDS = 3
_RUN_S_MAX = 600.0
_LINES_OF_A_FAILURE = 30
_FULL_BYTES = 1_000_000  # a disk with less free space counts as full
_ENDED_IN_TIME_S = 5.0

SERVER_SETTINGS = {"shared_buffers": "'256MB'", "max_wal_size": "'4GB'"}
"""Those in which a server of the suite differs from the defaults, apart from its address: a server as people run it
keeps a log of this size in memory."""


class SuitePlan(NamedTuple):
    """What to measure.

    stores: none means all stores of a scenario that need no server, or its `quick` ones.
    folder: the folder of the databases.
    profiles: the folder for call trees, if requested.
    postgresql: the URL of a server for the runs on PostgreSQL; if empty, the suite starts one.
    """

    scenarios: Sequence[Scenario]
    stores: Sequence[StoreName] = ()
    rounds: int = ROUNDS
    quick: bool = False
    folder: Path | None = None
    profiles: Path | None = None
    postgresql: str = ""


class _Case(NamedTuple):
    scenario: Scenario
    store: StoreName
    sizes: Sizes


class Suite:
    """Runs a plan; `report` is the result so far, at any time."""

    def __init__(self, plan: SuitePlan, *, measure: Callable[[Job, Path], JobOutcome] | None = None) -> None:
        self._plan = plan
        self._measure = measure or run_job
        self._not_run: list[NotRun] = []
        self._cases = list(self._select())
        self._outcomes: dict[tuple[str, StoreName], list[JobOutcome]] = {}
        self._took_s: dict[tuple[str, StoreName], float] = {}
        self._began = datetime.now(UTC).isoformat(timespec="seconds")
        self._ends = time.monotonic() + (QUICK_S if plan.quick else float("inf"))
        self._interrupted = False
        with tempfile.TemporaryDirectory(prefix="actorium-bench-", dir=plan.folder) as folder:
            self._environment = look_around(Path(folder))

    @property
    def runs(self) -> int:
        """The number of runs."""
        return len(self._cases) * self._plan.rounds

    def run(self, on_progress: Callable[[int, str], None]) -> BenchmarkReport:
        """Make all runs, calling `on_progress(done, what)` before each; KeyboardInterrupt ends the suite early."""
        try:
            with (
                tempfile.TemporaryDirectory(prefix="actorium-bench-", dir=self._plan.folder) as folder,
                self._server() as server,
            ):
                self._run_all(Path(folder), server, on_progress)
        except KeyboardInterrupt:
            self._interrupted = True
        return self.report()

    @contextmanager
    def _server(self) -> Iterator[ServerPlace | None]:
        """Yield the server of the runs on PostgreSQL, and leave no database there; None if there are no such runs."""
        if all(case.store != "postgresql" for case in self._cases):
            yield None
            return
        prefix = f"actorium_bench_{os.getpid()}_"
        if not self._plan.postgresql:
            from actorium.testing.postgresql.server import own_server  # it needs a POSIX system

            with own_server(self._plan.folder, **SERVER_SETTINGS) as server:
                assert server.process is not None
                yield ServerPlace(server.url(), server.process.pid, prefix)
            return
        place = ServerPlace(self._plan.postgresql, 0, prefix)
        try:
            yield place
        finally:
            asyncio.run(Databases(place).drop_all())

    def _run_all(self, folder: Path, server: ServerPlace | None, on_progress: Callable[[int, str], None]) -> None:
        shared = folder / "shared"
        shared.mkdir()
        done = 0
        for number, cases in self._order():
            for case in cases:
                on_progress(done, f"{case.scenario.name} on {case.store}")
                done += 1
                self._run_one(case, number, folder, shared, server if case.store == "postgresql" else None)

    def _order(self) -> Iterator[tuple[int, list[_Case]]]:
        """Yield the rounds, each in a different order.

        With --quick there is rarely time for all. The main scenarios come first in the first round, and get all their
        rounds before the others get their second.
        """
        rounds = range(self._plan.rounds)
        if not self._plan.quick:
            for number in rounds:
                yield number, self._shuffled(self._cases, number)
            return
        front = [case for case in self._cases if is_in_front(case.scenario, case.store)]
        others = [case for case in self._cases if case not in front]
        yield 0, self._shuffled(front, 0) + self._shuffled(others, 0)
        for number in rounds[1:]:
            yield number, self._shuffled(front, number)
        for number in rounds[1:]:
            yield number, self._shuffled(others, number)

    @staticmethod
    def _shuffled(cases: Sequence[_Case], number: int) -> list[_Case]:
        return random.Random(number).sample(cases, len(cases))

    def _run_one(self, case: _Case, number: int, folder: Path, shared: Path, server: ServerPlace | None) -> None:
        key = (case.scenario.name, case.store)
        began = time.monotonic()
        longest_s = max(self._took_s.values(), default=0.0)  # a run without a known duration may take as long as any
        if began + self._took_s.get(key, longest_s) > self._ends:
            return
        limit_s = _QUICK_RUN_S_MAX if self._plan.quick else _RUN_S_MAX
        job = Job(*key, dict(case.sizes), str(shared), number, self._plan.profiles is not None, limit_s, server)
        try:
            with tempfile.TemporaryDirectory(prefix="run-", dir=folder) as own:
                outcome = self._measure(job, Path(own))
                self._keep_profile(key, Path(own) / PROFILE)
        except OSError as error:  # most likely a full disk: the earlier rounds still count
            outcome = JobOutcome(wrong=str(error))
        self._outcomes.setdefault(key, []).append(outcome)
        self._took_s[key] = max(self._took_s.get(key, 0.0), time.monotonic() - began)

    def _keep_profile(self, key: tuple[str, StoreName], path: Path) -> None:
        if self._plan.profiles is not None and path.exists():
            (self._plan.profiles / f"{key[0]}-{key[1]}.html").write_bytes(path.read_bytes())

    def _select(self) -> list[_Case]:
        cases = []
        for scenario in self._plan.scenarios:
            sizes = scenario.quick if self._plan.quick else scenario.sizes
            usual = scenario.quick_stores if self._plan.quick else IN_PROCESS
            for store in [store for store in scenario.stores if store in (self._plan.stores or usual)]:
                if scenario.needs and importlib.util.find_spec(scenario.needs) is None:
                    why = f"{scenario.needs} is not installed: pip install {scenario.needs_from}"
                    self._not_run.append(NotRun(scenario.name, store, why))
                elif sizes is None:
                    self._not_run.append(NotRun(scenario.name, store, "not part of --quick"))
                else:
                    cases.append(_Case(scenario, store, sizes))
        return cases

    def report(self) -> BenchmarkReport:
        """Return the results so far."""
        results, not_run = [], list(self._not_run)
        for scenario, store, sizes in self._cases:
            outcomes = self._outcomes.get((scenario.name, store), [])
            if not outcomes:
                why = "stopped before its turn" if self._interrupted else "no time left"
                not_run.append(NotRun(scenario.name, store, why))
                continue
            right = [one for one in outcomes if not one.wrong]
            results.append(
                Result(
                    scenario=scenario.name,
                    store=store,
                    subject=scenario.subject,
                    headline=scenario.headline,
                    sizes=dict(sizes),
                    durability=right[0].durability if right else "",
                    runs=[Run(one.figures, one.latencies) for one in right],
                    failures=[one.wrong for one in outcomes if one.wrong],
                )
            )
        return BenchmarkReport(
            began=self._began,
            quick=self._plan.quick,
            rounds=max((len(result.runs) for result in results), default=0),
            interrupted=self._interrupted,
            environment=self._environment,
            results=results,
            not_run=not_run,
        )


def run_job(job: Job, folder: Path) -> JobOutcome:
    """Make one run in a separate process, and kill that process and its children however the run ends."""
    path = folder / "job.json"
    path.write_bytes(msgspec.json.encode(job))
    errors = folder / "stderr.txt"
    command = [sys.executable, "-m", "actorium.benchmarks.child", str(path)]
    with open(errors, "wb") as sink:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, start_new_session=True)
        try:
            code = process.wait(job.limit_s)
        except subprocess.TimeoutExpired:
            return JobOutcome(wrong=f"not finished after {job.limit_s:.0f} s")
        finally:
            _take_down(process)
    if code or not (folder / OUTCOME).exists():
        said = errors.read_text(encoding="utf-8", errors="replace")
        return JobOutcome(wrong=_last_words(code, said, shutil.disk_usage(folder).free))
    return msgspec.json.decode((folder / OUTCOME).read_bytes(), type=JobOutcome)


def _last_words(code: int, said: str, free_bytes: int) -> str:
    """Return in one line why a run failed, followed by its output, the last line first."""
    lines = said.strip().splitlines() or ["no output"]
    full = "the disk is full, name another folder with --folder: " if free_bytes < _FULL_BYTES else ""
    return "\n".join((f"{full}exit code {code}: {lines[-1]}", *lines[-_LINES_OF_A_FAILURE:-1]))


def _take_down(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)  # the session belongs to the run: all its processes were started by it
    else:
        process.kill()
    process.wait(_ENDED_IN_TIME_S)
