"""Scenarios with a bug in the user's code, which the simulator must find and describe truthfully."""

import asyncio
import random
import time

from support.small_scenarios import Add, Sum, total

from actorium import (
    Aggregate,
    Command,
    Event,
    IdempotencyKey,
    Projection,
    Reader,
    Rejected,
    Saga,
    Transaction,
    decide,
    evolve,
    on,
    query,
    react,
    starts,
    step,
)
from actorium.simulation import World, simulation


class Write(Command):
    value: int


class Written(Event):
    value: int


class Cell(Aggregate):
    value: int = 0

    @decide
    def write(self, command: Write) -> Written:
        return Written(command.value)

    @evolve
    def written(self, event: Written) -> None:
        self.value = event.value


@simulation(seeds=20)
async def lost_update(world: World) -> None:
    """Clients read a value and write it back plus one, without saying which version they read."""
    cells = world.runtime([Cell])
    async with world.calm():
        await cells.send(Write("c", 0))
    added: list[int] = []

    async def client() -> None:
        value = (await cells.get(Cell, "c")).value
        await cells.send(Write("c", value + 1))
        added.append(value)

    world.eventually(
        "every addition counts",
        lambda view: view.get(Cell, "c").value == len(added),
        within_s=60,  # type: ignore[union-attr]
    )
    await asyncio.gather(*(client() for _ in range(3)))


@simulation(seeds=20)
async def sold_twice(world: World) -> None:
    """A handler uses a cache outside the state, so its decisions depend on earlier calls."""
    taken: set[str] = set()

    class Take(Command):
        pass

    class Taken(Event):
        pass

    class Seat(Aggregate):
        is_taken: bool = False

        @decide
        def take(self, command: Take) -> Taken:
            if self.id in taken:
                raise Rejected("taken")
            taken.add(self.id)
            return Taken()

        @evolve
        def was_taken(self, event: Taken) -> None:
            self.is_taken = True

    seats = world.runtime([Seat])
    for number in range(4):
        try:
            await seats.send(Take(f"s{number}"))
        except Rejected:
            continue


class Asked(Event):
    pass


class Ask(Command):
    pass


class Desk(Aggregate):
    @decide
    def ask(self, command: Ask) -> Asked:
        return Asked()

    @evolve
    def asked(self, event: Asked) -> None:
        pass


class Move(Saga):
    """Takes one from `a` and gives it to `b`; when the giving takes too long, what was taken is lost."""

    @starts(correlate=lambda recorded: recorded.stream_id)
    def asked(self, event: Asked) -> None:
        pass

    @step(undo=None)
    def take(self) -> Add:
        return Add("a", -1)

    @step(timeout_s=20)
    def give(self) -> Add:
        return Add("b", 1)


@simulation(seeds=20)
async def no_undo(world: World) -> None:
    sums = world.runtime([Sum, Desk, Move])
    async with world.calm():
        await sums.send(Add("a", 10))
    world.conserved("nothing is lost", total)
    for number in range(4):
        await sums.send(Ask(f"m{number}"))


@simulation(seeds=20)
async def charged_twice(world: World) -> None:
    charged: list[int] = []

    @react(on_replay="run", name="charge")
    async def charge(event: Written, key: IdempotencyKey) -> None:
        charged.append(event.value)  # without the key

    cells = world.runtime([Cell, charge])
    world.eventually(
        "everything is charged once", lambda view: len(charged) == len([*view.events(Written)]), within_s=600
    )
    for number in range(5):
        await cells.send(Write(f"c{number}", 1))


@simulation(seeds=20)
async def counted_outside(world: World) -> None:
    """A projection keeps its sum outside its tables, so that a replay counts twice."""
    written = 0

    class Sums(Projection):
        schema = "CREATE TABLE sums (sum INTEGER NOT NULL)"

        @on
        def was_written(self, event: Written, tx: Transaction) -> None:
            nonlocal written
            written += 1
            tx.execute("DELETE FROM sums")
            tx.execute("INSERT INTO sums VALUES (?)", written)

        @query
        async def sum(self, db: Reader) -> int:
            row = await db.fetch_one("SELECT sum FROM sums")
            return int(row[0]) if row else 0

    cells = world.runtime([Cell, Sums])
    for number in range(6):
        await cells.send(Write(f"c{number % 2}", number))


@simulation(seeds=20)
async def evolves_by_count(world: World) -> None:
    """A state depends on how often the process has evolved anything."""
    evolved = 0

    class Counted(Aggregate):
        value: int = 0

        @decide
        def write(self, command: Write) -> Written:
            return Written(command.value)

        @evolve
        def was_written(self, event: Written) -> None:
            nonlocal evolved
            evolved += 1
            self.value += event.value + (evolved > 3)

    runtime = world.runtime([Counted])
    for _ in range(6):
        await runtime.send(Write("c", 5))
    await runtime.get(Counted, "c")


@simulation(seeds=200)
async def counts_on_all(world: World) -> None:
    """States beforehand what all its commands come to; and that the process crashes, which faults alone break."""
    sums = world.runtime([Sum])
    world.eventually(
        "all is added, without a crash", lambda view: total(view) == 3 and len(world.nodes[0].lives) == 1, within_s=60
    )
    for _ in range(3):
        await sums.send(Add("a", 1))


@simulation(seeds=20)
async def draws(world: World) -> None:
    """A handler draws random numbers, so nobody can replay what broke the scenario's own invariant."""

    class Lot(Aggregate):
        total: int = 0

        @decide
        def draw(self, command: Write) -> Written:
            return Written(random.randrange(1_000_000))

        @evolve
        def was_written(self, event: Written) -> None:
            self.total += event.value

    lots = world.runtime([Lot])
    world.always("the total is small", lambda view: all(lot.total < 500_000 for lot in view.all(Lot)))
    for number in range(8):
        await lots.send(Write("l", number))


@simulation(seeds=20)
async def reads_the_clock(world: World) -> None:
    """The state holds the machine's time, so it differs at each replay."""

    class Seen(Aggregate):
        seen_s: float = 0.0

        @decide
        def write(self, command: Write) -> Written:
            return Written(command.value)

        @evolve
        def was_written(self, event: Written) -> None:
            self.seen_s = time.perf_counter()

    runtime = world.runtime([Seen])
    for number in range(4):
        await runtime.send(Write("a", number))
