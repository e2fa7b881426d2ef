"""The start order: followers before commands are accepted, senders after; the stop order is the reverse."""

import asyncio

import anyio.abc
import pytest
from support.bank import Add, Added, Tally
from support.virtual_time import settled, virtual

from actorium import Settings, react
from actorium.actors.commands import Ack
from actorium.application import Runtime
from actorium.catalog import Catalog
from actorium.errors import RuntimeClosed
from actorium.runtime.component import Component
from actorium.runtime.engine import Engine
from actorium.runtime.environment import RuntimeEnvironment
from actorium.runtime.instrument import Instruments
from actorium.runtime.lifecycle import Assembly, Lifecycle
from actorium.runtime.statistics import Counters
from actorium.store.event_store import Head
from actorium.store.memory import MemoryStore
from actorium.testing import LoopSource


class Life:
    """A lifecycle with an engine and components that note what they are told, and whether commands were accepted."""

    def __init__(self, *, fails: str = "") -> None:
        self.noted: list[tuple[str, bool]] = []
        self.fails = fails
        counters = Counters()
        catalog = Catalog([Tally])
        environment = RuntimeEnvironment(
            MemoryStore(),
            catalog.codec,
            Settings(drain_s=5),
            LoopSource(0),
            Instruments([counters]),
            lambda: self.lifecycle.is_stopping,
        )

        def assemble(head: Head, stored: object) -> Assembly:
            engine = Engine(catalog.aggregates, [], environment, head, counters, self.lifecycle.crashed)
            return Assembly(engine, [Noted(self, "first"), Noted(self, "second")], [Noted(self, "sender")])

        self.lifecycle = Lifecycle(environment, environment.store.open, assemble)

    def note(self, what: str) -> None:
        self.noted.append((what, self.lifecycle.accepting))
        if what == self.fails:
            raise ZeroDivisionError(what)


class Noted(Component):
    def __init__(self, life: Life, name: str) -> None:
        self._life = life
        self._name = name

    async def prepare(self) -> None:
        self._life.note(f"prepare {self._name}")

    async def start(self, tasks: anyio.abc.TaskGroup) -> None:
        self._life.note(f"start {self._name}")

    async def stop(self) -> None:
        self._life.note(f"stop {self._name}")
        if self._life.fails == "hang":
            await asyncio.Event().wait()


@virtual
async def test_components_start_in_order_and_stop_in_reverse() -> None:
    life = Life()
    await life.lifecycle.start()
    assert life.noted == [
        ("prepare first", False),
        ("start first", False),
        ("prepare second", False),
        ("start second", False),
        ("prepare sender", False),
        ("start sender", True),
    ]
    life.noted.clear()
    await life.lifecycle.stop()
    assert life.noted == [("stop sender", False), ("stop second", False), ("stop first", False)]
    assert await life.lifecycle.ended() is None


@pytest.mark.parametrize("phase", ["prepare second", "start second", "prepare sender", "start sender"])
def test_a_component_that_cannot_start_fails_the_start_and_closes_the_runtime(phase: str) -> None:
    @virtual
    async def run() -> None:
        life = Life(fails=phase)
        with pytest.raises(ZeroDivisionError, match=phase):
            await life.lifecycle.start()
        assert not life.lifecycle.accepting
        assert isinstance(await life.lifecycle.ended(), ZeroDivisionError)
        with pytest.raises(RuntimeClosed, match="was started before"):
            await life.lifecycle.start()

    run()


@virtual
async def test_a_component_that_never_stops_gets_the_drain_time() -> None:
    life = Life(fails="hang")
    await life.lifecycle.start()
    began = asyncio.get_running_loop().time()
    await life.lifecycle.stop()
    assert asyncio.get_running_loop().time() - began == pytest.approx(5.0)


@virtual
async def test_a_bug_of_the_runtime_ends_it_with_that_error() -> None:
    life = Life()
    await life.lifecycle.start()
    life.lifecycle.crashed(ZeroDivisionError("a bug"))
    assert repr(await life.lifecycle.ended()) == "ZeroDivisionError('a bug')"


@virtual
async def test_a_reaction_may_send_a_command_at_its_first_event() -> None:
    store, sent = MemoryStore(), list[Ack]()
    async with Runtime([Tally], store=store) as runtime:
        await runtime.send(Add("t"))

    @react(on_replay="run")
    async def copy(event: Added) -> None:
        if len(sent) == 0:
            sent.append(await again.send(Add("copy")))

    again = Runtime([Tally, copy], store=store)
    async with again:
        await settled()
        assert [ack.version for ack in sent] == [1]
