"""A projection when the process is killed: the tables always match the log up to their checkpoint.

Run as a program, this file is the process that is killed: `python test_projection_kill.py <database> <rebuild> <killer>
<count>` moves money while `Books` follows, and writes a point for each event that a handler takes. rebuild:
"again" to reset the projection first. killer: "handler" or "commit" to die by its own hand when a handler is called for
the time number `count`, or before (even: after) a commit of the projection; "other" to go on until somebody else comes.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest
import structlog

from actorium.store.event_store import SaveCheckpoint, SaveFailure
from actorium.store.urls import open_store

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from support.bank import Account, AccountOpened, Deposit, Deposited, OpenAccount, Withdraw, Withdrawn
from support.stores import PassedThrough, whole_log

from actorium import Event, EventStore, Projection, Reader, RecordedEvent, Rejected, Runtime, Transaction, on, query
from actorium.runtime.projections.table_projection import checkpoint_name

CHECKPOINT = checkpoint_name("Books", 1)
ACCOUNTS = 23
CALLERS = 12
COMMANDS = 10_000  # more than any process comes to: one whose projection stands still ends by itself
KILLS = 15
COUNT_MAX = {"handler": 1_500, "commit": 60, "other": 1_500}
SEED = 20_261_122


class Books(Projection):
    """Nothing in it can be written twice unseen: each event adds to a balance, to a total and to a list."""

    schema = """
        CREATE TABLE balances (id TEXT PRIMARY KEY, balance INTEGER NOT NULL);
        CREATE TABLE totals (type TEXT PRIMARY KEY, amount INTEGER NOT NULL, events INTEGER NOT NULL);
        CREATE TABLE taken (position INTEGER PRIMARY KEY)
    """
    called: ClassVar[Callable[[], None]] = staticmethod(lambda: None)

    @on
    def opened(self, event: AccountOpened, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        self._move("opened", 0, recorded, tx)

    @on
    def deposited(self, event: Deposited, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        self._move("deposited", event.amount, recorded, tx)

    @on
    def withdrawn(self, event: Withdrawn, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        self._move("withdrawn", -event.amount, recorded, tx)

    def _move(self, type: str, amount: int, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        tx.execute(
            "INSERT INTO balances VALUES (?, ?) "
            "ON CONFLICT (id) DO UPDATE SET balance = balances.balance + excluded.balance",
            recorded.stream_id,
            amount,
        )
        Books.called()
        tx.execute(
            "INSERT INTO totals VALUES (?, ?, 1) "
            "ON CONFLICT (type) DO UPDATE SET amount = totals.amount + excluded.amount, events = totals.events + 1",
            type,
            amount,
        )
        tx.execute("INSERT INTO taken VALUES (?)", recorded.position)

    @query
    async def balances(self, db: Reader) -> dict[str, int]:
        return dict(await db.fetch_all("SELECT id, balance FROM balances"))


class Death:
    """Comes when it was called so many times."""

    def __init__(self, count: int) -> None:
        self._left = count

    def __call__(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class MortalStore(PassedThrough):
    """Calls before and after each commit in which the projection has written something."""

    def __init__(self, inner: EventStore, called: Callable[[], None]) -> None:
        super().__init__(inner)
        self._called = called

    async def save(self, checkpoints: Sequence[SaveCheckpoint]) -> Mapping[int, SaveFailure]:
        is_watched = any(one.name == CHECKPOINT and one.statements for one in checkpoints)
        if is_watched:
            self._called()
        failed = await self.inner.save(checkpoints)
        if is_watched:
            self._called()
        return failed


async def move_money(runtime: Runtime, numbers: Iterator[int]) -> None:
    for number in numbers:
        id, amount = f"a{number % ACCOUNTS}", 1 + number % 97
        try:
            await runtime.send(Withdraw(id, amount) if number % 3 == 0 else Deposit(id, amount))
        except Rejected:
            pass


async def main(url: str, rebuild: str, killer: str, count: int) -> None:
    deaths = {name: Death(count if name == killer else 0) for name in ("handler", "commit")}

    def called() -> None:
        deaths["handler"]()
        os.write(1, b".")

    Books.called = staticmethod(called)
    store = MortalStore(open_store(url), deaths["commit"])
    async with Runtime([Account, Books], store=store) as runtime:
        for n in range(ACCOUNTS):
            await runtime.send(OpenAccount(f"a{n}"), command_id=f"open a{n}")
        numbers = iter(range(COMMANDS))
        callers = [asyncio.create_task(move_money(runtime, numbers)) for _ in range(CALLERS)]
        if rebuild == "again":
            await runtime.processors[Books].reset()
        await asyncio.gather(*callers)


def run_until_killed(url: str, rebuild: str, killer: str, count: int) -> None:
    """Let a process follow the log until it kills itself, or kill it when its handlers were called so many times."""
    child = subprocess.Popen([sys.executable, __file__, url, rebuild, killer, str(count)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    points = child.stdout.read(count if killer == "other" else -1)
    if killer == "other":
        assert len(points) == count, "it ended before it was killed"
        child.send_signal(signal.SIGKILL)
    assert child.wait(timeout=30) == -signal.SIGKILL
    child.stdout.close()


async def check_books(store: EventStore) -> int:
    """Check that each table matches the log up to the checkpoint; return how far behind the log that is."""
    checkpoint = await store.load_checkpoint(CHECKPOINT)
    log = await whole_log(store)
    balances, amounts, events = Counter[str](), Counter[str](), Counter[str]()
    for record in log[:checkpoint]:
        payload = msgspec.json.decode(record.payload)
        type = record.type.removeprefix("Account").lower()
        amount = {"opened": 0, "deposited": 1, "withdrawn": -1}[type] * payload.get("amount", 0)
        balances[record.stream.id] += amount
        amounts[type] += amount
        events[type] += 1
    assert dict(await store.query("SELECT id, balance FROM balances", ())) == balances
    totals = {type: (amount, count) for type, amount, count in await store.query("SELECT * FROM totals", ())}
    assert totals == {type: (amounts[type], events[type]) for type in events}
    taken = [position for (position,) in await store.query("SELECT position FROM taken ORDER BY position", ())]
    assert taken == list(range(1, checkpoint + 1)), "something was left out, or taken too early"
    return len(log) - checkpoint


@pytest.mark.asyncio
async def test_through_15_kills_the_balances_match_the_log_up_to_their_checkpoint(log_url: str) -> None:
    chance = random.Random(SEED)
    for kill in range(KILLS):
        killer = ("handler", "commit", "other")[kill % 3]
        run_until_killed(log_url, "again" if kill % 4 == 3 else "on", killer, chance.randint(1, COUNT_MAX[killer]))
        store = open_store(log_url)
        await store.open()
        behind = await check_books(store)
        await store.close()
        assert behind or killer != "handler", "killed while it handled an event, and the event is done"
    store = open_store(log_url)
    async with Runtime([Account, Books], store=store) as runtime:
        balances = await runtime.query(Books.balances, after=runtime.statistics().position)
        assert balances == {id: (await runtime.get(Account, id)).balance for id in balances}
        assert len(balances) == ACCOUNTS
        assert runtime.processors[Books].dead_letters() == []
        assert await check_books(store) == 0


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
