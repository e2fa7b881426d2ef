"""Durability and idempotency when the process dies: SIGKILL while commands are in flight, then SIGINT, on real
files.
"""

import asyncio
import random
import signal
from pathlib import Path

import pytest
from support.bank import Tally
from support.child import command
from support.children import Child, check

from actorium import Runtime

KILLS = 25
SEED = 20_261_122


@pytest.mark.asyncio
async def test_no_acknowledged_command_is_lost_or_doubled_in_25_kills(log_url: str) -> None:
    chance = random.Random(SEED)
    acks: dict[int, tuple[int, int]] = {}
    first = 0
    for kill in range(1, KILLS + 1):
        child = Child(log_url, first)
        child.run_until_acknowledged(chance.randint(1, 120))
        assert child.end(signal.SIGKILL) == -signal.SIGKILL
        assert not acks.keys() & child.acks.keys()
        acks |= child.acks
        first = max(acks) + 1_000  # beyond all that was in flight
        await check(log_url, acks, send_again=50 if kill < KILLS else len(acks))


@pytest.mark.asyncio
async def test_commands_in_flight_at_a_kill_are_sent_again_and_take_effect_once(log_url: str) -> None:
    child = Child(log_url, 0)
    child.run_until_acknowledged(40)
    child.end(signal.SIGKILL)
    async with Runtime([Tally], store=log_url) as runtime:
        last = max(child.acks) + 60
        sent = await asyncio.gather(*(runtime.send(command(n), command_id=f"c{n}") for n in range(last)))
        assert {n for n, ack in enumerate(sent) if ack.duplicate} >= child.acks.keys()
        assert runtime.statistics().position == sum(command(n).events for n in range(last))
        again = await asyncio.gather(*(runtime.send(command(n), command_id=f"c{n}") for n in range(last)))
        assert [ack.position for ack in again] == [ack.position for ack in sent]


@pytest.mark.about("sqlite", "it sees that the file is closed")
@pytest.mark.asyncio
async def test_ctrl_c_lets_accepted_commands_finish_and_closes(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/log.db"
    child = Child(store, 0)
    child.run_until_acknowledged(30)
    assert child.end(signal.SIGINT) == 0
    stopping = child.lines.index("stopping")
    after = child.lines[stopping + 1 :]
    assert after[-2:] == ["stopped", "interrupted"]
    answered = [line for line in after if line.startswith(("ack", "refused"))]
    assert len(answered) >= 24  # every caller was answered, none was left hanging
    assert not (tmp_path / "log.db-wal").exists()
    await check(store, child.acks, send_again=len(child.acks))
    # What was accepted was drained: nothing is in the log that was not acknowledged.
    async with Runtime([Tally], store=store) as runtime:
        assert runtime.statistics().position == sum(command(n).events for n in child.acks)
