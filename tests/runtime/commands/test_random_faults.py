"""The log's guarantees under random commands, faults, duplicates, cancellations and little room."""

import asyncio
import random
from collections import defaultdict
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from support.bank import (
    Account,
    Add,
    CloseDown,
    Deposit,
    FailToDecide,
    FailToEvolve,
    OpenAccount,
    Stay,
    Tally,
    Withdraw,
)
from support.stores import Fault, FaultyStore, whole_log
from support.virtual_time import run_virtual, steps, until

from actorium import Ack, ActoriumError, Command, NotFound, Passivation, Runtime, Settings
from actorium.store.event_store import StreamRead
from actorium.store.events import EncodedRecord, Metadata
from actorium.store.names import StreamName

IDS = ("a", "b", "c")


def a_command(chance: random.Random) -> Command:
    id = chance.choice(IDS)
    return chance.choice(
        [
            Add(id, chance.randint(1, 9), events=chance.randint(1, 3), needs=chance.choice([0, 0, 5, 50])),
            Add(id),
            Stay(id),
            FailToDecide(id),
            FailToEvolve(id),
            OpenAccount(id),
            Deposit(id, chance.randint(1, 9)),
            Withdraw(id, chance.randint(1, 20)),
            CloseDown(id),
        ]
    )


class Episode:
    """One runtime, one stretch of random traffic, and what must hold when it is over."""

    def __init__(self, seed: int) -> None:
        self.chance = chance = random.Random(seed)
        self.store = FaultyStore()
        self.fault_rate = chance.choice([0.0, 0.1, 0.4])
        self.store.next_fault = self.fault
        self.settings = Settings(
            mailbox_limit=chance.choice([1, 3, 1_000]),
            max_in_flight=chance.choice([1, 4, 10_000]),
            turn_budget=chance.choice([1, 64]),
            max_batch_events=chance.choice([1, 4, 2_000]),
            passivation=Passivation(max_live=chance.choice([1, 3, None]), idle_s=chance.choice([0.05, None])),
            tail_events=chance.choice([1, 100]),
            hydration_backoff_s=0.001,
        )
        self.commands: dict[str, Command] = {}
        self.sent: list[tuple[str, asyncio.Task[Ack]]] = []
        self.seen: list[int] = []

    def fault(self) -> Fault:
        if self.chance.random() < self.fault_rate:
            return self.chance.choice(["before", "after", "slow"])
        return self.chance.choice(["none", "slow"])

    async def run(self) -> None:
        async with Runtime([Tally, Account], store=self.store, settings=self.settings) as runtime:
            follower = asyncio.ensure_future(self.follow(runtime))
            for _ in range(self.chance.randint(10, 120)):
                self.act(runtime)
                if self.chance.random() < 0.5:
                    await steps(self.chance.randrange(6))
                if self.chance.random() < 0.1:
                    await asyncio.sleep(self.chance.random() / 5)
            await asyncio.wait([task for _, task in self.sent])
            self.fault_rate = 0.0
            await self.settle(runtime)
            await self.check(runtime)
        await follower
        assert self.seen == list(range(1, len(self.seen) + 1))

    def act(self, runtime: Runtime) -> None:
        chance = self.chance
        if self.sent and chance.random() < 0.15:
            chance.choice(self.sent)[1].cancel()
        elif self.commands and chance.random() < 0.25:
            command_id = chance.choice(list(self.commands))
            self.send(runtime, command_id)
        else:
            command_id = f"command-{len(self.commands)}"
            self.commands[command_id] = a_command(chance)
            self.send(runtime, command_id)

    def send(self, runtime: Runtime, command_id: str) -> None:
        timeout_s = self.chance.choice([0.01, 0.1, 600.0])
        call = runtime.send(self.commands[command_id], command_id=command_id, timeout_s=timeout_s)
        self.sent.append((command_id, asyncio.ensure_future(call)))

    async def follow(self, runtime: Runtime) -> None:
        async for recorded in runtime.events():
            self.seen.append(recorded.position)
            if self.chance.random() < 0.1:
                await asyncio.sleep(self.chance.random() / 20)

    async def settle(self, runtime: Runtime) -> None:
        await until(lambda: runtime.statistics().in_flight == 0)
        # What failed may have been written: the end of the log is known again after the next commit.
        self.commands["last"] = Add("last")
        await runtime.send(self.commands["last"], command_id="last")

    async def check(self, runtime: Runtime) -> None:
        log = await whole_log(self.store.inner)
        streams: dict[StreamName, list[EncodedRecord]] = defaultdict(list)
        effects: dict[str, list[EncodedRecord]] = defaultdict(list)
        for position, record in enumerate(log, 1):
            assert record.position == position
            streams[record.stream].append(record)
            effects[msgspec.json.decode(record.metadata, type=Metadata).command_id].append(record)
            assert record.version == len(streams[record.stream])
        await self.check_effects(effects)
        self.check_acks(effects)
        await self.check_states(runtime, streams)
        statistics = runtime.statistics()
        assert (statistics.in_flight, statistics.waiting_for_room) == (0, 0)
        assert statistics.position == len(log)
        await until(lambda: len(self.seen) >= len(log))

    async def check_effects(self, effects: dict[str, list[EncodedRecord]]) -> None:
        for command_id, records in effects.items():
            first, last = records[0], records[-1]
            assert last.position - first.position + 1 == len(records), f"{command_id} took effect in two places"
            assert {record.stream for record in records} == {first.stream}
            found = (await self.store.inner.find_commands([command_id])).get(command_id)
            assert found is not None
            assert (found.first_version, found.version) == (first.version, last.version)
            command = self.commands[command_id]
            expected = {Add: getattr(command, "events", 1), CloseDown: 2}.get(type(command), 1)
            assert len(records) == expected, f"{command_id} took effect {len(records) / expected} times"

    def check_acks(self, effects: dict[str, list[EncodedRecord]]) -> None:
        for command_id, task in self.sent:
            if task.cancelled():
                continue
            error = task.exception()
            assert error is None or isinstance(error, ActoriumError), repr(error)
            if error is not None:
                continue
            ack = task.result()
            records = effects.get(command_id, []) if ack.events else []
            assert [msgspec.json.decode(record.payload) for record in records] == msgspec.to_builtins(list(ack.events))
            if records:
                assert (records[-1].version, records[-1].position) == (ack.version, ack.position)
                assert records[0].stream.id == ack.stream_id

    async def check_states(self, runtime: Runtime, streams: dict[StreamName, list[EncodedRecord]]) -> None:
        for aggregate in (Tally, Account):
            for id in IDS:
                records = streams.get(StreamName(aggregate.__name__, id), [])
                state: Any = None
                try:
                    state = await runtime.get(aggregate, id)
                except NotFound:
                    assert records == []
                    continue
                assert state == await runtime.get(aggregate, id, at_version=len(records))
                page = await self.store.inner.read_streams([StreamRead(records[0].stream)])
                assert page[0].events == records


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.integers(0, 2**32))
def test_the_log_the_replies_and_the_states_agree_under_random_faults(seed: int) -> None:
    run_virtual(Episode(seed).run())
