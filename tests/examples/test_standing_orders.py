"""Transfers and standing orders of the bank: paid once a month or undone, whatever happens."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from support.virtual_time import until, virtual

from actorium import Rejected, Retry, Runtime
from actorium.examples.bank.commands import run
from actorium.examples.bank.domain import Account, Credit, OpenAccount
from actorium.examples.bank.partner import PartnerBank
from actorium.examples.bank.payment_orders import (
    BadPaymentOrders,
    generate_payment_orders,
    read_payment_orders,
    write_payment_orders,
)
from actorium.examples.bank.standing_orders import (
    CancelStandingOrder,
    Clock,
    RegisterStandingOrder,
    StandingOrderDue,
    first_of_next_month,
    standing_orders_bank,
)
from actorium.examples.bank.transfers import OrderTransfer, TransferOrder, payment_key

DAY = date(1993, 1, 1)
ACTORIUM = [sys.executable, "-m", "actorium.examples.bank"]


@asynccontextmanager
async def bank(**partner: Any) -> Any:
    """A bank in memory with 1,000 hellers in alice's account and none in bob's, and its partner."""
    clock = Clock()
    clock.put_to(DAY)
    other = PartnerBank("memory://", **{"no_answer": 0, "refusals": 0, "second_confirmations": 0, **partner})
    runtime = standing_orders_bank("memory://", other, source=clock, retry=Retry(attempts=3, backoff_s=1.0))
    async with other, runtime:
        for account in ("alice", "bob"):
            await runtime.send(OpenAccount(account))
        await runtime.send(Credit("alice", 1_000, DAY, "cash_deposit"))
        yield runtime, other, clock


async def balance(runtime: Runtime, account: str) -> int:
    return (await runtime.get(Account, account)).balance


async def ended(runtime: Runtime, transfer: str) -> TransferOrder:
    """Return a transfer when it is settled or returned and all its consequences are done."""
    order = await runtime.get(TransferOrder, transfer)
    while order.status == "ordered":
        await asyncio.sleep(1)
        order = await runtime.get(TransferOrder, transfer)
    await asyncio.sleep(5)
    return order


@virtual
async def test_a_transfer_moves_money_between_two_accounts() -> None:
    async with bank() as (runtime, _, _):
        await runtime.send(OrderTransfer("t-1", "alice", "bob", 300, DAY))
        assert (await ended(runtime, "t-1")).status == "settled"
        assert (await balance(runtime, "alice"), await balance(runtime, "bob")) == (700, 300)


@virtual
async def test_a_transfer_to_a_missing_account_is_returned() -> None:
    async with bank() as (runtime, _, _):
        await runtime.send(OrderTransfer("t-1", "alice", "nobody", 300, DAY))
        order = await ended(runtime, "t-1")
        assert order.status == "returned"
        assert "nobody" in order.reason
        assert await balance(runtime, "alice") == 1_000


@virtual
async def test_a_transfer_of_more_than_the_balance_moves_nothing() -> None:
    async with bank() as (runtime, other, _):
        await runtime.send(OrderTransfer("t-1", "alice", "4711", 1_001, DAY, bank="AB"))
        assert (await ended(runtime, "t-1")).reason == "insufficient funds"
        assert (await balance(runtime, "alice"), await other.books()) == (1_000, {})


@pytest.mark.parametrize(("amount", "target"), [(0, "bob"), (-5, "bob"), (5, "alice")])
def test_an_invalid_transfer_is_rejected(amount: int, target: str) -> None:
    @virtual
    async def run() -> None:
        async with bank() as (runtime, _, _):
            with pytest.raises(Rejected):
                await runtime.send(OrderTransfer("t-1", "alice", target, amount, DAY))

    run()


@virtual
async def test_a_payment_reaches_the_partner_bank_once_though_it_confirms_twice() -> None:
    async with bank(second_confirmations=100) as (runtime, other, _):
        await runtime.send(OrderTransfer("t-1", "alice", "4711", 300, DAY, bank="AB"))
        order = await ended(runtime, "t-1")
        assert (order.status, order.receipt) == ("settled", f"R-{payment_key('t-1')}")
        assert await balance(runtime, "alice") == 700
        assert await other.books() == {payment_key("t-1"): (1, 300)}
        versions = [one.version async for one in runtime.history(TransferOrder, "t-1")]
        assert versions == [1, 2, 3]  # ordered, confirmed, settled


@virtual
async def test_a_payment_refused_by_the_partner_is_returned() -> None:
    async with bank(refusals=100) as (runtime, other, _):
        await runtime.send(OrderTransfer("t-1", "alice", "4711", 300, DAY, bank="AB"))
        assert (await ended(runtime, "t-1")).reason == "no such account"
        assert (await balance(runtime, "alice"), await other.held(payment_key("t-1"))) == (1_000, 0)


@pytest.mark.parametrize("seed", range(6))
def test_an_unanswered_payment_is_recalled_wherever_it_is(seed: int) -> None:
    @virtual
    async def run() -> None:
        async with bank(no_answer=100, seed=seed) as (runtime, other, _):
            await runtime.send(OrderTransfer("t-1", "alice", "4711", 300, DAY, bank="AB"))
            order = await ended(runtime, "t-1")
            assert order.reason == "TimeoutError: the partner bank did not answer"
            assert (await balance(runtime, "alice"), await other.held(payment_key("t-1"))) == (1_000, 0)
            with pytest.raises((Rejected, TimeoutError)):
                await other.pay(payment_key("t-1"), "AB/4711", 300)  # a letter that comes late
            assert await other.held(payment_key("t-1")) == 0

    run()


@virtual
async def test_a_standing_order_is_paid_on_the_first_of_each_month_until_it_is_cancelled() -> None:
    async with bank() as (runtime, other, clock):
        await runtime.send(RegisterStandingOrder("7", "alice", "AB", "4711", 100, "loan", date(1993, 2, 1)))
        held = 0

        async def look() -> int:
            await asyncio.sleep(10)
            return sum(amount for _, amount in (await other.books()).values())

        assert await look() == 0
        month = date(1993, 2, 1)
        for number in range(1, 6):
            clock.put_to(month)
            held = await look()
            assert held == number * 100
            month = first_of_next_month(month)
        await runtime.send(CancelStandingOrder("7"))
        clock.put_to(month)
        assert await look() == held
        due = [one.event.month async for one in _events(runtime, StandingOrderDue)]
        assert due == [date(1993, 1 + number, 1) for number in range(1, 6)]


async def _events(runtime: Runtime, kind: Any) -> Any:
    end = runtime.statistics().position
    async for recorded in runtime.events():
        if isinstance(recorded.event, kind):
            yield recorded
        if recorded.position >= end:
            return


@virtual
async def test_missed_months_are_paid_in_order() -> None:
    async with bank() as (runtime, other, clock):
        await runtime.send(RegisterStandingOrder("7", "alice", "AB", "4711", 10, "", DAY))
        clock.put_to(date(1994, 12, 31))
        books: dict[str, tuple[int, int]] = {}

        async def all_paid() -> None:
            nonlocal books
            while len(books) < 24:
                await asyncio.sleep(1)
                books = await other.books()

        task = asyncio.create_task(all_paid())
        await until(task.done)
        assert set(books.values()) == {(1, 10)}


def test_the_month_after_december_is_january() -> None:
    assert [first_of_next_month(date(1993, month, 1)) for month in (1, 11, 12)] == [
        date(1993, 2, 1),
        date(1993, 12, 1),
        date(1994, 1, 1),
    ]


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_generated_set_is_read_as_it_was_written(tmp_path: Path) -> None:
    orders = generate_payment_orders(orders=50, seed=3)
    write_payment_orders(tmp_path / "orders.csv", orders)
    assert read_payment_orders(tmp_path / "orders.csv") == orders
    assert generate_payment_orders(orders=50, seed=3) == orders != generate_payment_orders(orders=50, seed=4)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a,b", "begins with 'a,b'"),
        ("1,2,AB,3,5.00", "line 2: 5 columns instead of 6"),
        ("1,2,AB,3,5,", "line 2: '5' is not an amount"),
        ("1,2,AB,3,0.00,", "line 2: amount: '0.00' is not more than 0"),
        ("1,,AB,3,5.00,", "line 2: account_id: '' is not a name"),
        ("1,2,AB,3,5.00,\n1,2,AB,3,5.00,", "line 3: order_id: 1 occurs twice"),
    ],
)
def test_the_error_of_a_bad_file_says_where(tmp_path: Path, rows: str, message: str) -> None:
    header = "" if rows == "a,b" else "order_id,account_id,bank_to,account_to,amount,purpose\n"
    (tmp_path / "orders.csv").write_text(header + rows, encoding="utf-8")
    with pytest.raises(BadPaymentOrders, match=re.escape(message)):
        read_payment_orders(tmp_path / "orders.csv")


# --- the command ------------------------------------------------------------------------------------------------------


def command(*arguments: object) -> list[str]:
    return [*ACTORIUM, "standing-orders", *map(str, arguments)]


def environment() -> dict[str, str]:
    return {**os.environ, "NO_COLOR": "1", "COLUMNS": "200"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_payment_orders(tmp_path / "orders.csv", generate_payment_orders(orders=40, seed=2))
    return tmp_path / "orders.csv"


def months(text: str) -> list[str]:
    return re.findall(r"^ ?(\d{4}-\d\d .*?)\s*$", text, re.MULTILINE)


def test_the_command_pays_and_checks(file: Path) -> None:
    done = subprocess.run(
        command("--data", file, "--months", 3), capture_output=True, text=True, timeout=100, env=environment()
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert "40 standing orders from" in done.stdout
    assert [line[:7] for line in months(done.stdout)] == ["1993-01", "1993-02", "1993-03"]
    assert "money is conserved, and none of" in done.stdout


@pytest.mark.about("sqlite", "the command has its log in a file")
def test_killed_at_any_moment_it_continues_and_ends_the_same(file: Path, tmp_path: Path) -> None:
    whole = subprocess.run(
        command("--data", file, "--months", 6), capture_output=True, text=True, timeout=100, env=environment()
    )
    arguments = command("--data", file, "--months", 6, "--db", tmp_path / "bank.db")
    for kill_at in ("paying: 60 of", "paying: 120 of"):
        _run_until(arguments, kill_at)
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=100, env=environment())
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert "money is conserved" in done.stdout
    # Which calls get no answer depends on the attempts of one process; who is refused, and who is broke, does not.
    if "did not answer: undone" not in whole.stdout + done.stdout:
        assert months(done.stdout) == months(whole.stdout)


def _run_until(arguments: list[str], line: str) -> None:
    process = subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment()
    )
    assert process.stdout is not None
    for said in _lines(process):
        if line in said:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()


def _lines(process: "subprocess.Popen[str]") -> Iterator[str]:
    assert process.stdout is not None
    yield from process.stdout


def test_wrong_usage_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "wrong.csv").write_text("nothing\n", encoding="utf-8")
    (tmp_path / "empty.csv").write_text("order_id,account_id,bank_to,account_to,amount,purpose\n", encoding="utf-8")
    for arguments, message in (
        (["--data", str(tmp_path / "none.csv")], "there is no file"),
        (["--data", str(tmp_path / "wrong.csv")], "is not a file of payment orders"),
        (["--data", str(tmp_path / "empty.csv")], "has no payment orders"),
        (["--db", str(tmp_path)], "is a directory"),
    ):
        assert run(["standing-orders", *arguments]) == 2
        assert message in capsys.readouterr().err.replace("\n", " ")
