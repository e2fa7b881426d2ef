"""`actorium copy`: the same log in another store, where the application goes on as if nothing had happened."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.bank import Add, Tally
from support.command_line import output
from support.postgres import new_log, with_options
from support.read_models import Sums, Totals
from support.transfer_child import ended
from support.transfers import Account, Ask, Desk, Transfer, open_accounts

from actorium import Runtime
from actorium.copying import compare, copy_events
from actorium.store.event_store import Append, AppendBatch, CommandMark
from actorium.store.events import EncodedEvent, Metadata, as_json
from actorium.store.names import StreamName
from actorium.store.urls import open_store
from actorium.testing.contract_words import ALICE, append

PARTS = [Account, Desk, Transfer, Tally, Totals, Sums]


@pytest.fixture
def database() -> Iterator[str]:
    """The URL of a new log in PostgreSQL."""
    with new_log() as url:
        yield url


async def use(store: str, number: int) -> None:
    """Let an application write events, carry out sagas and fill projections."""
    async with Runtime(PARTS, store=store) as runtime:
        await open_accounts(runtime, **{f"{number}a": 100, f"{number}b": 100})
        for n in range(3):
            await runtime.send(Ask(f"desk{n}", f"{number}a", f"{number}b", 10), command_id=f"ask {number} {n}")
        await runtime.send(Add("t", 5, events=3), command_id=f"add {number}", wait_for=[Totals, Sums])
        await ended(runtime, 3 * number)


@pytest.mark.parametrize("to_postgresql", [True, False])
@pytest.mark.asyncio
async def test_an_application_continues_on_the_copy(
    tmp_path: Path, database: str, capsys: pytest.CaptureFixture[str], to_postgresql: bool
) -> None:
    file = f"sqlite:///{tmp_path}/log.db"
    source, target = (file, database) if to_postgresql else (database, file)
    await use(source, 1)
    for _ in range(2):  # a second time: there is nothing left to copy
        code, out, err = await asyncio.to_thread(output, capsys, "copy", source, target)
        assert code == 0, err
        assert "events copied and compared" in out
    async with Runtime(PARTS, store=source) as before, Runtime(PARTS, store=target) as after:
        head = before.statistics().position
        assert after.statistics().position == head
        again = await after.send(Add("t", 5, events=3), command_id="add 1")
        assert again.duplicate
        assert await after.query(Totals.of, "t", after=head) == await before.query(Totals.of, "t") == 15
        assert [saga.id async for saga in after.sagas.list(Transfer)] == [
            saga.id async for saga in before.sagas.list(Transfer)
        ]
        assert (await after.get(Account, "1b")).balance == 130
    await use(target, 2)


def of_command(id: str) -> Append:
    """Three events of one command."""
    events = tuple(EncodedEvent("Counted", 1, b"%d" % n, as_json(Metadata(command_id=id))) for n in range(3))
    return Append(StreamName("Counter", id), 0, events, CommandMark(id, 7))


class Interrupted(Exception):
    """Somebody pressed Ctrl-C."""


@pytest.mark.asyncio
async def test_an_interrupted_copy_continues_where_it_ended(tmp_path: Path, database: str) -> None:
    source, target = open_store(f"sqlite:///{tmp_path}/log.db"), open_store(database)
    await source.open()
    await target.open()
    for number in range(4):
        await source.append(AppendBatch(number, [of_command(f"{number} {n}") for n in range(150)]))

    def interrupt(position: int) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        await copy_events(source, target, interrupt)
    # The page of 1,000 events ends inside a command, which is copied whole with the next page.
    assert (await target.head()).position == 999
    told: list[int] = []
    assert await copy_events(source, target, told.append) == 1_800
    assert told == [1_800]
    await compare(source, target, 1_800)
    assert (await target.find_commands(["3 149"])).get("3 149") == (await source.find_commands(["3 149"])).get("3 149")
    await source.close()
    await target.close()


@pytest.mark.asyncio
async def test_another_log_is_not_overwritten(
    tmp_path: Path, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = f"sqlite:///{tmp_path}/log.db"
    await use(source, 1)
    store = open_store(database)
    await store.open()
    await store.append(AppendBatch(1, [append(ALICE, 0)]))
    await store.close()
    code, _, err = await asyncio.to_thread(output, capsys, "copy", source, database)
    assert code == 2
    assert "holds a different log: its event at position 1 is not the one in" in err
    code, _, err = await asyncio.to_thread(output, capsys, "copy", f"{source}x", database)
    assert code == 2
    assert "there is no log: sqlite" in err
    code, _, err = await asyncio.to_thread(output, capsys, "copy", source, with_options(database, shema="x"))
    assert code == 2


def test_a_log_is_not_copied_to_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = f"sqlite:///{tmp_path}/log.db"
    code, _, err = output(capsys, "copy", log, log)
    assert code == 2
    assert "cannot be copied to itself: give the URL of another log" in " ".join(err.split())
