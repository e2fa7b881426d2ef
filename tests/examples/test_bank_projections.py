"""The bank's read models: equal to the file's sums, readable at once, and the same after a rebuild."""

import asyncio
import csv
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support.runs_on import ON_SQLITE

from actorium import EventStore, Projection, Runtime
from actorium.examples.bank.domain import Account, Credit, Debit, OpenAccount
from actorium.examples.bank.generate import generate
from actorium.examples.bank.importer import Importer
from actorium.examples.bank.projections import Balances, Turnover, TurnoverLine
from actorium.examples.bank.transactions import koruna, read_transactions
from actorium.store.memory import MemoryStore

pytestmark = pytest.mark.asyncio

ROWS = 1_000
REAL_FILE = os.environ.get("ACTORIUM_BERKA", "")
PARTS = [Account, Balances, Turnover]


class Sums(NamedTuple):
    """The sums of a file in hellers: by account, and by month and purpose as credits and debits."""

    rows: int
    balances: dict[str, int]
    turnover: dict[tuple[str, str], tuple[int, int]]


def sums_of(path: str | Path) -> Sums:
    """Compute the sums of a file without the project's reader or domain."""
    rows = 0
    balances: dict[str, int] = {}
    turnover: dict[tuple[str, str], tuple[int, int]] = {}
    with open(path, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            amount = int(Decimal(row["amount"]) * 100)
            credit, debit = (amount, 0) if row["direction"] == "credit" else (0, amount)
            rows += 1
            balances[row["account_id"]] = balances.get(row["account_id"], 0) + credit - debit
            place = (row["date"][:7], row["purpose"])
            credits, debits = turnover.get(place, (0, 0))
            turnover[place] = (credits + credit, debits + debit)
    return Sums(rows, balances, turnover)


async def replies(
    runtime: Runtime, accounts: Mapping[str, int], balances: Any = Balances, turnover: Any = Turnover
) -> tuple[dict[str, int | None], int, dict[tuple[str, str], tuple[int, int]]]:
    """The content of the read models at the end of the log."""
    end = runtime.statistics().position
    total = await runtime.query(balances.total, after=end)
    by_account = {account: await runtime.query(balances.of, account) for account in accounts}
    by_place = {
        (month, line.purpose): (line.credits, line.debits)
        for month in await runtime.query(turnover.months, after=end)
        for line in await runtime.query(turnover.of, month)
    }
    return by_account, total, by_place


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("set") / "transactions.csv"
    generate(path, rows=ROWS)
    return path


@pytest.fixture(params=["memory", ON_SQLITE])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str | EventStore:
    """A store that a second runtime opens as the first one left it."""
    return MemoryStore() if request.param == "memory" else f"sqlite:///{tmp_path / 'bank.db'}?synchronous=OFF"


async def imported(runtime: Runtime, file: str | Path, rows: int) -> None:
    report = await Importer(runtime).run(read_transactions(file))
    assert (report.booked, report.bad) == (rows, [])


@pytest.mark.parametrize(
    "url", ["memory://", pytest.param("sqlite:///{folder}/bank.db?synchronous=OFF", marks=list(ON_SQLITE.marks))]
)
async def test_balances_and_turnover_equal_the_sums_of_the_file(url: str, file: Path, tmp_path: Path) -> None:
    expected = sums_of(file)
    assert expected.rows == ROWS
    async with Runtime(PARTS, store=url.format(folder=tmp_path)) as runtime:
        await imported(runtime, file, ROWS)
        by_account, total, by_place = await replies(runtime, expected.balances)
        assert by_account == expected.balances
        assert total == sum(expected.balances.values())
        assert by_place == expected.turnover
        assert [runtime.processors[model].dead_letters() for model in (Balances, Turnover)] == [[], []]


async def test_models_added_to_an_old_log_have_the_same_content(store: str | EventStore, file: Path) -> None:
    expected = sums_of(file)
    async with Runtime([Account], store=store) as runtime:
        await imported(runtime, file, ROWS)
    async with Runtime(PARTS, store=store) as runtime:
        by_account, _, by_place = await replies(runtime, expected.balances)
    assert (by_account, by_place) == (expected.balances, expected.turnover)


async def test_waiting_for_ones_own_position_reads_ones_own_writes(store: str | EventStore, file: Path) -> None:
    async with Runtime(PARTS, store=store) as runtime:
        await imported(runtime, file, ROWS)
        account = next(iter(sums_of(file).balances))
        before = await runtime.query(Balances.of, account, after=runtime.statistics().position)
        assert before is not None
        for n in range(1, 21):
            ack = await runtime.send(Credit(account, n, date(2001, 2, 3), "cash_deposit", "pension"))
            before += n
            assert await runtime.query(Balances.of, account, after=ack.position) == before
            lines = await runtime.query(Turnover.of, "2001-02", after=ack.position)
            assert lines == [TurnoverLine("pension", n * (n + 1) // 2, 0)]


async def test_a_query_after_a_position_waits_for_a_lagging_model(store: str | EventStore) -> None:
    async with Runtime(PARTS, store=store) as runtime:
        opened = await runtime.send(OpenAccount("1"))
        assert await runtime.query(Balances.of, "1", after=opened.position) == 0
        processor = runtime.processors[Balances]
        processor.pause()
        ack = await runtime.send(Credit("1", 7, date(1993, 1, 1), "cash_deposit"))
        waiting = asyncio.create_task(runtime.query(Balances.of, "1", after=ack.position))
        assert await runtime.query(Balances.of, "1") == 0
        assert not waiting.done()
        processor.resume()
        assert await waiting == 7


async def test_a_raised_version_is_rebuilt_from_the_log_with_the_same_content(
    store: str | EventStore, file: Path
) -> None:
    expected = sums_of(file)
    async with Runtime(PARTS, store=store) as runtime:
        await imported(runtime, file, ROWS)
        first = await replies(runtime, expected.balances)
        events = runtime.statistics().position
    raised: list[type[Projection]] = [type(old.__name__, (old,), {"version": 2}) for old in (Balances, Turnover)]
    async with Runtime([Account, *raised], store=store) as runtime:
        assert await replies(runtime, expected.balances, *raised) == first
        assert [runtime.processors[model].statistics().handled for model in raised] == [events, events - len(first[0])]
    assert first == (expected.balances, sum(expected.balances.values()), expected.turnover)


async def test_unknown_accounts_and_months_have_no_rows() -> None:
    async with Runtime(PARTS, store="memory://") as runtime:
        assert await runtime.query(Balances.of, "1") is None
        assert await runtime.query(Balances.total) == 0
        assert await runtime.query(Turnover.months) == []
        assert await runtime.query(Turnover.of, "1993-01") == []


async def test_credits_and_debits_of_one_purpose_share_a_row() -> None:
    async with Runtime(PARTS, store="memory://") as runtime:
        await runtime.send(OpenAccount("1"))
        await runtime.send(Credit("1", 500, date(1993, 1, 31), "transfer_in"))
        await runtime.send(Credit("1", 20, date(1993, 2, 1), "interest", "interest"))
        await runtime.send(Debit("1", 80, date(1993, 1, 1), "transfer_out"), wait_for=[Balances, Turnover])
        assert await runtime.query(Turnover.months) == ["1993-01", "1993-02"]
        assert await runtime.query(Turnover.of, "1993-01") == [TurnoverLine("", 500, 80)]
        assert await runtime.query(Turnover.of, "1993-02") == [TurnoverLine("interest", 20, 0)]
        assert await runtime.query(Balances.total) == 440


def bank(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "actorium.examples.bank", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, env={**os.environ, "NO_COLOR": "1"})


async def test_the_program_prints_the_turnover_repeatedly(file: Path, tmp_path: Path) -> None:
    db = tmp_path / "bank.db"
    assert bank("import", file, "--db", db).returncode == 0
    first, second = bank("turnover", "--db", db), bank("turnover", "--db", db)
    assert (first.returncode, first.stderr) == (0, "")
    assert second.stdout == first.stdout
    printed = re.findall(r"^ *(\d{4}-\d\d) +(\S+) +([\d.]+) +([\d.]+) *$", first.stdout, re.MULTILINE)
    assert printed == [
        (month, purpose or "–", koruna(credits), koruna(debits))
        for (month, purpose), (credits, debits) in sorted(sums_of(file).turnover.items())
    ]


async def test_the_program_creates_no_log(tmp_path: Path) -> None:
    run = bank("turnover", "--db", tmp_path / "bank.db")
    assert (run.returncode, run.stdout) == (2, "")
    assert "there is no file" in run.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not REAL_FILE, reason="ACTORIUM_BERKA names no file")
async def test_the_sums_of_the_real_file_are_right(store: str | EventStore) -> None:
    expected = sums_of(REAL_FILE)
    async with Runtime(PARTS, store=store) as runtime:
        await imported(runtime, REAL_FILE, 31_799)
        assert await replies(runtime, expected.balances) == (
            expected.balances,
            sum(expected.balances.values()),
            expected.turnover,
        )
    raised: list[type[Projection]] = [type(old.__name__, (old,), {"version": 2}) for old in (Balances, Turnover)]
    async with Runtime([Account, *raised], store=store) as runtime:
        by_account, _, by_place = await replies(runtime, expected.balances, *raised)
    assert (by_account, by_place) == (expected.balances, expected.turnover)
    assert (expected.rows, len(expected.balances)) == (31_799, 800)
