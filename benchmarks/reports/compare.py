"""`compare`: decide from the spreads of two reports what is faster, slower or within noise."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Literal

import msgspec

from actorium.benchmarks.catalog import BY_NAME
from actorium.benchmarks.report import BenchmarkReport, Result
from actorium.benchmarks.reports.caption import warnings
from actorium.benchmarks.reports.words import number, title
from actorium.benchmarks.scenario import OURS, STORE_TITLES, StoreName, more_is_better

Verdict = Literal[
    "faster", "slower", "within noise", "too few rounds", "not comparable", "within the limit", "over the limit"
]

# Two sets of three runs are separate by chance alone once in ten, two sets of five once in 126.
ROUNDS_MIN = 3
_FLUSH_FACTOR = 1.5
_BYTECODES = "bytecodes_"  # figures that depend on the version of Python begin with this
# A smaller difference is not reported, however quiet the machine.
DIFFERENCE_MIN = 0.03


class Comparison(msgspec.Struct, frozen=True):
    """One scenario, then and now. `ratio` is the new median divided by the old one, for a rate and for a cost alike.

    chance: the probability that noise alone gives these rounds a verdict; 0 if there is no verdict.
    limit: the largest ratio that the scenario allows; 0 if it has no limit.
    """

    scenario: str
    store: StoreName
    figure: str
    old: float
    new: float
    ratio: float
    verdict: Verdict
    why: str = ""
    chance: float = 0.0
    limit: float = 0.0


def compare(old: BenchmarkReport, new: BenchmarkReport) -> list[Comparison]:
    """Return a verdict for each result of the new report that is also in the old one."""
    found = []
    for result in new.results:
        before = old.find(*result.key)
        if before is not None and result.runs:
            found.append(_compare(result.headline, before, result))
            if result.headline.startswith(_BYTECODES) and _minor(old) != _minor(new):
                why = f"bytecodes of {_minor(old)} and of {_minor(new)}"
                found[-1] = Comparison(*result.key, result.headline, 0.0, 0.0, 0.0, "not comparable", why)
    return found


def over_limit(lines: Sequence[Comparison]) -> list[str]:
    """Return the comparisons that exceed the limit of their scenario, one sentence each."""
    return [
        f"{one.scenario} on {STORE_TITLES[one.store]}: {title(one.figure)} was {number(one.old)} and is now "
        f"{number(one.new)}, {one.ratio:.2f} times as much; the limit is {one.limit:g} times"
        for one in lines
        if one.verdict == "over the limit"
    ]


def stored_name(python: str) -> str:
    """Return the file name of a stored run for a Python, such as `cpython-3.11.json` for "CPython 3.11.7"."""
    implementation, _, version = python.partition(" ")
    return f"{implementation.lower()}-{'.'.join(version.split('.')[:2])}.json"


def _minor(report: BenchmarkReport) -> str:
    return report.environment.python.rpartition(".")[0]


def differences(old: BenchmarkReport, new: BenchmarkReport) -> list[str]:
    """Return other differences, one line each: with any of them, the code is not the only cause of a change."""
    then, now = msgspec.structs.asdict(old.environment), msgspec.structs.asdict(new.environment)
    names = ("cpu", "cores", "system", "python", "sqlite", "folder_file_system")
    found = [f"{name}: {then[name]} then, {now[name]} now" for name in names if then[name] != now[name]]
    flushes = old.environment.flush_ms, new.environment.flush_ms
    if max(flushes) > min(flushes) * _FLUSH_FACTOR:
        found.append(f"a flush of the disk took {number(flushes[0])} ms then, {number(flushes[1])} ms now")
    return [*found, *(f"then, {warning}" for warning in warnings(old))]


def _compare(figure: str, old: Result, new: Result) -> Comparison:
    then, now = old.values(figure), new.values(figure)
    if not then or not now:
        return Comparison(*new.key, figure, 0.0, 0.0, 0.0, "not comparable", f"no {figure} in one of them")
    medians = statistics.median(then), statistics.median(now)
    ratio = medians[1] / medians[0] if medians[0] else 0.0
    verdict, why = _judge(then, now, ratio, more=more_is_better(figure))
    if old.sizes != new.sizes:
        verdict, why, ratio = "not comparable", "different sizes", 0.0
    scenario = BY_NAME.get(new.scenario)
    limit = 0.0 if scenario is None else scenario.limit
    if limit and ratio:
        return Comparison(
            *new.key, figure, *medians, ratio, "over the limit" if ratio > limit else "within the limit", limit=limit
        )
    is_judged = verdict in ("faster", "slower", "within noise")
    chance = 2 / math.comb(len(then) + len(now), len(now)) if is_judged else 0.0
    return Comparison(*new.key, figure, *medians, ratio, verdict, why, chance)


def summary(lines: Sequence[Comparison]) -> list[str]:
    """Return how many are faster and slower, and how much of that may be due to the machine, one line each."""
    counts = [f"{sum(one.verdict == verdict for one in lines)} {verdict}" for verdict in ("faster", "slower")]
    by_chance = sum(one.chance for one in lines)
    said = f"{' and '.join(counts)} of {len(lines)}"
    if by_chance:
        said += f"; noise alone would cause about {by_chance:.2g} of them, fewer with more rounds"
    others = [one.ratio for one in lines if one.ratio and _is_not_ours(one.scenario)]
    if not others:
        return [said]
    span = f"{min(others):.2f} to {max(others):.2f}" if len(others) > 1 else f"{others[0]:.2f}"
    return [
        said,
        f"scenarios that run no Actorium code have a now / then ratio of {span}: this is the machine's noise",
    ]


def _is_not_ours(name: str) -> bool:
    """Return whether it does the work of one of our scenarios without running our code."""
    scenario = BY_NAME.get(name)
    return scenario is not None and scenario.subject != OURS and bool(scenario.beside)


def _judge(then: Sequence[float], now: Sequence[float], ratio: float, *, more: bool) -> tuple[Verdict, str]:
    if min(len(then), len(now)) < ROUNDS_MIN:
        return "too few rounds", f"a spread needs {ROUNDS_MIN} rounds on both sides"
    if abs(ratio - 1) < DIFFERENCE_MIN:
        return "within noise", f"less than {DIFFERENCE_MIN:.0%} apart"
    if max(now) < min(then):
        return ("slower" if more else "faster"), ""
    if min(now) > max(then):
        return ("faster" if more else "slower"), ""
    return "within noise", "the spreads overlap"
