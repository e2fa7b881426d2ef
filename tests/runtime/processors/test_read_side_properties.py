"""Random steps: after each one, all followers of the log agree with a plain model of it."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from support.bank import Add, Added, Tally
from support.read_models import AT_ONCE, Sums, Switch, Totals, caught_up
from support.stores import whole_log
from support.virtual_time import VirtualLoop, steps

from actorium import Event, RecordedEvent, Retry, Runtime, react
from actorium.store.memory import MemoryStore

STREAMS = ("a", "b", "c")
AMOUNTS = st.sampled_from([1, 2, 0])
"""0 stands for what handlers fail at while there is poison: an amount of its own each time it is switched on."""

told: list[tuple[str, int]] = []


@react(on_replay="run", retry=Retry(attempts=1))
async def tell(event: Added, recorded: RecordedEvent[Event]) -> None:
    await asyncio.sleep(0)
    if event.amount in Switch.raises:
        raise ConnectionError("the world refuses")
    told.append((recorded.stream_id, recorded.version))


HANDLERS: tuple[Any, ...] = (Totals, Sums, tell)


class Follower:
    """The model of one processor: at which version each of its streams waits behind a dead letter."""

    def __init__(self) -> None:
        self.waits_at: dict[str, int] = {}

    def follow(self, log: dict[str, list[int]], done: dict[str, int], poison: set[int]) -> None:
        """Read the events appended since `done`."""
        for id, amounts in log.items():
            for version in range(done[id] + 1, len(amounts) + 1):
                if amounts[version - 1] in poison:
                    self.waits_at.setdefault(id, version)

    def retry(self, log: dict[str, list[int]], poison: set[int]) -> None:
        """Redeliver the waiting events."""
        for id, version in list(self.waits_at.items()):
            later = range(version, len(log[id]) + 1)
            again = [one for one in later if log[id][one - 1] in poison]
            del self.waits_at[id]
            if again:
                self.waits_at[id] = again[0]

    def handled(self, id: str, amounts: list[int]) -> list[int]:
        """Return the amounts of a stream that are finished."""
        return amounts[: self.waits_at.get(id, len(amounts) + 1) - 1]


class ReadSide(RuleBasedStateMachine):
    """Two projections and a reaction on one log, with everything that can happen to them."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=VirtualLoop)
        self.store = MemoryStore()
        self.log: dict[str, list[int]] = defaultdict(list)
        self.done: dict[str, int] = defaultdict(int)
        self.followers = {handler: Follower() for handler in HANDLERS}
        self.bad_amount = 100
        Switch.off()
        told.clear()

    def run(self, awaitable: Awaitable[Any]) -> Any:
        async def main() -> Any:
            return await awaitable

        return self.runner.run(main())

    @initialize()
    def start(self) -> None:
        self.runtime = Runtime([Tally, Totals, Sums, tell], store=self.store, settings=AT_ONCE)
        self.run(self.runtime.start())

    @rule(adds=st.lists(st.tuples(st.sampled_from(STREAMS), AMOUNTS, st.integers(1, 3)), min_size=1, max_size=8))
    def append(self, adds: list[tuple[str, int, int]]) -> None:
        async def send() -> None:
            await asyncio.gather(
                *(self.runtime.send(Add(id, amount or self.bad_amount, events=count)) for id, amount, count in adds)
            )

        self.run(send())
        for id, amount, count in adds:
            self.log[id] += [amount or self.bad_amount] * count

    @rule(
        adds=st.lists(st.tuples(st.sampled_from(STREAMS), AMOUNTS), min_size=1, max_size=5),
        after_steps=st.integers(0, 40),
    )
    def crash(self, adds: list[tuple[str, int]], after_steps: int) -> None:
        """The process dies while events are delivered; another one starts with the content of the store."""

        async def die() -> None:
            sent = [asyncio.ensure_future(self.runtime.send(Add(id, amount or self.bad_amount))) for id, amount in adds]
            await steps(after_steps)
            dying = [task for task in asyncio.all_tasks() if task.get_name() == "actorium"]
            for task in dying:
                task.cancel()
            await asyncio.gather(*dying, *sent, return_exceptions=True)

        self.run(die())
        self.run(self.store.open())
        records = self.run(whole_log(self.store))
        self.run(self.store.close())
        self.log.clear()
        for record in records:
            amount = int(bytes(record.payload).split(b":")[1].rstrip(b"}"))
            self.log[record.stream.id].append(amount)
        self.start()

    @rule()
    def restart(self) -> None:
        self.run(self.runtime.stop())
        self.start()

    @rule(poisoned=st.booleans())
    def poison(self, poisoned: bool) -> None:
        Switch.raises.clear()
        if poisoned:
            self.bad_amount += 1
            Switch.raises.add(self.bad_amount)

    @rule(handler=st.sampled_from(HANDLERS))
    def retry(self, handler: Any) -> None:
        self.run(self.runtime._reads.processors[handler].retry())
        self.followers[handler].retry(self.log, Switch.raises)

    @rule(handler=st.sampled_from(HANDLERS))
    def reset(self, handler: Any) -> None:
        self.run(self.runtime._reads.processors[handler].reset())
        self.followers[handler] = Follower()
        self.followers[handler].follow(self.log, defaultdict(int), Switch.raises)

    @invariant()
    def everything_agrees_with_the_log(self) -> None:
        self.run(caught_up(self.runtime, *HANDLERS))
        for follower in self.followers.values():
            follower.follow(self.log, self.done, Switch.raises)
        self.done.update({id: len(amounts) for id, amounts in self.log.items()})
        head = sum(map(len, self.log.values()))
        for handler, follower in self.followers.items():
            processor = self.runtime._reads.processors[handler]
            assert processor.checkpoint.position == head
            parked = {letter.stream.id: letter.version for letter in processor.dead_letters()}
            assert parked == follower.waits_at, handler
        self.rows_agree()
        self.the_checkpoint_agrees(head)
        self.reactions_came_in_order()

    def rows_agree(self) -> None:
        kept = {id: self.followers[Totals].handled(id, amounts) for id, amounts in self.log.items()}
        assert self.run(self.runtime.query(Totals.all)) == {id: (sum(all), len(all)) for id, all in kept.items() if all}
        folded = {id: self.followers[Sums].handled(id, amounts) for id, amounts in self.log.items()}
        assert self.run(self.runtime.query(Sums.all)) == {id: sum(all) for id, all in folded.items() if all}

    def the_checkpoint_agrees(self, head: int) -> None:
        for handler in (Totals, tell):
            checkpoint = self.runtime._reads.processors[handler].checkpoint
            assert self.run(self.store.load_checkpoint(checkpoint.name)) == head

    def reactions_came_in_order(self) -> None:
        """At least once: each version is preceded by the one before it, or repeats from an earlier one."""
        last: dict[str, int] = defaultdict(int)
        seen: dict[str, set[int]] = defaultdict(set)
        for id, version in told:
            assert version <= last[id] + 1, f"{id}: {version} was told after {last[id]}"
            last[id] = version
            seen[id].add(version)
        for id, amounts in self.log.items():
            over = self.followers[tell].handled(id, amounts)
            assert seen[id] >= set(range(1, len(over) + 1))

    def teardown(self) -> None:
        if hasattr(self, "runtime"):
            self.run(self.runtime.stop())
        self.runner.close()
        Switch.off()


TestReadSide = ReadSide.TestCase
TestReadSide.settings = settings(max_examples=60, stateful_step_count=20, deadline=None, derandomize=True)
