"""The import: exact, in order per account, resumable, and without duplicates."""

import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from support.runs_on import ON_SQLITE

from actorium import Ack, ConfigurationError, Runtime, Settings
from actorium.errors import StoreUnavailable
from actorium.examples.bank.audit import audit
from actorium.examples.bank.check import check, sums
from actorium.examples.bank.domain import Account, Credited, Debited, OpenAccount
from actorium.examples.bank.generate import generate
from actorium.examples.bank.importer import Importer, ImportReport, TooManyBadRows, command_id
from actorium.examples.bank.transactions import BadRow, Transaction, read_transactions
from actorium.store.event_store import AppendBatch, Appended
from actorium.store.memory import MemoryStore

pytestmark = pytest.mark.asyncio

ROWS = 1_000
REAL_FILE = os.environ.get("ACTORIUM_BERKA", "")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("set") / "transactions.csv"
    generate(path, rows=ROWS)
    return path


@pytest.fixture(params=["memory", ON_SQLITE])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'bank.db'}?synchronous=OFF"


def row(line: int, account: str, amount: int, *, id: str = "", is_credit: bool = True) -> Transaction:
    operation = "cash_deposit" if is_credit else "cash_withdrawal"
    day = date(1993, 1, 1)
    return Transaction(line, id or str(line), account, day, is_credit, operation, "", amount, 0, "", "")


async def amounts_of(runtime: Runtime, account: str) -> list[int]:
    """The bookings of an account, in order."""
    amounts: list[int] = []
    end = runtime.statistics().position
    async for recorded in runtime.events():
        if recorded.stream_id == account and isinstance(recorded.event, Credited | Debited):
            amounts.append(recorded.event.amount)
        if recorded.position == end:
            break
    return amounts


async def test_all_balances_equal_the_exact_sums(file: Path, store: str) -> None:
    async with Runtime([Account], store=store) as runtime:
        report = await Importer(runtime).run(read_transactions(file))
        outcome = await check(runtime, sums(file))
    assert (report.booked, report.found, report.bad, report.under_way) == (ROWS, 0, [], 0)
    assert report.opened == len(outcome.lines) == 30
    assert outcome.holds
    assert len(outcome.compared_with_print) == 30


async def test_a_second_import_changes_nothing(file: Path, store: str) -> None:
    async with Runtime([Account], store=store) as runtime:
        await Importer(runtime).run(read_transactions(file))
        end = runtime.statistics().position
        assert end == ROWS + 30
        again = await Importer(runtime).run(read_transactions(file))
        assert (again.booked, again.found, again.opened, again.bad) == (0, ROWS, 0, [])
        assert runtime.statistics().position == end
        assert (await check(runtime, sums(file))).holds


async def test_a_stopped_import_continues_where_the_log_ends(file: Path, log_url: str) -> None:
    async with Runtime([Account], store=log_url) as runtime:

        def stop_after_300(report: ImportReport) -> None:
            if report.done == 300:
                importer.stop()

        importer = Importer(runtime, on_progress=stop_after_300, max_pending=50)
        first = await importer.run(read_transactions(file))
    assert first.stopped
    assert 300 <= first.booked <= 350
    async with Runtime([Account], store=log_url) as runtime:
        second = await Importer(runtime).run(read_transactions(file))
        assert (second.found, second.booked, second.stopped) == (first.booked, ROWS - first.booked, False)
        assert (await check(runtime, sums(file))).holds
        found = await audit(runtime)
        assert (found.events, found.duplicated, found.gaps) == (ROWS + 30, [], [])


async def test_rows_known_to_be_in_the_log_are_not_sent(file: Path) -> None:
    async with Runtime([Account], store="memory://") as runtime:
        await Importer(runtime).run(read_transactions(file))
        known = (await audit(runtime)).positions
        answered = runtime.statistics().acknowledged
        report = await Importer(runtime, known=known).run(read_transactions(file))
        assert (report.found, report.booked) == (ROWS, 0)
        assert runtime.statistics().acknowledged == answered


async def test_every_acknowledgement_is_reported_with_its_position(file: Path) -> None:
    acks: list[Ack] = []
    async with Runtime([Account], store="memory://") as runtime:
        await Importer(runtime, on_ack=acks.append).run(read_transactions(file))
        found = await audit(runtime)
    assert len(acks) == found.events
    assert found.lost({ack.command_id: ack.position for ack in acks}) == []
    assert found.lost({acks[0].command_id: 0, "berka-none": 1}) == [acks[0].command_id, "berka-none"]


async def test_rows_of_an_account_keep_their_order_within_the_pending_limit() -> None:
    numbered = [row(n, "1", n) for n in range(2, 300)]
    read_ahead = 0

    def counted() -> Iterator[Transaction]:
        nonlocal read_ahead
        for n, one in enumerate(numbered):
            read_ahead = max(read_ahead, n - importer.report.done)
            yield one

    async with Runtime([Account], store="memory://") as runtime:
        importer = Importer(runtime, max_pending=10)
        await importer.run(counted())
        assert await amounts_of(runtime, "1") == [one.amount for one in numbered]
    assert read_ahead <= 11


async def test_a_rejected_row_is_reported_and_the_next_ones_are_booked() -> None:
    rows = [row(2, "1", 10), row(3, "1", 11, is_credit=False), row(4, "1", 12), row(5, "2", 5)]
    async with Runtime([Account], store="memory://") as runtime:
        await runtime.send(OpenAccount("1", overdraft_limit=0))
        report = await Importer(runtime).run(rows)
        assert await amounts_of(runtime, "1") == [10, 12]
    assert [str(bad) for bad in report.bad] == [
        "line 3: transaction 3 of account 1: insufficient funds (balance=10, overdraft_limit=0)"
    ]
    assert (report.booked, report.opened) == (3, 1)


async def test_bad_rows_are_skipped_reported_and_left_out_of_the_sums(file: Path, tmp_path: Path) -> None:
    lines = file.read_text().splitlines()
    lines[10] = lines[10].replace("1993-", "1993/")
    lines[20] = "nonsense"
    lines.append(lines[5])
    damaged = tmp_path / "damaged.csv"
    damaged.write_text("\n".join(lines))
    async with Runtime([Account], store="memory://") as runtime:
        report = await Importer(runtime).run(read_transactions(damaged))
        outcome = await check(runtime, sums(damaged, without_lines=[bad.line for bad in report.bad]))
    assert [bad.line for bad in report.bad] == [11, 21, ROWS + 2]
    assert "occurs twice in the file" in report.bad[2].reason
    assert report.booked == ROWS - 2
    assert outcome.wrong == []
    assert outcome.holds


async def test_only_accounts_with_all_their_rows_are_compared_with_the_print(file: Path) -> None:
    line, account = 500, file.read_text().splitlines()[499].split(",")[1]
    totals = sums(file, without_lines=[line])
    assert [known for known, total in totals.items() if not total.complete] == [account]


async def test_an_import_can_stop_at_a_bad_row_after_booking_all_before_it(store: str) -> None:
    rows = [row(2, "1", 10), row(3, "2", 20), BadRow(4, "nonsense"), row(5, "1", 30)]
    async with Runtime([Account], store=store) as runtime:
        report = await Importer(runtime, on_bad_row="stop").run(rows)
        assert (report.booked, report.stopped, report.bad) == (2, True, [BadRow(4, "nonsense")])
        fixed = await Importer(runtime, on_bad_row="stop").run([*rows[:2], row(4, "1", 25), rows[3]])
        assert (fixed.found, fixed.booked, fixed.stopped) == (2, 2, False)
        assert await amounts_of(runtime, "1") == [10, 25, 30]


async def test_a_transaction_id_with_other_content_is_a_bad_row() -> None:
    async with Runtime([Account], store="memory://") as runtime:
        report = await Importer(runtime).run([row(2, "1", 10, id="7"), row(3, "1", 99, id="7")])
        assert await amounts_of(runtime, "1") == [10]
    assert [bad.line for bad in report.bad] == [3]
    assert command_id("7") in report.bad[0].reason


async def test_too_many_bad_rows_end_the_import() -> None:
    async with Runtime([Account], store="memory://") as runtime:
        with pytest.raises(TooManyBadRows, match=r"more than 3 bad rows, the last is line 5: nonsense"):
            await Importer(runtime, max_bad_rows=3).run(BadRow(line, "nonsense") for line in range(2, 100))


async def test_on_bad_row_has_two_values() -> None:
    async with Runtime([Account], store="memory://") as runtime:
        with pytest.raises(ConfigurationError, match="on_bad_row='ask'"):
            Importer(runtime, on_bad_row="ask")  # type: ignore[arg-type]


class FailingOnce(MemoryStore):
    """A store that fails the n-th commit."""

    def __init__(self, commit: int) -> None:
        super().__init__()
        self._left = commit

    async def append(self, batch: AppendBatch) -> Appended:
        self._left -= 1
        if self._left == 0:
            raise StoreUnavailable("no space left on the disk")
        return await super().append(batch)


@pytest.mark.parametrize("commit", [1, 2, 3, 10, 40])
async def test_a_failing_store_ends_the_import_and_reorders_nothing(file: Path, commit: int) -> None:
    async with Runtime([Account], store=FailingOnce(commit), settings=Settings(max_batch_events=20)) as runtime:
        importer = Importer(runtime)
        with pytest.raises(StoreUnavailable, match="no space left"):
            await importer.run(read_transactions(file))
        assert importer.report.stopped
        report = await Importer(runtime).run(read_transactions(file))
        assert report.booked + report.found == ROWS
        for account in sums(file):
            rows = [one for one in read_transactions(file) if isinstance(one, Transaction) and one.account == account]
            assert await amounts_of(runtime, account) == [one.amount for one in rows]


async def test_a_wrong_balance_is_found(file: Path) -> None:
    async with Runtime([Account], store="memory://") as runtime:
        await Importer(runtime).run(read_transactions(file))
        totals = sums(file)
        account, other = list(totals)[:2]
        totals[account].exact += 1
        totals[other].printed += 10 * totals[other].rows + 10
        totals["999999"] = totals[account]
        outcome = await check(runtime, totals)
    assert [line.account for line in outcome.wrong] == sorted([account, "999999"], key=int)
    assert [line.account for line in outcome.far_from_print] == [other]
    assert not outcome.holds


@pytest.mark.skipif(not REAL_FILE, reason="ACTORIUM_BERKA names no file")
async def test_the_real_file_is_imported_exactly(store: str) -> None:
    async with Runtime([Account], store=store) as runtime:
        report = await Importer(runtime).run(read_transactions(REAL_FILE))
        outcome = await check(runtime, sums(REAL_FILE))
        assert (report.booked, report.bad, len(outcome.lines)) == (31_799, [], 800)
        assert outcome.holds
        end = runtime.statistics().position
        again = await Importer(runtime).run(read_transactions(REAL_FILE))
        assert (again.found, runtime.statistics().position) == (31_799, end)
