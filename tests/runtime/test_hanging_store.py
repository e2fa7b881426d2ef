"""A store that never responds: `stop` ends nevertheless, and reports unknown outcomes."""

import asyncio
import contextlib
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.bank import Add, Tally
from support.customers import Customer
from support.read_models import Totals
from support.stores import GatedStore, PassedThrough
from support.virtual_time import settled, virtual

from actorium import Settings
from actorium.application import Runtime
from actorium.errors import RuntimeClosed, StoreHangs
from actorium.store.errors import CommitUnknown
from actorium.store.event_store import PAGE_BYTES, AppendBatch, Appended, StreamPage, StreamRead
from actorium.store.personal.keys import MemoryKeys

SETTINGS = Settings(drain_s=3.0, close_s=2.0)


async def forever() -> None:
    await asyncio.Event().wait()


class NeverCloses(PassedThrough):
    async def close(self) -> None:
        await forever()


class NeverOpens(PassedThrough):
    async def open(self) -> None:
        await forever()


class Deaf(PassedThrough):
    """Its commit does not end when it is cancelled, but when it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = asyncio.Event()

    async def append(self, batch: AppendBatch) -> Appended:
        with contextlib.suppress(asyncio.CancelledError):
            await forever()
        await self.let_go.wait()
        return Appended([], 0)


async def how_long(runtime: Runtime) -> tuple[float, StoreHangs]:
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(StoreHangs) as caught:
        await runtime.stop()
    return loop.time() - began, caught.value


@virtual
async def test_a_commit_that_never_ends_is_named() -> None:
    store = GatedStore()
    runtime = Runtime([Tally], store=store, settings=SETTINGS)
    await runtime.start()
    assert (await runtime.send(Add("t"))).version == 1
    store.shut()
    sent = [asyncio.ensure_future(runtime.send(Add(id), command_id=f"c-{id}")) for id in "tu"]
    await store.commits(2)
    behind = asyncio.ensure_future(runtime.send(Add("t")))
    await settled()
    took_s, error = await how_long(runtime)
    assert took_s == SETTINGS.drain_s + SETTINGS.close_s
    assert "Tally<t> from version 2" in str(error)
    assert "Whether it is in the log is unknown" in str(error)
    assert "c-t" in error.command_ids
    for outcome in await asyncio.gather(*sent, behind, return_exceptions=True):
        assert isinstance(outcome, CommitUnknown | RuntimeClosed)
    with pytest.raises(StoreHangs):
        await runtime.stop()


@virtual
async def test_a_save_that_never_ends_is_named() -> None:
    store = GatedStore()
    runtime = Runtime([Tally, Totals], store=store, settings=SETTINGS)
    await runtime.start()
    runtime.processors[Totals].pause()
    assert (await runtime.send(Add("t"))).version == 1
    store.shut()
    runtime.processors[Totals].resume()
    await store.saved(len(store.saves) + 1)
    took_s, error = await how_long(runtime)
    assert took_s == SETTINGS.drain_s + SETTINGS.close_s
    assert "has not finished saving within close_s=2 s: projection Totals version 1" in str(error)
    assert error.command_ids == ()


class ClosedKeys(MemoryKeys):
    is_open = False

    def open(self, *, read_only: bool = False) -> None:
        self.is_open = True

    def close(self) -> None:
        self.is_open = False


@virtual
async def test_the_keys_of_personal_data_are_closed_nevertheless() -> None:
    keys, store = ClosedKeys(), NeverCloses()
    runtime = Runtime([Customer], store=store, settings=SETTINGS, keys=keys)
    await runtime.start()
    assert keys.is_open
    with pytest.raises(StoreHangs):
        await runtime.stop()
    assert not keys.is_open
    await store.inner.close()


@virtual
async def test_leaving_the_block_raises_it_too() -> None:
    store = GatedStore()

    async def use() -> None:
        async with Runtime([Tally], store=store, settings=SETTINGS) as runtime:
            store.shut()
            await runtime.tell(Add("t"))
            await store.commits(1)

    with pytest.raises(StoreHangs):
        await use()


@virtual
async def test_a_commit_that_ends_at_the_last_moment_is_reported() -> None:
    store = GatedStore()
    runtime = Runtime([Tally], store=store, settings=SETTINGS)
    await runtime.start()
    store.shut()
    sent = asyncio.ensure_future(runtime.send(Add("t")))
    await store.commits(1)
    stopping = asyncio.ensure_future(runtime.stop())
    await asyncio.sleep(SETTINGS.drain_s + SETTINGS.close_s - 0.1)
    store.let_through()
    await stopping
    assert (await sent).version == 1


@virtual
async def test_a_store_that_never_closes_is_abandoned() -> None:
    store = NeverCloses()
    runtime = Runtime([Tally], store=store, settings=SETTINGS)
    await runtime.start()
    ack = await runtime.send(Add("t"))
    took_s, error = await how_long(runtime)
    assert took_s == SETTINGS.close_s
    assert "has not closed within close_s=2 s" in str(error)
    assert (ack.version, error.command_ids) == (1, ())
    await store.inner.close()


@virtual
async def test_a_store_that_never_opens_does_not_block_the_stop() -> None:
    runtime = Runtime([Tally], store=NeverOpens(), settings=SETTINGS)
    starting = asyncio.ensure_future(runtime.start())
    await settled()
    took_s, error = await how_long(runtime)
    assert took_s == SETTINGS.drain_s + 3 * SETTINGS.close_s
    assert "has not responded" in str(error)
    with pytest.raises(StoreHangs):
        await starting


@virtual
async def test_a_commit_that_cannot_be_cancelled_does_not_block_the_stop() -> None:
    store = Deaf()
    runtime = Runtime([Tally], store=store, settings=SETTINGS)
    await runtime.start()
    sent = asyncio.ensure_future(runtime.send(Add("t"), command_id="c"))
    await settled()
    took_s, error = await how_long(runtime)
    assert took_s == SETTINGS.drain_s + SETTINGS.close_s
    assert error.command_ids == ("c",)
    with pytest.raises(CommitUnknown):
        await sent
    store.let_go.set()


@virtual
async def test_a_read_that_never_ends_is_not_reported_as_a_commit() -> None:
    class Endless(PassedThrough):
        async def read_streams(self, reads: Sequence[StreamRead], max_bytes: int = PAGE_BYTES) -> list[StreamPage]:
            await forever()
            return []

    runtime = Runtime([Tally], store=Endless(), settings=SETTINGS)
    await runtime.start()
    sent = asyncio.ensure_future(runtime.send(Add("t")))
    await settled()
    await runtime.stop()
    with pytest.raises(RuntimeClosed):
        await sent


@pytest.mark.about("sqlite", "a server has no thread that could be stuck")
def test_a_thread_that_is_stuck_in_the_store_does_not_keep_the_process_alive(tmp_path: Path) -> None:
    program = """
        import asyncio, sqlite3, sys
        from actorium import Aggregate, Command, Event, Runtime, Settings, decide, evolve
        from actorium.errors import StoreHangs
        from actorium.store.sqlite import SQLiteStore

        class Done(Event):
            pass

        class Do(Command):
            pass

        class Thing(Aggregate):
            @decide
            def do(self, command: Do) -> Done:
                return Done()

            @evolve
            def done(self, event: Done) -> None:
                pass

        async def main() -> None:
            store = SQLiteStore(sys.argv[1], busy_timeout_s=1_000_000)
            runtime = Runtime([Thing], store=store, settings=Settings(drain_s=0.01, close_s=0.01))
            await runtime.start()
            other = sqlite3.connect(sys.argv[1], isolation_level=None)
            other.execute("BEGIN IMMEDIATE")  # the writer's thread waits for this to end
            sent = asyncio.ensure_future(runtime.send(Do("t"), command_id="c"))
            while not runtime.statistics().writer.batches:
                await asyncio.sleep(0)
            try:
                await runtime.stop()
            except StoreHangs as error:
                print(error.command_ids)
            await asyncio.gather(sent, return_exceptions=True)

        asyncio.run(main())
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "log.db")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "('c',)" in ran.stdout.splitlines()
