"""Two stores that both believe they own a log: the former owner was held up, and must write nothing when it goes on.

`python -m support.two_owners [rounds]` in `tests/` prints what was found, on the server that the tests share.
"""

import asyncio
import random
import sys
import time
from contextlib import AsyncExitStack

import msgspec
from support.postgres import new_log, run_sql, schema_of, with_options

from actorium.store.errors import Fenced
from actorium.store.event_store import Append, AppendBatch, SaveCheckpoint
from actorium.store.events import EncodedEvent
from actorium.store.names import StreamName
from actorium.store.urls import open_store
from actorium.testing.postgresql.proxy import proxy_before

# So long that no owner notices by itself that it was replaced.
LEASE = {"lease_s": "60", "standby": "wait"}
APPENDS_MAX = 3
TRIES_AFTERWARDS = 2
# The share of rounds with saves: one that is held up within its transaction delays the takeover for two seconds.
SAVES = 0.2
HELD_UP = 0.8


class TwoOwnersFound(msgspec.Struct):
    """What was found: `problems` must be empty, the rest says how much there was to be found.

    late: statements of a former owner that reached the server after the takeover, because they were held up.
    racing: rounds in which nothing was held up: the statements of the former owner raced with the takeover.
    """

    rounds: int = 0
    acknowledged: int = 0
    late: int = 0
    racing: int = 0
    problems: list[str] = []


class Owner:
    """A store with a proxy of its own, and what it was told about its writes."""

    def __init__(self, url: str, number: int) -> None:
        self._url = url
        self.number = number
        self._stack = AsyncExitStack()
        self._appends = 0
        self.acknowledged: dict[int, str] = {}  # position to payload
        self.saved = 0

    async def open(self) -> None:
        self.proxy, through = await self._stack.enter_async_context(proxy_before(self._url))
        self.store = open_store(with_options(through, name=f"owner{self.number}", **LEASE))
        await self.store.open()

    async def append(self) -> None:
        """Append to a new stream: only the fence can refuse that."""
        self._appends += 1
        payload = f'{{"owner":{self.number},"n":{self._appends}}}'
        event = EncodedEvent("Written", 1, payload.encode(), b"{}")
        stream = StreamName("Owner", f"{self.number}-{self._appends}")
        (position,) = (await self.store.append(AppendBatch(1, [Append(stream, 0, (event,))]))).outcomes
        assert isinstance(position, int)
        self.acknowledged[position] = payload

    async def save(self) -> None:
        await self.store.save([SaveCheckpoint("p", self.number)])
        self.saved += 1

    async def write_until_fenced(self, begun: asyncio.Event, count: int) -> None:
        """Append again and again; set an event once `count` appends are acknowledged."""
        try:
            while True:
                await self.append()
                if len(self.acknowledged) >= count:
                    begun.set()
        except Fenced:
            pass

    async def save_until_fenced(self) -> None:
        try:
            while True:
                await self.save()
        except Fenced:
            pass

    async def close(self) -> None:
        await self.store.close()
        await self._stack.aclose()


class TwoOwners:
    """A chain of takeovers on one log: in each round, the owner is replaced while it writes."""

    def __init__(self, url: str, *, seed: int) -> None:
        self._url = url
        self._chance = random.Random(seed)
        self._schema = schema_of(url)
        self.found = TwoOwnersFound()

    async def run(self, rounds: int) -> TwoOwnersFound:
        owner = Owner(self._url, 0)
        await owner.open()
        for number in range(1, rounds + 1):
            following = Owner(self._url, number)
            await self._round(owner, following)
            await owner.close()
            owner = following
            self.found.rounds = number
        await owner.close()
        await self._compare_positions()
        return self.found

    async def _round(self, owner: Owner, following: Owner) -> None:
        found, begun = self.found, asyncio.Event()
        writing = [asyncio.create_task(owner.write_until_fenced(begun, self._chance.randint(1, APPENDS_MAX)))]
        if self._chance.random() < SAVES:
            writing.append(asyncio.create_task(owner.save_until_fenced()))
        await begun.wait()
        is_held = self._chance.random() < HELD_UP
        if is_held:
            owner.proxy.hold()
        await self._sql(f'UPDATE "{self._schema}".nodes SET expires = clock_timestamp()')
        await following.open()
        end, _ = await self._state()
        before = dict(owner.acknowledged)
        for _ in range(self._chance.randint(1, APPENDS_MAX)):
            await following.append()
        await following.save()
        if is_held:
            found.late += sum(not task.done() for task in writing)
            owner.proxy.let_go()
        else:
            found.racing += 1
        await asyncio.gather(*writing)
        for attempt in (owner.append, owner.save) * TRIES_AFTERWARDS:
            try:
                await attempt()
                self._note("a former owner wrote")
            except Fenced:
                pass
        if is_held and owner.acknowledged != before:
            self._note(f"{len(owner.acknowledged)} acknowledged, {len(before)} before the takeover")
        await self._judge(owner, following, end)

    async def _judge(self, owner: Owner, following: Owner, end: int) -> None:
        """Check that after the takeover only the next owner has written, and that all acknowledged events are there."""
        position, saved = await self._state()
        first = min([end, *owner.acknowledged]) - 1
        rows = await self._sql(f'SELECT position, payload FROM "{self._schema}".events WHERE position > {first}')
        events = dict(map(tuple, rows))
        written_since = {place: payload for place, payload in events.items() if place > end}
        if written_since != following.acknowledged or position != end + len(written_since):
            self._note(
                f"after {end}, {len(written_since)} events, of which the owner wrote {len(following.acknowledged)}"
            )
        lost = owner.acknowledged.items() - events.items()
        if lost:
            self._note(f"{len(lost)} acknowledged events are not there")
        if saved != following.number:
            self._note(f"the checkpoint is at {saved}, not at {following.number}")
        self.found.acknowledged += len(owner.acknowledged)

    def _note(self, problem: str) -> None:
        self.found.problems.append(f"round {self.found.rounds + 1}: {problem}")

    async def _state(self) -> tuple[int, int]:
        saved = f"coalesce((SELECT position FROM \"{self._schema}\".checkpoints WHERE name = 'p'), 0)"
        ((position, checkpoint),) = await self._sql(f'SELECT position, {saved} FROM "{self._schema}".log')
        return position, checkpoint

    async def _compare_positions(self) -> None:
        counts = f'SELECT count(*), coalesce(max(position), 0) FROM "{self._schema}".events'
        ((count, last),) = await self._sql(counts)
        if (count, last) != (last, (await self._state())[0]):
            self._note(f"{count} events, the last at position {last}")

    async def _sql(self, sql: str) -> list[tuple[int, ...]]:
        return [tuple(row) for row in await run_sql(self._url, sql)]


if __name__ == "__main__":
    with new_log() as log:
        began = time.perf_counter()
        result = asyncio.run(TwoOwners(log, seed=1).run(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000))
        print(msgspec.json.encode(result).decode(), f"{time.perf_counter() - began:.1f} s")
        sys.exit(bool(result.problems))
