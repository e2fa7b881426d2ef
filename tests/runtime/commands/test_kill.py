"""Durability and idempotency when the process dies: SIGKILL while commands are in flight, then SIGINT, on real
files.
"""

import asyncio
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest
from support.bank import Tally
from support.child import command

from actorium import Runtime
from actorium.store.sqlite import SQLiteStore

CHILD = Path(__file__).resolve().parents[2] / "support" / "child.py"
KILLS = 25
SEED = 20_261_122


class Child:
    """A process under load, with what it has acknowledged so far: command number to version and position."""

    def __init__(self, database: Path, first: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(CHILD), str(database), str(first)], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.stdout: IO[str] = self.process.stdout
        self.acks: dict[int, tuple[int, int]] = {}
        self.lines: list[str] = []

    def read(self) -> bool:
        """Read one line; return False at the end."""
        line = self.stdout.readline()
        if not line.endswith("\n"):
            return False
        self.lines.append(line.strip())
        if line.startswith("ack "):
            number, version, position = map(int, line.split()[1:])
            self.acks[number] = (version, position)
        return True

    def run_until_acknowledged(self, count: int) -> None:
        while len(self.acks) < count:
            assert self.read(), f"the child ended by itself: {self.lines[-3:]}"

    def end(self, how: signal.Signals) -> int:
        """Send a signal, read the rest of the pipe, and return the exit code."""
        self.process.send_signal(how)
        while self.read():
            pass
        self.stdout.close()
        return self.process.wait(timeout=30)


async def check(database: Path, acks: dict[int, tuple[int, int]], *, send_again: int) -> None:
    """Check the log against every acknowledgement, then send the last commands again and check that nothing changes."""
    store = SQLiteStore(database)
    async with Runtime([Tally], store=store) as runtime:
        head = runtime.statistics().position
        positions, versions, totals = 0, dict.fromkeys((f"t{n}" for n in range(7)), 0), dict[str, int]()
        effects: dict[str, list[tuple[int, int]]] = {}
        async for recorded in runtime.events():
            positions += 1
            versions[recorded.stream_id] += 1
            assert (recorded.position, recorded.version) == (positions, versions[recorded.stream_id])
            effects.setdefault(recorded.metadata.command_id, []).append((recorded.version, recorded.position))
            amount = getattr(recorded.event, "amount", 0)
            totals[recorded.stream_id] = totals.get(recorded.stream_id, 0) + amount
            if positions == head:
                break
        for number, place in acks.items():
            assert effects[f"c{number}"][-1] == place, f"command {number} was acknowledged and is not there"
        for command_id, places in effects.items():
            number = int(command_id[1:])
            assert len(places) == command(number).events, f"command {number} took effect more than once, or in part"
        for number in sorted(acks)[-send_again:]:
            again = await runtime.send(command(number), command_id=f"c{number}")
            assert again.duplicate
            assert (again.version, again.position) == acks[number]
        assert runtime.statistics().position == head
        for id, total in totals.items():
            assert (await runtime.get(Tally, id)).total == total


@pytest.mark.asyncio
async def test_no_acknowledged_command_is_lost_or_doubled_in_25_kills(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    database = tmp_path / "log.db"
    acks: dict[int, tuple[int, int]] = {}
    first = 0
    for kill in range(1, KILLS + 1):
        child = Child(database, first)
        child.run_until_acknowledged(chance.randint(1, 120))
        assert child.end(signal.SIGKILL) == -signal.SIGKILL
        assert not acks.keys() & child.acks.keys()
        acks |= child.acks
        first = max(acks) + 1_000  # beyond all that was in flight
        await check(database, acks, send_again=50 if kill < KILLS else len(acks))


@pytest.mark.asyncio
async def test_commands_in_flight_at_a_kill_are_sent_again_and_take_effect_once(tmp_path: Path) -> None:
    database = tmp_path / "log.db"
    child = Child(database, 0)
    child.run_until_acknowledged(40)
    child.end(signal.SIGKILL)
    async with Runtime([Tally], store=SQLiteStore(database)) as runtime:
        last = max(child.acks) + 60
        sent = await asyncio.gather(*(runtime.send(command(n), command_id=f"c{n}") for n in range(last)))
        assert {n for n, ack in enumerate(sent) if ack.duplicate} >= child.acks.keys()
        assert runtime.statistics().position == sum(command(n).events for n in range(last))
        again = await asyncio.gather(*(runtime.send(command(n), command_id=f"c{n}") for n in range(last)))
        assert [ack.position for ack in again] == [ack.position for ack in sent]


@pytest.mark.asyncio
async def test_ctrl_c_lets_accepted_commands_finish_and_closes(tmp_path: Path) -> None:
    database = tmp_path / "log.db"
    child = Child(database, 0)
    child.run_until_acknowledged(30)
    assert child.end(signal.SIGINT) == 0
    stopping = child.lines.index("stopping")
    after = child.lines[stopping + 1 :]
    assert after[-2:] == ["stopped", "interrupted"]
    answered = [line for line in after if line.startswith(("ack", "refused"))]
    assert len(answered) >= 24  # every caller was answered, none was left hanging
    assert not database.with_name("log.db-wal").exists()
    await check(database, child.acks, send_again=len(child.acks))
    # What was accepted was drained: nothing is in the log that was not acknowledged.
    async with Runtime([Tally], store=SQLiteStore(database)) as runtime:
        assert runtime.statistics().position == sum(command(n).events for n in child.acks)
