"""A log that was on nodes is copied, or restored from a backup: a single runtime or other nodes go on with it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from support.command_line import output
from support.postgres import new_log
from support.transfers import Account, Ask, Desk, Tell, Told, Transfer, TransferRequested, open_accounts, saga_in

from actorium import Projection, Reader, RecordedEvent, Runtime, Saga, Transaction, on, query, react, starts, step
from actorium.cluster import Cluster

FOUR = tuple(f"desk{n}" for n in range(4))


class Waiting(Saga):
    """Waits for a word about its desk."""

    @starts
    def requested(self, event: TransferRequested) -> None: ...

    @step(until=Told, correlate=lambda recorded: f"Desk/{recorded.event.about}/1", undo=None)
    def wait(self) -> None: ...


class Desks(Projection):
    """How often each desk was asked, in rows."""

    schema = "CREATE TABLE desks (id TEXT PRIMARY KEY, asked INTEGER NOT NULL)"

    @on
    def requested(self, event: TransferRequested, recorded: RecordedEvent[TransferRequested], tx: Transaction) -> None:
        tx.execute(
            "INSERT INTO desks VALUES (?, 1) ON CONFLICT (id) DO UPDATE SET asked = desks.asked + 1",
            recorded.stream_id,
        )

    @query
    async def all(self, db: Reader) -> dict[str, int]:
        return dict(await db.fetch_all("SELECT id, asked FROM desks ORDER BY id"))


class Application:
    """The parts of an application, and what its reaction was given."""

    def __init__(self) -> None:
        self.noted: list[str] = []

        @react(on_replay="skip")
        async def note(event: TransferRequested, recorded: RecordedEvent[TransferRequested]) -> None:
            self.noted.append(recorded.stream_id)

        self.parts = [Account, Desk, Transfer, Waiting, Desks, note]

    @asynccontextmanager
    async def nodes(self, store: str, *names: str) -> AsyncIterator[list[Runtime]]:
        """Run nodes, or a runtime without a cluster if there are no names."""
        async with AsyncExitStack() as stack:
            clusters = [Cluster(node=name) for name in names] or [None]
            runtimes = [Runtime(self.parts, store=store, cluster=cluster) for cluster in clusters]
            yield [await stack.enter_async_context(one) for one in runtimes]


@pytest.fixture
def source() -> Iterator[str]:
    """The URL of a new log in PostgreSQL."""
    with new_log() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql", "nodes"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """The URL of another new log, and the names of the nodes that go on with it."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/copy.db", []
        return
    with new_log() as url:
        yield url, ["c", "d"] if request.param == "nodes" else []


async def use(application: Application, store: str) -> None:
    """Let two nodes carry out transfers; each leaves a saga behind that waits, and one command is submitted."""
    async with application.nodes(store, "a", "b") as nodes:
        await open_accounts(nodes[0], ann=100, bob=0)
        for n, desk in enumerate(FOUR):
            await nodes[n % 2].send(Ask(desk, "ann", "bob", 10), command_id=f"ask {desk}")
        for n, desk in enumerate(FOUR):
            await saga_in(nodes[n % 2], Transfer, f"Desk/{desk}/1", "completed", within_s=30)
            await saga_in(nodes[n % 2], Waiting, f"Desk/{desk}/1", "running", within_s=30)
        ack = await nodes[1].submit(Ask("later", "ann", "bob", 5), after_s=3_600, command_id="later")
        assert await nodes[0].query(Desks.all, after=ack.position) == dict.fromkeys(FOUR, 1)
        while len(application.noted) < len(FOUR):  # noqa: ASYNC110  (the reaction runs beside the commands)
            await asyncio.sleep(0.05)


async def go_on(application: Application, store: str, names: list[str]) -> None:
    """Check what there is in the copy, and let every saga that waits end."""
    async with application.nodes(store, *names) as nodes:
        first, last = nodes[0], nodes[-1]
        head = first.statistics().position
        assert await last.query(Desks.all, after=head) == dict.fromkeys(FOUR, 1)
        assert (await last.send(Ask("desk0", "ann", "bob", 10), command_id="ask desk0")).duplicate
        assert {saga.id async for saga in last.sagas.list(Waiting, status="running")} == {
            f"Desk/{desk}/1" for desk in FOUR
        }
        assert [one.command_id async for one in last.submissions.list(status="waiting")] == ["later"]
        for desk in FOUR:
            await last.send(Tell("teller", desk), command_id=f"tell {desk}")
        await last.submissions.run_now("later")
        for desk in FOUR:
            await saga_in(first, Waiting, f"Desk/{desk}/1", "completed", within_s=30)
        view = await saga_in(first, Transfer, "Desk/later/1", "completed", within_s=30)
        assert view.status == "completed"
        assert [(await last.get(Account, name)).balance for name in ("ann", "bob")] == [55, 45]
        sagas = [saga.id async for saga in first.sagas.list(Transfer)]
        assert sorted(sagas) == sorted(f"Desk/{desk}/1" for desk in (*FOUR, "later"))
        while "later" not in application.noted:  # noqa: ASYNC110  (the same)
            await asyncio.sleep(0.05)
        assert application.noted == ["later"]


@pytest.mark.asyncio
async def test_a_copy_of_a_log_of_nodes_goes_on(
    source: str, target: tuple[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    await use(Application(), source)
    store, names = target
    code, _, err = await asyncio.to_thread(output, capsys, "copy", source, store)
    assert code == 0, err
    await go_on(Application(), store, names)


@pytest.mark.asyncio
async def test_a_restored_log_of_nodes_goes_on(
    source: str, target: tuple[str, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await use(Application(), source)
    store, names = target
    for command in (["backup", source, f"{tmp_path}/backup"], ["restore", f"{tmp_path}/backup", store]):
        code, _, err = await asyncio.to_thread(output, capsys, *command)
        assert code == 0, err
    await go_on(Application(), store, names)
