"""Rebuild the states that a power cut could leave of a recorded run; check that all acknowledged commands survive.

The power can be cut after any step of the run on the disk. If few sectors are un-synced, every possible state of the
disk is rebuilt. Otherwise: the two extremes, all lost and all kept, and a random sample between them.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from actorium.actors.commands import Ack
from actorium.runtime.projections.table_projection import checkpoint_name
from actorium.simulation.disk.choices import every_state
from actorium.simulation.disk.disk import SimulatedDisk
from actorium.simulation.disk.recording import moments
from actorium.simulation.disk.store import SimulatedSqliteStore
from actorium.simulation.disk.workload import FILE, CoinsPut, Purses, Recording, record
from actorium.store.errors import ActoriumError
from actorium.store.event_store import Append, AppendBatch, EventStore, StreamRead
from actorium.store.events import EncodedEvent, EncodedRecord
from actorium.store.names import StreamName

_EVERY_STATE_SECTORS_MAX = 2
_SAMPLES = 6  # besides all lost and all kept
_COMMANDS_LOOKED_UP = 5
_PAGE_EVENTS = 1_000
_EXAMPLES_MAX = 3
_CHECKPOINT = checkpoint_name("purses", Purses.version)
_PURSE_TABLES = "SELECT count(*) FROM sqlite_master WHERE name = 'purses'"


class PowerCutOutcome(msgspec.Struct):
    """The counts for one run or several.

    cuts: moments at which the power was cut.
    states: distinct disks that resulted, each opened and read completely.
    lossy: states that lack an acknowledged command.
    lost: the number of acknowledged commands missing in the worst state.
    wrong: states whose log is not a prefix of the written one, or that cannot be used.
    examples: descriptions of some lossy and wrong states.
    """

    runs: int = 0
    cuts: int = 0
    states: int = 0
    lossy: int = 0
    lost: int = 0
    wrong: int = 0
    examples: list[str] = []

    def add(self, other: PowerCutOutcome) -> None:
        """Add the counts of other runs."""
        self.runs += other.runs
        self.cuts += other.cuts
        self.states += other.states
        self.lossy += other.lossy
        self.lost = max(self.lost, other.lost)
        self.wrong += other.wrong
        self.examples = [*self.examples, *other.examples][:_EXAMPLES_MAX]

    def note(self, text: str) -> None:
        """Keep an example unless there are enough."""
        if len(self.examples) < _EXAMPLES_MAX and text not in self.examples:
            self.examples.append(text)


async def lose_power(seed: int, synchronous: str, *, commands: int = 60) -> PowerCutOutcome:
    """Record a run, cut its power after every step and examine the results; the same seed gives the same states."""
    recording = await record(seed, synchronous, commands=commands)
    positions = [ack.position for ack in recording.acknowledged]
    chance, outcome = random.Random(seed), PowerCutOutcome(runs=1)
    heads: dict[bytes, int] = {}  # the end of the log in every state examined so far
    lossy: set[bytes] = set()
    for number, disk, acknowledged in moments(recording.steps):
        outcome.cuts += 1
        place = f"run {seed}, cut after step {number}"
        for state in states_after_a_cut(disk, chance):
            key = _digest(state)
            if key not in heads:
                try:
                    heads[key] = await examine(state, recording, acknowledged)
                except (ActoriumError, AssertionError) as error:
                    outcome.wrong += 1
                    outcome.note(f"{place}: {type(error).__name__}: {error}")
                    heads[key] = len(recording.log)
            missing = sum(position > heads[key] for position in positions[:acknowledged])
            if missing:
                lossy.add(key)
                outcome.lost = max(outcome.lost, missing)
                is_are = "is" if missing == 1 else "are"
                outcome.note(f"{place}: {missing} of {acknowledged} acknowledged commands {is_are} gone")
    outcome.states, outcome.lossy = len(heads), len(lossy)
    return outcome


def states_after_a_cut(disk: SimulatedDisk, chance: random.Random) -> Iterator[SimulatedDisk]:
    """Yield disks that a power cut at this moment could leave."""
    if disk.unsynced_sectors() <= _EVERY_STATE_SECTORS_MAX:
        yield from every_state(disk)
        return
    yield disk.possible_after_power_cut(lambda site, options: 0)
    yield disk.possible_after_power_cut(lambda site, options: 1)
    for _ in range(_SAMPLES):
        yield disk.possible_after_power_cut(lambda site, options: chance.randrange(options))


async def examine(state: SimulatedDisk, recording: Recording, acknowledged: int) -> int:
    """Open a log, read everything, and write to it; return its last position before the write.

    Raises ActoriumError if something cannot be read, and AssertionError if it differs from what was written.
    """
    store = SimulatedSqliteStore(state, FILE)
    await store.open()
    try:
        log: list[EncodedRecord] = []
        while page := await store.read_log(len(log), _PAGE_EVENTS):
            log += page
        head = len(log)
        _require((await store.head()).position == head, "the head of the log does not match its last event")
        _require(log == recording.log[:head], "an event differs from what was written")
        await _require_streams(store, log)
        await _require_commands(store, recording.acknowledged[:acknowledged], head)
        await _require_read_model(store, log)
        _require(await store.damage() == [], "a check finds damage")
        await _require_service(store, log)
    finally:
        await store.close()
    return head


async def _require_streams(store: EventStore, log: Sequence[EncodedRecord]) -> None:
    streams: dict[StreamName, list[EncodedRecord]] = {}
    for event in log:
        streams.setdefault(event.stream, []).append(event)
    pages = await store.read_streams([StreamRead(name) for name in streams])
    _require([page.events for page in pages] == list(streams.values()), "a stream differs from its events in the log")


async def _require_commands(store: EventStore, acknowledged: Sequence[Ack], head: int) -> None:
    there = [ack for ack in acknowledged if ack.position <= head]
    for ack in there[-_COMMANDS_LOOKED_UP:]:
        found = (await store.find_commands([ack.command_id])).get(ack.command_id)
        place = None if found is None else (found.stream.id, found.version, found.position)
        _require(place == (ack.stream_id, ack.version, ack.position), f"command {ack.command_id} is not found")


async def _require_read_model(store: EventStore, log: Sequence[EncodedRecord]) -> None:
    position = await store.load_checkpoint(_CHECKPOINT)
    _require(position <= len(log), "the read model is ahead of the log")
    coins: Counter[str] = Counter()
    for event in log[:position]:
        coins[event.stream.id] += msgspec.json.decode(event.payload, type=CoinsPut).coins
    rows = []
    if await store.query(_PURSE_TABLES, ()) != [(0,)]:
        rows = await store.query("SELECT purse, coins FROM purses", ())
    _require(dict(rows) == dict(coins), "the read model does not match its checkpoint")


async def _require_service(store: EventStore, log: Sequence[EncodedRecord]) -> None:
    after = Append(StreamName("Purse", "after the cut"), 0, (EncodedEvent("CoinsPut", 1, b"{}", b"{}"),))
    committed = await store.append(AppendBatch(0, [after]))
    _require(list(committed.outcomes) == [len(log) + 1], "the next commit is not accepted")


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)


def _digest(disk: SimulatedDisk) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for name in disk.names():
        content = disk.content(name)
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.digest()
