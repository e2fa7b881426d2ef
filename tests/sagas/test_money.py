"""The total is constant: in a thousand concurrent transfers, and through many kills of the process."""

import asyncio
import random
import signal
import subprocess
import sys
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

import msgspec
import pytest
from support.postgres import new_log
from support.runs_on import ON_SQLITE
from support.stores import whole_log
from support.transfer_child import ACCOUNTS, BALANCE, ended, request, transfer
from support.transfers import Account, Desk, Transfer

from actorium import EventStore, Runtime
from actorium.store.events import EncodedRecord
from actorium.store.memory import MemoryStore

CHILD = Path(__file__).resolve().parents[1] / "support" / "transfer_child.py"
TOTAL = ACCOUNTS * BALANCE
SEED = 20_261_122


class Books:
    """The sum of all money after each event of the log: what is in accounts, and what sagas hold by their own state.

    A saga holds the amount from its debit until its credit or its refund. Its own stream says which of the two it is
    about to make; an account's event in between is known to be its by the command's id.
    """

    def __init__(self) -> None:
        self.accounts: Counter[str] = Counter()
        self.held: dict[str, int] = {}
        self.intents: dict[str, str] = {}
        self.status: dict[str, str] = {}
        self.moves: dict[str, list[str]] = {}

    def take(self, record: EncodedRecord) -> None:
        payload = msgspec.json.decode(record.payload)
        id = record.stream.id
        if record.stream.type == "Account":
            self._move(id, record.type, payload, msgspec.json.decode(record.metadata)["command_id"])
        elif record.stream.type == "Transfer":
            self._saga(id, record.type, payload)

    def _move(self, account: str, type: str, payload: dict[str, int], command_id: str) -> None:
        amount = payload["amount"]
        self.accounts[account] += -amount if type == "Withdrawn" else amount
        if type == "Opened":
            return
        owner, _, rest = command_id.partition("/")
        saga, key, index = rest.rsplit("/", 2)
        assert (owner, index) == ("~Transfer", "0")
        assert self.intents[saga] == key, "a command left before its intent was recorded"
        self.moves.setdefault(saga, []).append(key)
        if type == "Withdrawn":
            assert saga not in self.held, "withdrawn twice"
            self.held[saga] = amount
        else:
            assert self.held.pop(saga) == amount, "paid in what was not held"

    def _saga(self, saga: str, type: str, payload: dict[str, str]) -> None:
        if type == "saga.step_issued":
            self.intents[saga] = payload["key"]
        elif type == "saga.step_succeeded":
            assert payload["key"] in self.moves[saga], "said to be done, and it is not"
        elif type in ("saga.completed", "saga.undone"):
            assert saga not in self.status, "it ended twice"
            assert saga not in self.held, "it ended with money in its hands"
            self.status[saga] = type

    @property
    def total(self) -> int:
        return sum(self.accounts.values()) + sum(self.held.values())


async def check_books(store: EventStore, requests: int) -> None:
    """Check that the sum is right at every position of the log, and that every saga ended properly and once."""
    books = Books()
    records = await whole_log(store)
    for record in records:
        books.take(record)
        if len(books.accounts) == ACCOUNTS:
            assert books.total == TOTAL, f"after position {record.position}"
    assert books.held == {}
    refused = sum(request(number).target.endswith("_closed") for number in range(requests))
    assert Counter(books.status.values()) == {"saga.completed": requests - refused, "saga.undone": refused}
    for saga, status in books.status.items():
        assert books.moves[saga] == ["debit", "credit" if status == "saga.completed" else "debit:undo"]


@pytest.mark.asyncio
async def test_the_sum_is_constant_at_every_position_under_a_thousand_transfers() -> None:
    store = MemoryStore()
    async with Runtime([Account, Desk, Transfer], store=store) as runtime:
        await transfer(runtime, 1_000)
        await ended(runtime, 1_000)
        assert [one async for one in runtime.sagas.list(status="failed")] == []
        await check_books(store, 1_000)


def run_until_killed(url: str, requests: int, accepted: int) -> None:
    """Let a process carry out transfers, and kill it when it has accepted this many."""
    child = subprocess.Popen([sys.executable, str(CHILD), url, str(requests)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert len(child.stdout.read(accepted)) == accepted, "it ended before it was killed"
    child.send_signal(signal.SIGKILL)
    child.wait(timeout=30)
    child.stdout.close()


@pytest.mark.parametrize(
    ("kind", "kills", "requests"),
    [pytest.param("sqlite", 25, 1_000, marks=list(ON_SQLITE.marks)), ("postgresql", 6, 200)],
)
def test_the_sum_is_constant_through_kills_and_every_saga_ends_once(
    tmp_path: Path, kind: str, kills: int, requests: int
) -> None:
    """There are more requests than are accepted until the last kill."""
    chance = random.Random(SEED)
    with new_log(standby="wait") if kind == "postgresql" else nullcontext(f"sqlite:///{tmp_path}/bank.db") as url:
        for _ in range(kills):
            run_until_killed(url, requests, chance.randint(1, 20))
        asyncio.run(finish_and_check(url, requests))


async def finish_and_check(url: str, requests: int) -> None:
    async with Runtime([Account, Desk, Transfer], store=url) as runtime:
        await transfer(runtime, requests)
        await ended(runtime, requests)
        await check_books(runtime.store, requests)
