"""The suite: rounds are interleaved, each run is separate, a wrong one is a failure, Ctrl-C keeps the results."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest
from support.postgres_server import shared_server_url

from actorium.benchmarks.catalog import BY_NAME, select
from actorium.benchmarks.child import Job, JobOutcome
from actorium.benchmarks.report import BenchmarkReport, NotRun
from actorium.benchmarks.suite import Suite, SuitePlan, run_job

RIGHT = JobOutcome({"commands_per_s": 10.0}, "", "synchronous=FULL")


def carried_out(plan: SuitePlan, measure: Callable[[Job, Path], JobOutcome] | None = None) -> BenchmarkReport:
    return Suite(plan, measure=measure).run(lambda done, what: None)


def test_rounds_are_interleaved_each_in_a_different_order() -> None:
    jobs: list[Job] = []

    def measure(job: Job, folder: Path) -> JobOutcome:
        jobs.append(job)
        return RIGHT

    report = carried_out(SuitePlan(select(["callers", "hot"]), rounds=3), measure)
    each = len(jobs) // 3
    orders = [[(job.scenario, job.store) for job in jobs[first : first + each]] for first in (0, each, 2 * each)]
    assert [set(order) for order in orders] == [set(orders[0])] * 3
    assert len(set(map(tuple, orders))) > 1
    assert [job.seed for job in jobs] == [0] * each + [1] * each + [2] * each
    assert {len(result.runs) for result in report.results} == {3}


def test_quick_runs_all_rounds_of_the_main_scenarios_before_the_second_of_the_others() -> None:
    jobs: list[Job] = []

    def measure(job: Job, folder: Path) -> JobOutcome:
        jobs.append(job)
        return RIGHT

    carried_out(SuitePlan(select(["100-callers", "one-hot"]), rounds=3, quick=True), measure)
    order = [(job.scenario, job.store) for job in jobs]
    front = {("100-callers", "full"), ("least-100-callers", "full")}
    assert set(order[:2]) == set(order[5:7]) == set(order[7:9]) == front
    assert len(order) == 3 * 5
    assert not front & set(order[9:])


def test_a_server_is_used_only_if_it_is_asked_for() -> None:
    jobs: list[Job] = []

    def measure(job: Job, folder: Path) -> JobOutcome:
        jobs.append(job)
        return RIGHT

    carried_out(SuitePlan([BY_NAME["one-hot"]], rounds=1), measure)
    assert {job.store for job in jobs} == {"memory", "full", "normal"}
    jobs.clear()
    url = shared_server_url()
    carried_out(SuitePlan([BY_NAME["one-hot"]], ["full", "postgresql"], rounds=1, postgresql=url), measure)
    assert {(job.store, job.server and job.server.url) for job in jobs} == {("full", None), ("postgresql", url)}


def test_each_run_has_its_own_folder_and_all_share_one() -> None:
    folders: list[tuple[Path, str]] = []

    def measure(job: Job, folder: Path) -> JobOutcome:
        assert list(folder.iterdir()) == []
        (folder / "log.db").touch()
        folders.append((folder, job.shared))
        return RIGHT

    carried_out(SuitePlan([BY_NAME["flush"]], rounds=2), measure)
    assert len({folder for folder, _ in folders}) == 2
    assert len({shared for _, shared in folders}) == 1
    assert not any(folder.exists() or Path(shared).exists() for folder, shared in folders)


def test_a_wrong_run_is_a_failure_and_the_others_continue() -> None:
    def measure(job: Job, folder: Path) -> JobOutcome:
        return JobOutcome(wrong="1 are lost") if (job.scenario, job.seed) == ("one-hot", 1) else RIGHT

    report = carried_out(SuitePlan(select(["hot"]), ("full",), rounds=3), measure)
    assert report.failures == ["one-hot on full: 1 are lost"]
    assert {one.scenario: len(one.runs) for one in report.results} == {"one-hot": 2, "ten-hot": 3}


def test_ctrl_c_ends_it_with_what_was_measured() -> None:
    done: list[Job] = []

    def measure(job: Job, folder: Path) -> JobOutcome:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(job)
        return RIGHT

    report = carried_out(SuitePlan(select(["hot"]), ("memory", "full"), rounds=3), measure)
    assert report.interrupted
    assert sum(len(one.runs) for one in report.results) == 3
    assert [one.why for one in report.not_run] == ["stopped before its turn"]


def test_a_missing_peer_is_reported_as_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    report = carried_out(SuitePlan([BY_NAME["pykka"]]))
    why = "pykka is not installed: pip install 'actorium[bench-peers]'"
    assert (report.results, report.not_run) == ([], [NotRun("pykka", "memory", why)])


def test_quick_has_its_own_sizes_and_stores_and_skips_slow_scenarios() -> None:
    jobs: list[Job] = []

    def measure(job: Job, folder: Path) -> JobOutcome:
        jobs.append(job)
        return RIGHT

    report = carried_out(SuitePlan(select(["growth", "one-caller"]), rounds=1, quick=True), measure)
    assert {(job.scenario, job.store) for job in jobs} == {
        ("one-caller", "memory"),
        ("one-caller", "full"),
        ("least-one-caller", "memory"),
        ("least-one-caller", "full"),
        ("growth-1k", "full"),
        ("growth-10k", "full"),
    }
    assert {job.scenario: job.sizes for job in jobs}["one-caller"] == BY_NAME["one-caller"].quick
    assert {(one.scenario, one.why) for one in report.not_run} == {
        ("growth-100k", "not part of --quick"),
        ("growth-1m", "not part of --quick"),
        ("cost-one-caller", "not part of --quick"),
    }


def test_quick_starts_no_run_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actorium.benchmarks.suite.QUICK_S", -1.0)
    report = carried_out(SuitePlan([BY_NAME["flush"]], quick=True), lambda job, folder: RIGHT)
    assert (report.results, report.not_run) == ([], [NotRun("flush", "full", "no time left")])


def test_quick_starts_no_unknown_run_if_the_longest_so_far_would_end_too_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr("actorium.benchmarks.suite.time.monotonic", lambda: now[0])

    def measure(job: Job, folder: Path) -> JobOutcome:
        now[0] += 20.0
        return RIGHT

    report = carried_out(SuitePlan(select(["cold-start", "replay", "recovery"]), rounds=1, quick=True), measure)
    assert len(report.results) == 2  # a third one would end after 60 s
    assert [one.why for one in report.not_run] == ["no time left"]


def test_a_run_is_a_separate_process(tmp_path: Path) -> None:
    outcome = run_job(Job("flush", "full", {}, str(tmp_path), seed=1), tmp_path)
    assert outcome.wrong == ""
    assert outcome.figures["flush_ms"] > 0


def test_a_failed_process_is_a_failure_with_its_last_output(tmp_path: Path) -> None:
    outcome = run_job(Job("no such scenario", "full", {}, str(tmp_path), seed=1), tmp_path)
    first, *rest = outcome.wrong.splitlines()
    assert first == "exit code 1: KeyError: 'no such scenario'"
    assert any("in _measure" in line for line in rest)


def test_a_run_that_does_not_end_is_killed(tmp_path: Path) -> None:
    sizes = {"callers": 1.0, "aggregates": 1.0, "seconds": 600.0}
    job = Job("least-one-caller", "memory", sizes, str(tmp_path), seed=1, limit_s=0.5)
    assert run_job(job, tmp_path).wrong == "not finished after 0 s"


def test_a_full_disk_is_a_failure_of_one_run_and_the_others_continue() -> None:
    def measure(job: Job, folder: Path) -> JobOutcome:
        if job.seed == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return RIGHT

    report = carried_out(SuitePlan([BY_NAME["flush"]], rounds=3), measure)
    assert report.failures == ["flush on full: [Errno 28] No space left on device"]
    assert len(report.results[0].runs) == 2


def test_a_profile_is_a_separate_page(tmp_path: Path) -> None:
    report = carried_out(SuitePlan([BY_NAME["one-hot"]], ("memory",), rounds=1, quick=True, profiles=tmp_path))
    assert report.failures == []
    assert "<html" in (tmp_path / "one-hot-memory.html").read_text(encoding="utf-8")
