"""Runs a command line of `actorium` in this process, with an application that has a dead letter."""

import asyncio
import importlib

import pytest

from actorium.benchmarks.account import Deposit
from actorium_cli import run

TROUBLED = """
from actorium import Projection, RecordedEvent, Retry, Runtime, Settings, Transaction, on
from actorium.benchmarks.account import Account, Deposited

class Totals(Projection):
    schema = "CREATE TABLE totals (account TEXT PRIMARY KEY, amount INTEGER NOT NULL)"
    poison = frozenset({666})

    @on
    def deposited(self, event: Deposited, recorded: RecordedEvent, tx: Transaction) -> None:
        if event.amount in self.poison:
            raise ValueError("poison")
        tx.execute(
            "INSERT INTO totals VALUES (?, ?) "
            "ON CONFLICT (account) DO UPDATE SET amount = totals.amount + excluded.amount",
            recorded.stream_id, event.amount,
        )

def runtime() -> Runtime:
    return Runtime([Account, Totals], store="sqlite:///troubled.db", settings=Settings(handler_retry=Retry(attempts=1)))
"""


def write_troubled_log(module: str) -> None:
    """Run the application, written as a module that can be imported: one event is parked, with one behind it."""
    app = importlib.import_module(module)

    async def park() -> None:
        async with app.runtime() as runtime:
            for amount in (1, 666, 5):
                ack = await runtime.send(Deposit("alice", amount))
            await runtime.processors[app.Totals].checkpoint.reached(ack.position)

    asyncio.run(park())


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Carry out a command line; return its exit code, standard output and standard error."""
    code = run(arguments)
    captured = capsys.readouterr()
    return code, _about_logs(captured.out), _about_logs(captured.err)


def _about_logs(text: str) -> str:
    """Leave out what is logged about the server of the tests, which runs without fsync."""
    return "".join(line for line in text.splitlines(keepends=True) if "store.unsafe_server" not in line)
