"""The index of streams lags behind the log: nothing is missed meanwhile, and no two events have one place."""

import asyncio
import contextlib
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from actorium.store.errors import CorruptStore, WrongExpectedVersion
from actorium.store.event_store import AppendBatch, EventStore, StreamRead
from actorium.store.names import StreamName
from actorium.store.sql.stream_heads import StreamHead, StreamHeads
from actorium.store.sqlite import SQLiteStore
from actorium.store.sqlite.adapter import SQLiteLog
from actorium.store.sqlite.file import DatabaseFile
from actorium.store.sqlite.integrity.repair import repair_file
from actorium.store.sqlite.journal import Journal
from actorium.store.sqlite.reading import LogQueries
from actorium.store.sqlite.schema import migrate
from actorium.store.sqlite.settings import SQLiteSettings
from actorium.store.sqlite.streams.recent import RecentEvents
from actorium.testing.contract_words import ALICE, BOB, append, commit, versions

RUN_EVENTS = 8
STREAMS = [StreamName("Account", str(number)) for number in range(6)]


class SmallRuns(SQLiteLog):
    """The store that ships; only that it merges eight events at a time."""

    def __init__(self, path: Path) -> None:
        settings = SQLiteSettings("OFF", 1, 1_000, busy_timeout_s=5.0, verify_mb=64)
        super().__init__(DatabaseFile(path), settings, run_events=RUN_EVENTS)


@contextlib.asynccontextmanager
async def opened(path: Path, **options: Any) -> AsyncIterator[SQLiteLog]:
    store = SmallRuns(path)
    await store.open(**options)
    try:
        yield store
    finally:
        await store.close()


def change(path: Path, sql: str) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        assert db.execute(sql).rowcount > 0, "the test changes nothing"


def indexed(path: Path) -> int:
    """How many events the index holds."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        return int(db.execute("SELECT count(*) FROM stream_versions").fetchone()[0])


async def killed(store: SQLiteLog, path: Path) -> Path:
    """A copy of the log as a process leaves it that is killed now, all of it in the file itself."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    copy = path.parent / "killed" / path.name
    copy.parent.mkdir()
    shutil.copy(path, copy)
    return copy


async def given_unindexed_events(path: Path) -> Path:
    """A log whose process was killed: Alice has versions 1 to 4, Bob has 1, and the index holds none of them."""
    async with opened(path) as store:
        await commit(store, append(ALICE, 0, 3), append(BOB, 0), append(ALICE, 3))
        return await killed(store, path)


async def grow(store: EventStore, counts: Counter[StreamName], chance: random.Random) -> None:
    """Commit a few appends to streams at random."""
    appends = []
    for _ in range(chance.randint(1, 4)):
        stream, count = chance.choice(STREAMS), chance.randint(1, 3)
        appends.append(append(stream, counts[stream], count))
        counts[stream] += count
    outcomes = (await store.append(AppendBatch(1, appends))).outcomes
    assert all(isinstance(outcome, int) for outcome in outcomes), outcomes


async def require_all(store: EventStore, counts: Counter[StreamName], *, limit: int) -> None:
    """Read all streams in pages of this length, and compare them with what was written."""
    for after in range(0, max(counts.values(), default=0) + limit, limit):
        pages = await store.read_streams([StreamRead(stream, after, limit) for stream in STREAMS])
        for stream, page in zip(STREAMS, pages, strict=True):
            end = counts[stream]
            expected = list(range(after + 1, min(after + limit, end) + 1))
            assert [record.version for record in page.events] == expected, stream
            assert page.is_last is (after + len(expected) >= end), (stream, after)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.asyncio
async def test_streams_are_whole_at_every_moment_for_every_reader(tmp_path: Path, seed: int) -> None:
    path, chance, counts = tmp_path / "log.db", random.Random(seed), Counter[StreamName]()
    for _ in range(3):
        async with opened(path) as store:
            await require_all(store, counts, limit=100)
            async with opened(path, read_only=True) as onlooker:
                for _ in range(25):
                    await grow(store, counts, chance)
                    for reader in (store, onlooker):
                        await require_all(reader, counts, limit=chance.choice([1, 2, 3, 100]))
            assert 0 < indexed(path) < counts.total()
        assert indexed(path) == counts.total(), "a clean close leaves nothing to be read again"


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.asyncio
async def test_streams_are_whole_after_a_kill_at_any_stage_of_a_merge(tmp_path: Path, seed: int) -> None:
    chance, counts = random.Random(seed), Counter[StreamName]()
    for life in range(12):
        path = tmp_path / str(life) / "log.db"
        path.parent.mkdir(exist_ok=True)
        async with opened(path) as store:
            await require_all(store, counts, limit=chance.choice([2, 100]))
            for _ in range(chance.randint(1, 6)):
                await grow(store, counts, chance)
            copy = await killed(store, path)
        (tmp_path / str(life + 1)).mkdir()
        shutil.copy(copy, tmp_path / str(life + 1) / "log.db")
        assert await checked(copy) == []


async def checked(path: Path) -> list[str]:
    store = SQLiteStore(path)
    await store.open(read_only=True)
    try:
        return await store.damage()
    finally:
        await store.close()


@pytest.mark.asyncio
async def test_memory_holds_two_runs_at_most(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        migrate(db, ":memory:")
        writer = Journal(db, run_events=100)
        largest = 0
        for version in range(400):
            writer.commit(db, AppendBatch(1, [append(stream, version) for stream in STREAMS]))
            largest = max(largest, writer.recent.end - writer.recent.begin)
        assert 100 < largest <= 2 * 100 + len(STREAMS)


# --- No two events have one place -------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_indexed", [False, True])
def test_an_append_on_a_stale_head_is_refused_whatever_memory_says(
    monkeypatch: pytest.MonkeyPatch, is_indexed: bool
) -> None:
    """A planted bug: the cache of heads forgets the last event of each stream."""
    get = StreamHeads.get

    def one_behind(heads: StreamHeads, stream: StreamName) -> StreamHead | None:
        head = get(heads, stream)
        return head and StreamHead(head.id, max(0, head.version - 1), head.checksum)

    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        migrate(db, ":memory:")
        writer = Journal(db)
        writer.commit(db, AppendBatch(1, [append(ALICE, 0, 2)]))
        if is_indexed:
            writer.close(db)
            writer = Journal(db)
        monkeypatch.setattr(StreamHeads, "get", one_behind)
        with contextlib.suppress(sqlite3.IntegrityError):  # the bug is still there when the batch is tried again
            (outcome,) = writer.commit(db, AppendBatch(1, [append(ALICE, 1)])).appended.outcomes
            assert isinstance(outcome, WrongExpectedVersion)
        assert db.execute("SELECT count(*) FROM events").fetchone() == (2,)


def stream_id(db: sqlite3.Connection, stream: StreamName) -> int:
    return int(db.execute("SELECT id FROM streams WHERE name = ?", (stream.id,)).fetchone()[0])


def test_a_head_that_a_reader_offered_long_ago_is_not_believed() -> None:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        migrate(db, ":memory:")
        writer = Journal(db, run_events=4, stream_heads_max=2)
        stream, *others = STREAMS
        writer.commit(db, AppendBatch(1, [append(stream, 0)]))
        old = StreamHead(stream_id(db, stream), 1, 0)
        writer.commit(db, AppendBatch(1, [append(stream, 1, 2)]))
        for version in range(10):
            writer.commit(db, AppendBatch(1, [append(other, version) for other in others]))
        assert writer.recent.newest(stream) is None, "the stream is in the index only"
        writer.heads.offer(stream, old)
        (refused,) = writer.commit(db, AppendBatch(1, [append(stream, 1)])).appended.outcomes
        assert isinstance(refused, WrongExpectedVersion)
        assert refused.actual == 3


FORK = (
    "INSERT INTO events SELECT (SELECT max(position) + 1 FROM events), stream, version, type, payload, metadata, "
    "recorded_us, checksum, NULL, NULL, NULL FROM events WHERE position = 2"
)


@pytest.mark.asyncio
async def test_a_second_event_of_one_place_in_memory_ends_the_writing(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with opened(path) as store:
        await commit(store, append(ALICE, 0, 3))
        change(path, FORK)
        for _ in range(3):
            with pytest.raises(CorruptStore, match="position 4 does not follow those of its stream"):
                await commit(store, append(BOB, 0))
    with pytest.raises(CorruptStore):
        await SmallRuns(path).open()


@pytest.mark.asyncio
async def test_a_second_event_of_one_place_in_the_index_is_refused_when_it_is_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program writes it, and a planted bug lets it pass until the index itself refuses it."""
    path = tmp_path / "log.db"
    async with opened(path) as store:
        await commit(store, append(ALICE, 0, 3))
    async with opened(path) as store:
        await commit(store, append(BOB, 0))
        change(path, FORK)
        accepted = await accepted_until_refused(store, "Account<alice> has version 2 twice, at positions 2 and 5")
        assert accepted <= 2 * RUN_EVENTS
        with pytest.raises(CorruptStore, match="Account<alice> has version 2 twice"):
            await commit(store, append(BOB, accepted + 1))
        assert await versions(store, BOB) == list(range(1, accepted + 2)), "what was acknowledged stays readable"
        assert "has version 2 twice" not in str(await store.damage())
    with pytest.raises(CorruptStore, match="Account<alice> has version 2 twice, at positions 2 and 5"):
        await SmallRuns(path).open()
    with pytest.raises(CorruptStore, match="two events have the same stream and version"):
        repair_file(str(path))


async def accepted_until_refused(store: EventStore, words: str) -> int:
    """Append to Bob, who has one event, until that is refused in these words."""
    accepted = 0

    async def append_on() -> None:
        nonlocal accepted
        for version in range(1, 40):
            await commit(store, append(BOB, version))
            accepted += 1

    with pytest.raises(CorruptStore, match=words):
        await append_on()
    return accepted


# --- What is not committed --------------------------------------------------------------------------------------------


def test_an_event_that_is_announced_and_not_written_is_not_there(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        migrate(db, ":memory:")
        writer = Journal(db)
        writer.commit(db, AppendBatch(1, [append(ALICE, 0, 2), append(BOB, 0)]))
        alice, bob = stream_id(db, ALICE), stream_id(db, BOB)
        reader = LogQueries(db, (writer.recent, writer.heads))
        writer.recent.announce([(ALICE, alice, 2, 4, 2)])
        for limit, is_last in ((1, False), (2, False), (3, True), (9, True)):
            (page,) = reader.streams(db, [StreamRead(ALICE, 0, limit)], 1_000)
            assert ([one.version for one in page.events], page.is_last) == ([1, 2][:limit], is_last)
        writer.recent.withdraw()
        writer.recent.announce([(BOB, bob, 1, 4, 1)])
        assert [one.version for one in reader.streams(db, [StreamRead(BOB)], 1_000)[0].events] == [1]


def test_withdrawn_events_leave_nothing_behind() -> None:
    recent = RecentEvents()
    recent.announce([(ALICE, 1, 0, 1, 2)])
    recent.commit()
    for _ in range(2):
        recent.announce([(ALICE, 1, 2, 3, 1)])
        recent.announce([(BOB, 2, 0, 4, 1)])
        recent.withdraw()
    tail = recent.tail(ALICE)
    assert tail is not None
    assert (tail.version, tail.positions, recent.tail(BOB), recent.end, recent.younger_events) == (
        2,
        [1, 2],
        None,
        2,
        2,
    )


# --- Damage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE stream_versions_mark SET position = position - 1",
        "UPDATE stream_versions_mark SET position = 99, complement = ~99",
        "UPDATE stream_versions_mark SET complement = 'none'",
        "DELETE FROM stream_versions_mark",
        "DELETE FROM stream_versions WHERE version = 4",
        "UPDATE stream_versions SET position = 1 WHERE version = 2 AND stream = 1",
        "UPDATE stream_versions SET stream = 2 WHERE version = 4",
    ],
)
@pytest.mark.asyncio
async def test_a_damaged_index_is_refused_and_rebuilt_from_the_events(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "log.db"
    async with opened(path) as store:
        await commit(store, append(ALICE, 0, 4), append(BOB, 0))
    change(path, damage)
    with pytest.raises(CorruptStore, match="index of streams"):
        await SmallRuns(path).open()
    assert repair_file(str(path)) == []
    async with opened(path) as store:
        assert (await versions(store, ALICE), await versions(store, BOB)) == ([1, 2, 3, 4], [1])
        assert await store.damage() == []


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE events SET stream = 2 WHERE position = 5",
        "UPDATE events SET version = 9 WHERE position = 5",
        "UPDATE events SET payload = '{}' WHERE position = 5",
        "DELETE FROM events WHERE position = 4",
    ],
)
@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.asyncio
async def test_a_damaged_event_that_no_index_holds_yet_is_refused(tmp_path: Path, damage: str, read_only: bool) -> None:
    """Nothing but the event itself says which stream it belongs to: that stream would be read without it."""
    path = await given_unindexed_events(tmp_path / "log.db")
    change(path, damage)
    with pytest.raises(
        CorruptStore, match=r"not in the index of streams yet is damaged|does not follow those of its stream"
    ):
        async with opened(path, read_only=read_only) as store:
            await versions(store, ALICE)


@pytest.mark.asyncio
async def test_a_tool_reads_what_it_can_of_a_damaged_log(tmp_path: Path) -> None:
    path = await given_unindexed_events(tmp_path / "log.db")
    change(path, "UPDATE events SET version = 9 WHERE position = 5")
    async with opened(path, read_only=True, verified=False) as store:
        assert (await versions(store, ALICE), await versions(store, BOB)) == ([1, 2, 3], [1])
    assert [text for text in repair_file(str(path)) if "index" in text] == []
    async with opened(path) as store:
        assert await versions(store, BOB) == [1]


@pytest.mark.asyncio
async def test_an_onlooker_that_slept_through_many_merges_reads_all(tmp_path: Path) -> None:
    path, counts = tmp_path / "log.db", Counter[StreamName]()
    async with opened(path) as store, opened(path, read_only=True) as onlooker:
        await grow(store, counts, random.Random(1))
        await require_all(onlooker, counts, limit=100)
        for seed in range(60):
            await grow(store, counts, random.Random(seed))
        await require_all(onlooker, counts, limit=100)


@pytest.mark.asyncio
async def test_readers_beside_a_busy_writer_see_no_stream_shrink(tmp_path: Path) -> None:
    path, counts, chance = tmp_path / "log.db", Counter[StreamName](), random.Random(1)
    async with opened(path) as store:

        async def look() -> None:
            seen = Counter[StreamName]()
            while not is_done.is_set():
                known = acknowledged.copy()
                pages = await store.read_streams([StreamRead(stream, 0, 10_000) for stream in STREAMS])
                for stream, page in zip(STREAMS, pages, strict=True):
                    found = [record.version for record in page.events]
                    assert found == list(range(1, len(found) + 1))
                    assert len(found) >= max(seen[stream], known[stream])
                    seen[stream] = len(found)

        async def write() -> None:
            for _ in range(300):
                await grow(store, counts, chance)
                acknowledged.update(counts - acknowledged)
            is_done.set()

        acknowledged, is_done = Counter[StreamName](), asyncio.Event()
        await asyncio.gather(write(), look())
        await require_all(store, counts, limit=10_000)
