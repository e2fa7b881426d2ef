"""The bank's wrong day: the walk of the command line, and a case that is killed at each of its commits."""

import asyncio
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from actorium import Runtime
from actorium.commands.screen import Screen
from actorium.examples.bank.commands import run
from actorium.examples.bank.domain import BookingCorrected
from actorium.examples.bank.generate import generate
from actorium.examples.bank.runs.wrong_day import CASE, Subscriber, WrongDay, bank_of, log_hash
from actorium.examples.bank.wrong_amounts import plant

pytestmark = pytest.mark.about("sqlite", "the walk has its log in a file, and copies it at each commit")

CHILD = Path(__file__).resolve().parents[1] / "support" / "correction_child.py"
COUNT = 60
_KILLS_MAX = 12


def test_the_walk_ends_without_a_difference(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["wrong-day"]) == 0
    said = capsys.readouterr().out
    assert "4,000 bookings, 400 of them wrong" in said
    assert "the log before the case is unchanged" in said


def test_wrong_use_is_explained(tmp_path: Path) -> None:
    (tmp_path / "bank.db").write_text("something")
    assert run(["wrong-day", "--db", str(tmp_path / "bank.db")]) == 2
    assert run(["wrong-day", "--count", "4000"]) == 2
    generate(tmp_path / "few.csv", rows=50)
    with pytest.raises(ValueError, match="the busiest day"):
        plant(tmp_path / "few.csv", tmp_path / "wrong.csv", 50)


@pytest_asyncio.fixture
async def approved(tmp_path: Path) -> AsyncIterator[tuple[WrongDay, str, int]]:
    """A bank whose case is approved and not applied, with the hash of its log."""
    data, db = tmp_path / "data.csv", tmp_path / "bank.db"
    generate(data, rows=1_000, accounts=60)
    day = WrongDay(Screen(), data=data, db=db, count=COUNT)
    await day.book()
    runtime, _ = bank_of(db, Subscriber())
    async with runtime:
        await day.plan(runtime)
        end = runtime.statistics().position
        before = await log_hash(runtime, end)
    yield day, before, end


@pytest.mark.asyncio
async def test_a_case_that_is_killed_at_each_commit_is_continued(
    approved: tuple[WrongDay, str, int], tmp_path: Path
) -> None:
    day, before, end = approved
    kills = 0
    for commit in range(1, _KILLS_MAX):
        copy = tmp_path / f"{commit}.db"
        for file in tmp_path.glob("bank.db*"):
            shutil.copy(file, str(file).replace("bank.db", copy.name))
        first = await asyncio.create_subprocess_exec(sys.executable, str(CHILD), str(copy), str(commit))
        code = await first.wait()
        if code == 0:
            break
        assert code == -signal.SIGKILL
        kills += 1
        subscriber = Subscriber()
        runtime, outlet = bank_of(copy, subscriber)
        async with runtime:
            assert await log_hash(runtime, end) == before
            if (await runtime.corrections.get(CASE)).status != "closed":  # otherwise the last commit was durable
                await runtime.corrections.apply(CASE)
            await runtime.corrections.close(CASE, by="bob")
            await _require_each_correction_once(runtime)
            await day.require_balances(runtime)
            assert await log_hash(runtime, end) == before
            await runtime.processors[outlet].checkpoint.reached(runtime.statistics().position)
        assert set(subscriber.told) <= set(day.events)
    assert kills >= 3


async def _require_each_correction_once(runtime: Runtime) -> None:
    caused = [one async for one in runtime.causes(f"actorium.correction/{CASE}/1")]
    corrections = [one for one in caused if isinstance(one.event, BookingCorrected)]
    assert len(corrections) == len({one.metadata.headers["actorium-corrects"] for one in corrections}) == COUNT
