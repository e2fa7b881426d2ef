"""What a restored log knows of the application that wrote it: commands, sagas, reactions, read models."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from support.backups import bring_back, take
from support.bank import Add, Added, Tally
from support.read_models import Totals
from support.transfer_child import ended
from support.transfers import Account, Ask, Desk, Transfer, TransferRequested, open_accounts

from actorium import RecordedEvent, Runtime, react
from actorium.backup import BackupFolder
from actorium.backup.followers import followers_at
from actorium.backup.manifest import Manifest
from actorium.store.event_store import DeadLetter
from actorium.store.names import StreamName

FLOWS = 6


class Told:
    """What a reaction has done in the world outside."""

    def __init__(self) -> None:
        self.positions: list[int] = []
        self.changed = asyncio.Event()

    def reaction(self) -> object:
        @react(on_replay="run", name="tell")
        async def tell(event: Added, recorded: RecordedEvent[Added]) -> None:
            self.positions.append(recorded.position)
            self.changed.set()

        return tell


async def use(log: str, told: Told) -> int:
    """Let an application write events, carry out sagas and fill projections; return the end of the log."""
    async with Runtime([Account, Desk, Transfer, Tally, Totals, told.reaction()], store=log) as runtime:
        await open_accounts(runtime, a=100, b=100)
        for n in range(FLOWS):
            await runtime.send(Ask(f"desk{n}", "a", "b", 10), command_id=f"ask {n}")
            await runtime.send(Add("t", 1), command_id=f"add {n}", wait_for=[Totals])
        await ended(runtime, FLOWS)
        await reached(told, FLOWS)
        return runtime.statistics().position


async def reached(told: Told, count: int) -> None:
    while len(told.positions) < count:
        told.changed.clear()
        await told.changed.wait()


@pytest.mark.asyncio
async def test_an_application_continues_on_the_restored_log(new_log_url: Callable[[str], str], tmp_path: Path) -> None:
    log, restored, told = new_log_url("log"), new_log_url("restored"), Told()
    head = await use(log, told)
    folder = BackupFolder(tmp_path / "backup")
    await take(log, folder)
    assert (await bring_back(folder, restored)).ahead == []
    parts = [Account, Desk, Transfer, Tally, Totals, told.reaction()]
    async with Runtime(parts, store=restored) as runtime:
        assert runtime.statistics().position == head
        assert (await runtime.send(Add("t", 1), command_id="add 2")).duplicate
        assert await runtime.query(Totals.of, "t", after=head) == FLOWS
        await ended(runtime, FLOWS)
        assert (await runtime.get(Account, "b")).balance == 100 + 10 * FLOWS
        ack = await runtime.send(Add("t", 1))
        await reached(told, FLOWS + 1)
        assert told.positions[-1] == ack.position  # nothing earlier was told again
        assert len(told.positions) == FLOWS + 1


@pytest.mark.asyncio
async def test_sagas_continue_wherever_the_restored_log_ends(new_log_url: Callable[[str], str], tmp_path: Path) -> None:
    log, told = new_log_url("log"), Told()
    await use(log, told)
    folder = BackupFolder(tmp_path / "backup")
    await take(log, folder)
    for end in range(3, max(told.positions), 5):
        restored, again = new_log_url(str(end)), Told()
        found = await bring_back(folder, restored, to_position=end)
        assert found.ahead == ["reaction tell"], end
        parts = [Account, Desk, Transfer, Tally, Totals, again.reaction()]
        async with Runtime(parts, store=restored) as runtime:
            flows = tallied = 0
            async for recorded in runtime.events():
                flows += isinstance(recorded.event, TransferRequested)
                tallied += isinstance(recorded.event, Added)
                if recorded.position == found.position:
                    break
            await ended(runtime, flows)
            assert (await runtime.get(Account, "b")).balance == 100 + 10 * flows, end
            assert await runtime.query(Totals.of, "t", after=found.position) == tallied
        assert again.positions == []


def test_checkpoints_and_dead_letters_end_with_the_log() -> None:
    letter = DeadLetter("reaction late", StreamName("Tally", "t"), 1, 8, "Added", "", "", 1, 0)
    manifest = Manifest(
        "a log",
        head=10,
        checkpoints={
            "inbox shop": 900,
            "inbox shop begins after": 800,
            "outlet orders": 10,
            "reaction late": 4,
            "reaction late derives ids after": 6,
            "reaction late replays up to": 9,
            "saga Transfer": 10,
            "saga Transfer begins after": 3,
            "subscription mail": 9,
        },
        dead_letters=(letter,),
    )
    whole = followers_at(manifest, 10)
    assert {save.name: save.position for save in whole.saves} == manifest.checkpoints
    assert [one for save in whole.saves for one in save.parked] == [letter]
    assert whole.ahead == []
    cut = followers_at(manifest, 7)
    assert {save.name: save.position for save in cut.saves} == {
        "inbox shop begins after": 800,
        "outlet orders": 7,
        "reaction late": 4,
        "reaction late derives ids after": 6,
        "reaction late replays up to": 8,
        "saga Transfer begins after": 3,
        "subscription mail": 8,
    }
    assert [one for save in cut.saves for one in save.parked] == []
    assert cut.ahead == ["outlet orders", "subscription mail"]
    assert followers_at(manifest, 8).ahead == ["outlet orders"]
    assert [one for save in followers_at(manifest, 8).saves for one in save.parked] == [letter]
