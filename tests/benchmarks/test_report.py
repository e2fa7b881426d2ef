"""A report is versioned JSON: it can be read back, and other files are rejected with a reason."""

from pathlib import Path

import pytest
from support.reports import report, result, save

from actorium.benchmarks.report import BenchmarkReport, NotRun, ReportUnreadable, load, merge


def test_a_report_survives_its_file(tmp_path: Path) -> None:
    whole = report(
        result([1.5, 2.5], failures=["3 events were acknowledged: 1 are lost"]),
        result([9.0], "one-hot", "memory"),
        not_run=[NotRun("pykka", "memory", "pykka is not installed")],
    )
    save(whole, tmp_path / "report.json")
    assert load(tmp_path / "report.json") == whole


def test_a_newer_schema_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    save(report(), path)
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 99'))
    with pytest.raises(ReportUnreadable, match="schema version 99, but this program reads 1: measure again"):
        load(path)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"schema_version": 1}', "not json"])
def test_another_file_is_rejected(tmp_path: Path, text: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(ReportUnreadable, match=r"not a report written by `actorium bench --json`"):
        load(path)


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ReportUnreadable, match=r"cannot read .*none\.json"):
        load(tmp_path / "none.json")


def rates(merged: BenchmarkReport) -> dict[str, list[float]]:
    return {one.scenario: one.values("commands_per_s") for one in merged.results}


def test_parts_of_a_measurement_are_merged_into_one_report() -> None:
    first = report(result([1.0, 2.0]), not_run=[NotRun("one-hot", "full", "no time left")])
    second = report(result([3.0]), result([7.0], "one-hot"))
    merged = merge([first, second])
    assert rates(merged) == {"100-callers": [1.0, 2.0, 3.0], "one-hot": [7.0]}
    assert (merged.rounds, merged.not_run) == (3, [])


def test_parts_of_different_sizes_are_not_merged() -> None:
    with pytest.raises(ReportUnreadable, match="different sizes"):
        merge([report(result([1.0])), report(result([2.0], sizes={"callers": 7}))])


def test_a_median_covers_all_rounds() -> None:
    assert report(result([5.0, 1.0, 3.0])).median("100-callers", "full", "commands_per_s") == 3.0
    assert report().median("100-callers", "full", "commands_per_s") is None
