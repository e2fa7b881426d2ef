"""A fast wrong answer is a failure: every scenario compares the log with what was acknowledged."""

import asyncio
import sqlite3
from collections.abc import Mapping
from pathlib import Path

import pytest

from actorium.benchmarks.catalog import BY_NAME
from actorium.benchmarks.measuring.filling import filled
from actorium.benchmarks.measuring.gate import require_log
from actorium.benchmarks.scenario import Bench, Wrong
from actorium.benchmarks.yardsticks.least import Least, Pay, connect
from actorium.store.event_store import EventStore
from actorium.store.memory import MemoryStore

SIZES = {"callers": 2.0, "aggregates": 3.0, "seconds": 0.0, "own_ids": 0.0}


class ForgetfulStore(MemoryStore):
    """Loses its newest event when it is first closed."""

    forgot = False

    async def close(self) -> None:
        await super().close()
        if not self.forgot:
            self.forgot = True
            self._log.pop()


class ForgetfulBench(Bench):
    """Runs on a store that loses an event."""

    forgetful: ForgetfulStore | None = None

    def store(self) -> EventStore:
        self.forgetful = self.forgetful or ForgetfulStore()
        return self.forgetful


def test_a_scenario_fails_when_an_acknowledged_event_is_missing(tmp_path: Path) -> None:
    bench = ForgetfulBench("memory", SIZES, tmp_path, tmp_path, seed=1)
    with pytest.raises(Wrong, match="1 missing"):
        asyncio.run(BY_NAME["100-callers"].measure(bench))


def test_a_scenario_with_a_complete_log_has_figures(tmp_path: Path) -> None:
    bench = Bench("memory", SIZES, tmp_path, tmp_path, seed=1)
    figures = asyncio.run(BY_NAME["100-callers"].measure(bench))
    assert figures["commands_per_s"] > 0
    assert len(bench.latencies_s) == 2


@pytest.mark.parametrize(
    ("acknowledged", "unknown", "verdict"),
    [
        ({"account-0": 3, "account-1": 3}, 0, ""),
        ({"account-0": 4, "account-1": 3}, 0, "1 missing, 0 unexpected"),
        ({"account-0": 3, "account-1": 2}, 0, "0 missing, 1 unexpected"),
        ({"account-0": 3, "account-1": 2}, 1, ""),
        ({"account-0": 3}, 0, "0 missing, 3 unexpected"),
        ({"account-0": 4, "account-1": 2}, 1, "1 missing, 1 unexpected"),
    ],
)
def test_the_log_is_compared_aggregate_by_aggregate(
    acknowledged: Mapping[str, int], unknown: int, verdict: str, tmp_path: Path
) -> None:
    async def compare() -> str:
        store = await filled(Bench("memory", {}, tmp_path, tmp_path, seed=1), aggregates=2, events=3)
        try:
            await require_log(store, acknowledged, unknown=unknown)
        except Wrong as wrong:
            return str(wrong)
        return ""

    assert asyncio.run(compare()).endswith(verdict)
    assert bool(asyncio.run(compare())) == bool(verdict)


def test_a_gap_in_the_log_is_found(tmp_path: Path) -> None:
    async def compare() -> None:
        store = await filled(Bench("memory", {}, tmp_path, tmp_path, seed=1), aggregates=2, events=3)
        assert isinstance(store, MemoryStore)
        del store._log[2]
        await require_log(store, {"account-0": 3, "account-1": 3})

    with pytest.raises(Wrong, match=r"expected version .* at position 3"):
        asyncio.run(compare())


def test_prefilled_events_are_not_read_again(tmp_path: Path) -> None:
    async def compare(acknowledged: int) -> None:
        store = await filled(Bench("full", {}, tmp_path, tmp_path, seed=1), aggregates=2, events=3)
        await require_log(store, {"account-0": acknowledged, "account-1": 3}, filled=3)

    asyncio.run(compare(3))
    with pytest.raises(Wrong, match="1 missing"):
        asyncio.run(compare(4))


@pytest.mark.asyncio
async def test_a_commit_that_fails_ends_the_yardsticks_callers(tmp_path: Path) -> None:
    bench = Bench("full", {}, tmp_path, tmp_path, seed=1)
    db = connect(bench)
    db.execute("DROP TABLE log")
    least = Least(db)
    try:
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            await least.ask("account-0", Pay(5))
    finally:
        least.close()
        db.close()
