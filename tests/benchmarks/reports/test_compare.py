"""Faster, slower or within noise: decided by the spreads of two reports."""

import msgspec
import pytest
from support.reports import ENVIRONMENT, report, result

from actorium.benchmarks.report import Result
from actorium.benchmarks.reports.compare import compare, differences, over_limit, summary


def bytecodes(value: float) -> Result:
    return result([value], "cost-100-callers", "memory", figure="bytecodes_per_command")


@pytest.mark.parametrize(
    ("then", "now", "verdict"),
    [
        ([100, 101, 102], [110, 111, 112], "faster"),
        ([110, 111, 112], [100, 101, 102], "slower"),
        ([100, 105, 112], [110, 111, 113], "within noise"),
        ([100, 100.1, 100.2], [101, 101.1, 101.2], "within noise"),
        ([100, 101], [200, 201, 202], "too few rounds"),
        ([100, 101, 102], [200, 201], "too few rounds"),
    ],
)
def test_a_rate_is_judged_by_its_spread(then: list[float], now: list[float], verdict: str) -> None:
    (found,) = compare(report(result(then)), report(result(now)))
    assert found.verdict == verdict


def test_a_lower_cost_is_faster() -> None:
    then = result([20, 21, 22], "open-loop", figure="p99_ms")
    now = result([10, 11, 12], "open-loop", figure="p99_ms")
    (found,) = compare(report(then), report(now))
    assert (found.verdict, round(found.ratio, 2)) == ("faster", 0.52)


def test_it_says_how_many_differences_noise_alone_explains() -> None:
    names = [f"scenario-{number}" for number in range(20)]
    then = report(*(result([100, 101, 102], name) for name in names))
    now = report(*(result([200, 201, 202] if name == names[3] else [100, 101, 102], name) for name in names))
    said = "1 faster and 0 slower of 20; noise alone would cause about 2 of them, fewer with more rounds"
    assert summary(compare(then, now)) == [said]  # one in ten with three rounds each


def test_it_says_how_much_the_machine_differs() -> None:
    yardsticks = {"least-100-callers": 90, "sqlite-alone": 105, "store-alone": 300}
    then = report(result([100, 101]), *(result([100], name, subject="yardstick") for name in yardsticks))
    now = report(result([90, 91]), *(result([rate], name, subject="yardstick") for name, rate in yardsticks.items()))
    assert summary(compare(then, now)) == [
        "0 faster and 0 slower of 4",
        "scenarios that run no Actorium code have a now / then ratio of 0.90 to 1.05: this is the machine's noise",
    ]


@pytest.mark.parametrize(
    ("now", "verdict"), [(900, "within the limit"), (1_140, "within the limit"), (1_160, "over the limit")]
)
def test_a_cost_is_judged_by_its_limit(now: float, verdict: str) -> None:
    then, after = (report(bytecodes(value)) for value in (1_000, now))
    lines = compare(then, after)
    assert [one.verdict for one in lines] == [verdict]
    assert bool(over_limit(lines)) == (verdict == "over the limit")


def test_a_cost_over_its_limit_is_named_with_both_figures() -> None:
    assert over_limit(compare(report(bytecodes(1_000)), report(bytecodes(1_300)))) == [
        "cost-100-callers on memory: bytecodes per command was 1,000 and is now 1,300, 1.30 times as much; the limit "
        "is 1.15 times"
    ]


def test_bytecodes_of_another_version_of_python_are_not_compared() -> None:
    newer = msgspec.structs.replace(ENVIRONMENT, python="CPython 3.13.1")
    (found,) = compare(report(bytecodes(1_000)), report(bytecodes(2_000), environment=newer))
    assert (found.verdict, found.why) == ("not comparable", "bytecodes of CPython 3.11 and of CPython 3.13")
    patched = msgspec.structs.replace(ENVIRONMENT, python="CPython 3.11.9")
    (found,) = compare(report(bytecodes(1_000)), report(bytecodes(2_000), environment=patched))
    assert found.verdict == "over the limit"


def test_other_sizes_are_not_compared() -> None:
    (found,) = compare(report(result([1, 2, 3])), report(result([7, 8, 9], sizes={"callers": 5})))
    assert (found.verdict, found.ratio) == ("not comparable", 0.0)


def test_results_in_only_one_report_are_left_out() -> None:
    assert compare(report(result([1, 2, 3])), report(result([1, 2, 3], store="memory"))) == []


def test_another_machine_is_reported() -> None:
    other = report(environment=msgspec.structs.replace(ENVIRONMENT, python="CPython 3.13.1"))
    assert differences(report(), other) == ["python: CPython 3.11.7 then, CPython 3.13.1 now"]
    assert differences(report(), report()) == []


def test_a_slower_disk_and_earlier_disturbances_are_reported() -> None:
    other = report(environment=msgspec.structs.replace(ENVIRONMENT, flush_ms=1.5, load_average=3.9))
    assert differences(report(), other) == ["a flush of the disk took 0.500 ms then, 1.50 ms now"]
    assert differences(other, other) == ["then, other programs were busy at the start: expect wide spreads"]
