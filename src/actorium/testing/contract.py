"""`EventStoreContract`: what every event store must do, as a test suite to run against your own.

It needs only a fixture; pytest finds the tests in your subclass:

    class TestMyStore(EventStoreContract):
        @pytest.fixture
        def store(self, tmp_path):
            return MyStore(tmp_path / "log")

The fixture returns a new store for each test, empty and not open; the test opens and closes it. No plugin is needed:
the tests bring their own event loop.
"""

from __future__ import annotations

import asyncio

from actorium.store.errors import StoreInUse, StoreUnavailable
from actorium.store.event_store import (
    Append,
    AppendBatch,
    CommandMark,
    EventStore,
    Head,
    SaveCheckpoint,
    Snapshot,
    StreamRead,
)
from actorium.store.events import EncodedEvent
from actorium.store.names import CommandRecord, StreamName
from actorium.testing.contract_limits import LimitsContract
from actorium.testing.contract_rows import RowsContract
from actorium.testing.contract_search import SearchContract
from actorium.testing.contract_tables import TablesContract
from actorium.testing.contract_words import (
    ALICE,
    BOB,
    append,
    calls_of,
    commit,
    event,
    expect,
    expect_duplicate,
    expect_wrong_version,
    in_a_loop,
    linked,
    opened,
    raises,
    read,
    versions,
)


class EventStoreContract(LimitsContract, RowsContract, SearchContract, TablesContract):
    """The contract test suite for event stores; subclass it and define a fixture `store`."""

    @opened
    async def test_new_store_is_empty(self, store: EventStore) -> None:
        expect(await store.head(), Head(0, 0))
        expect(await store.read_log(0, 10), [])
        expect(await read(store, ALICE), [])
        expect((await store.find_commands(["c"])).get("c"), None)
        expect(await store.load_checkpoint("p"), 0)
        expect(await store.dead_letters("p"), [])

    @opened
    async def test_description_is_one_line(self, store: EventStore) -> None:
        text = store.describe()
        assert text, "an empty description"
        assert "\n" not in text, "more than one line"

    # Versions, positions, times

    @opened
    async def test_versions_count_in_the_stream_and_positions_in_the_log(self, store: EventStore) -> None:
        expect(await commit(store, append(ALICE, 0, 2), append(BOB, 0), append(ALICE, 2)), [1, 3, 4])
        expect(await commit(store, append(BOB, 1, 2)), [5])
        expect([(r.version, r.position) for r in await read(store, ALICE)], [(1, 1), (2, 2), (3, 4)])
        expect([(r.version, r.position) for r in await read(store, BOB)], [(1, 3), (2, 5), (3, 6)])
        log = [(r.position, r.stream, r.version) for r in await store.read_log(0, 10)]
        expect(log, [(1, ALICE, 1), (2, ALICE, 2), (3, BOB, 1), (4, ALICE, 3), (5, BOB, 2), (6, BOB, 3)])
        expect((await store.head()).position, 6)

    @opened
    async def test_an_event_is_read_back_unchanged(self, store: EventStore) -> None:
        given = (
            EncodedEvent("bank.opened", 3, '{"owner":"Žofie 🦉 \\u0000\\n"}'.encode(), b'{"headers":{"who":"me"}}'),
            EncodedEvent("Laid out", 1, b'{\n  "lines": [\n    1,\n    2\n  ]\n}', b"{\n}"),
            EncodedEvent("Big", 1, b'"' + b"x" * 1_000_000 + b'"', b"{}"),
            EncodedEvent("Least", 1, b"0", b"{}"),
        )
        await store.append(AppendBatch(5, [Append(ALICE, 0, given)]))
        for records in (await read(store, ALICE), await store.read_log(0, 10)):
            expect([EncodedEvent(r.type, r.schema_version, r.payload, r.metadata) for r in records], list(given))
            expect([r.stream for r in records], [ALICE] * 4)

    @opened
    async def test_recorded_time_never_decreases(self, store: EventStore) -> None:
        expect((await store.append(AppendBatch(500, [append(ALICE, 0)]))).recorded_us, 500)
        expect((await store.append(AppendBatch(300, [append(ALICE, 1)]))).recorded_us, 500)
        expect((await store.append(AppendBatch(700, [append(BOB, 0)]))).recorded_us, 700)
        expect([r.recorded_us for r in await store.read_log(0, 10)], [500, 500, 700])
        expect(await store.head(), Head(3, 700))

    @opened
    async def test_names_of_any_kind_are_distinguished(self, store: EventStore) -> None:
        names = [
            StreamName("a", "bc"),
            StreamName("ab", "c"),
            StreamName("a", "Bc"),
            StreamName("a", "bc "),
            StreamName("a", ""),
            StreamName("a", "'; DROP TABLE events; --"),
            StreamName("a", "{rows} % ?"),
            StreamName("a", "line\nbreak"),
            StreamName("a", "Ž"),
            StreamName("a", "Z\u030c"),
            StreamName("a", "x" * 5_000),
        ]
        await commit(store, *[append(name, 0, number + 1) for number, name in enumerate(names)])
        pages = await store.read_streams([StreamRead(name) for name in names])
        expect([len(page.events) for page in pages], [number + 1 for number in range(len(names))])
        expect({r.stream for r in await store.read_log(0, 100)}, set(names))

    @opened
    async def test_batches_of_any_size_are_written_completely(self, store: EventStore) -> None:
        streams = [StreamName("Account", str(number)) for number in range(700)]
        position = 1
        for size in (1, 5, 129, 700):
            outcomes = await commit(store, *[append(StreamName(f"A{size}", s.id), 0) for s in streams[:size]])
            expect(list(outcomes), list(range(position, position + size)))
            position += size
        expect(await commit(store, append(ALICE, 0, 1_300)), [position])
        expect(await versions(store, ALICE), list(range(1, 1_001)))
        pages = await store.read_streams([StreamRead(StreamName("A700", s.id)) for s in streams])
        expect([page.events[0].payload for page in pages], [b'{"amount":1}'] * 700)

    # The optimistic check

    @opened
    async def test_a_wrong_version_fails_its_own_append_only(self, store: EventStore) -> None:
        await commit(store, append(ALICE, 0, 2))
        outcomes = await commit(store, append(BOB, 0), append(ALICE, 1, 2), append(BOB, 1), append(ALICE, 3))
        expect((outcomes[0], outcomes[2]), (3, 4))
        expect_wrong_version(outcomes[1], ALICE, expected=1, actual=2)
        expect_wrong_version(outcomes[3], ALICE, expected=3, actual=2)
        expect(await versions(store, ALICE), [1, 2])
        expect(await versions(store, BOB), [1, 2])

    @opened
    async def test_appends_of_a_batch_see_earlier_ones(self, store: EventStore) -> None:
        expect(await commit(store, append(ALICE, 0), append(BOB, 0), append(ALICE, 1)), [1, 2, 3])

    @opened
    async def test_after_a_failed_append_no_later_one_of_its_stream_is_written(self, store: EventStore) -> None:
        outcomes = await commit(store, append(ALICE, 0), append(ALICE, 0), append(ALICE, 1), append(BOB, 0))
        expect((outcomes[0], outcomes[3]), (1, 2))
        expect_wrong_version(outcomes[1], ALICE, expected=0, actual=1)
        expect_wrong_version(outcomes[2], ALICE, expected=1, actual=1)
        expect(await commit(store, append(ALICE, 1)), [3])

    @opened
    async def test_a_failed_append_leaves_no_stream_behind(self, store: EventStore) -> None:
        outcomes = await commit(store, append(ALICE, 4))
        expect_wrong_version(outcomes[0], ALICE, expected=4, actual=0)
        expect(await store.head(), Head(0, 0))
        expect(await commit(store, append(ALICE, 0)), [1])

    @opened
    async def test_an_append_without_events_is_rejected_with_its_batch(self, store: EventStore) -> None:
        with raises(ValueError):
            await commit(store, append(BOB, 0), Append(ALICE, 0, ()))
        expect(await store.head(), Head(0, 0))

    # Commands

    @opened
    async def test_a_command_is_found_where_it_took_effect(self, store: EventStore) -> None:
        fresh = Append(BOB, 0, (event(),), CommandMark("c2", 8, fresh=True))
        await commit(store, append(ALICE, 0), append(ALICE, 1, 3, command="c1"), fresh)
        c1, c2 = CommandRecord("c1", 7, ALICE, 2, 4, 4), CommandRecord("c2", 8, BOB, 1, 1, 5)
        expect(dict(await store.find_commands(["c3", "c2", "c1", "c2"])), {"c1": c1, "c2": c2})
        expect(dict(await store.find_commands(["c3"])), {})
        expect(dict(await store.find_commands([])), {})

    @opened
    async def test_a_command_takes_effect_once(self, store: EventStore) -> None:
        record = CommandRecord("c1", 7, ALICE, 1, 2, 2)
        outcomes = await commit(store, append(ALICE, 0, 2, command="c1"), append(ALICE, 2, command="c1"))
        expect_duplicate(outcomes[1], record)
        for again in (append(ALICE, 2, command="c1"), append(BOB, 0, command="c1"), append(ALICE, 9, command="c1")):
            expect_duplicate((await commit(store, again))[0], record)
        expect((await store.head()).position, 2)

    @opened
    async def test_a_command_marked_fresh_takes_effect_once(self, store: EventStore) -> None:
        await commit(store, append(ALICE, 0, command="c1"))
        again = Append(ALICE, 1, (event(),), CommandMark("c1", 7, fresh=True))
        twice = Append(BOB, 1, (event(),), CommandMark("c2", 7, fresh=True))
        outcomes = await commit(store, append(BOB, 0), again, twice, twice)
        expect((outcomes[0], outcomes[2]), (2, 3))
        expect_duplicate(outcomes[1], CommandRecord("c1", 7, ALICE, 1, 1, 1))
        expect_duplicate(outcomes[3], CommandRecord("c2", 7, BOB, 2, 2, 3))
        expect(await commit(store, append(ALICE, 1), append(BOB, 2)), [4, 5])

    @opened
    async def test_a_failed_append_does_not_consume_its_command_id(self, store: EventStore) -> None:
        outcomes = await commit(store, append(ALICE, 3, command="c1"), append(BOB, 0, command="c1"))
        expect_wrong_version(outcomes[0], ALICE, expected=3, actual=0)
        expect(outcomes[1], 1)

    # Reads

    @opened
    async def test_a_stream_is_read_in_pages(self, store: EventStore) -> None:
        await commit(store, append(ALICE, 0, 10))
        expect([r.version for r in await read(store, ALICE, 0, 4)], [1, 2, 3, 4])
        expect([r.version for r in await read(store, ALICE, 4, 4)], [5, 6, 7, 8])
        expect([r.version for r in await read(store, ALICE, 8, 4)], [9, 10])
        expect(await read(store, ALICE, 10, 4), [])
        expect(await read(store, ALICE, 99, 4), [])

    @opened
    async def test_many_streams_are_read_in_one_call(self, store: EventStore) -> None:
        await commit(store, append(ALICE, 0, 3), append(BOB, 0, 2), append(ALICE, 3))
        nobody = StreamName("Account", "nobody")
        pages = await store.read_streams(
            [StreamRead(BOB, 1), StreamRead(nobody), StreamRead(ALICE, 0, 2), StreamRead(BOB), StreamRead(ALICE, 2)]
        )
        found = [[(r.stream.id, r.version) for r in page.events] for page in pages]
        alice, bob = "alice", "bob"
        expect(found, [[(bob, 2)], [], [(alice, 1), (alice, 2)], [(bob, 1), (bob, 2)], [(alice, 3), (alice, 4)]])
        expect(await store.read_streams([]), [])

    @opened
    async def test_the_log_is_read_in_pages(self, store: EventStore) -> None:
        await commit(store, append(ALICE, 0, 3), append(BOB, 0, 2))
        expect([r.position for r in await store.read_log(0, 2)], [1, 2])
        expect([r.position for r in await store.read_log(2, 2)], [3, 4])
        expect([r.position for r in await store.read_log(4, 2)], [5])
        expect(await store.read_log(5, 2), [])
        expect(await store.read_log(99, 2), [])

    @opened
    async def test_reads_during_commits_see_whole_batches(self, store: EventStore) -> None:
        async def write() -> None:
            for version in range(30):
                await commit(store, append(ALICE, version), append(BOB, version), append(StreamName("A", "c"), version))

        writing = asyncio.ensure_future(write())
        while not writing.done():
            await asyncio.sleep(0)
            expect((await store.head()).position % 3, 0)
            expect(len(await store.read_log(0, 1_000)) % 3, 0)
        await writing
        expect((await store.head()).position, 90)

    # Snapshots

    @opened
    async def test_a_read_starts_at_the_newest_snapshot_of_its_fingerprint(self, store: EventStore) -> None:
        first, second = Snapshot(ALICE, 2, "f1", b'{"n":2}'), Snapshot(ALICE, 4, "f1", b'{"n":4}')
        other = Snapshot(ALICE, 5, "f2", b'{"n":5}')
        await store.append(AppendBatch(1, [append(ALICE, 0, 5)], snapshots=[first, second, other]))
        await store.append(AppendBatch(1, snapshots=[first]))

        async def page(after_version: int, fingerprint: str | None) -> tuple[Snapshot | None, list[int]]:
            (found,) = await store.read_streams([StreamRead(ALICE, after_version, 10, fingerprint)])
            return found.snapshot, [r.version for r in found.events]

        expect(await page(0, "f1"), (second, [5]))
        expect(await page(3, "f1"), (second, [5]))
        expect(await page(4, "f1"), (None, [5]))
        expect(await page(0, "f2"), (other, []))
        expect(await page(0, "f3"), (None, [1, 2, 3, 4, 5]))
        expect(await page(0, None), (None, [1, 2, 3, 4, 5]))

    @opened
    async def test_a_snapshot_is_dropped_with_its_failed_append(self, store: EventStore) -> None:
        await commit(store, append(ALICE, 0, 2))
        late = Snapshot(ALICE, 4, "f", b"{}")
        await store.append(AppendBatch(1, [append(ALICE, 3)], snapshots=[late, Snapshot(BOB, 1, "f", b"{}")]))
        pages = await store.read_streams([StreamRead(ALICE, 0, 10, "f"), StreamRead(BOB, 0, 10, "f")])
        expect([(page.snapshot, len(page.events)) for page in pages], [(None, 2), (None, 0)])

    # Types of events

    @opened
    async def test_event_types_are_listed_and_counted(self, store: EventStore) -> None:
        expect(await store.event_types(), [])
        newer, other = (EncodedEvent(*shape, b"{}", b"{}") for shape in (("Deposited", 2), ("Closed", 1)))
        await store.append(AppendBatch(1, [append(ALICE, 0, 2), Append(BOB, 0, (newer, other, newer))]))
        refused = Append(BOB, 7, (EncodedEvent("Never", 1, b"{}", b"{}"),))
        await store.append(AppendBatch(1, [append(ALICE, 2), append(BOB, 3), refused]))
        counts = [("Closed", 1, 4, 1), ("Deposited", 1, 1, 4), ("Deposited", 2, 3, 2)]
        expect(
            [(one.type, one.schema_version, one.first_position) for one in await store.event_types()],
            [(name, version, first) for name, version, first, _ in counts],
        )
        counted = await store.event_types(counted=True)
        expect([(one.type, one.schema_version, one.first_position, one.events) for one in counted], counts)

    # Causes and flows

    @opened
    async def test_what_an_event_caused_is_found(self, store: EventStore) -> None:
        odd = 'Odd%2F"\\ž/x/1'
        await commit(store, append(ALICE, 0), linked(BOB, 0, command_id="c", causation_id="Account/alice/1"))
        await commit(store, linked(BOB, 1, causation_id="Account/alice/10"), linked(BOB, 2, causation_id=odd))
        await commit(store, linked(BOB, 3, correlation_id="f", causation_id="Account/alice/1"), append(ALICE, 1))
        expect([one.position for one in await store.read_linked("causation_id", "Account/alice/1", 0, 9)], [2, 5])
        expect([one.position for one in await store.read_linked("causation_id", "Account/alice/1", 2, 9)], [5])
        expect([one.position for one in await store.read_linked("causation_id", "Account/alice/1", 0, 1)], [2])
        expect(await store.read_linked("causation_id", odd, 0, 9), await store.read_log(3, 1))
        expect(await store.read_linked("causation_id", "Account/bob/1", 0, 9), [])

    @opened
    async def test_a_flow_is_found_but_for_the_command_that_began_it(self, store: EventStore) -> None:
        await commit(store, linked(ALICE, 0, command_id="f"), linked(BOB, 0, command_id="c", correlation_id="f"))
        expect([one.stream for one in await store.read_linked("correlation_id", "f", 0, 9)], [BOB])
        expect(await store.read_linked("correlation_id", "c", 0, 9), [])

    # Opening, closing, being cancelled

    @in_a_loop
    async def test_a_closed_store_rejects_every_call(self, store: EventStore) -> None:
        await store.close()  # never opened: nothing to release
        for _ in range(2):
            for call in calls_of(store):
                with raises(StoreUnavailable):
                    await call()
            await store.open()
            await store.close()
            await store.close()

    @opened
    async def test_a_store_is_opened_once_at_a_time(self, store: EventStore) -> None:
        with raises(StoreInUse):
            await store.open()
        expect(await commit(store, append(ALICE, 0)), [1])

    @opened
    async def test_committed_events_survive_reopening(self, store: EventStore) -> None:
        snapshot = Snapshot(ALICE, 1, "f", b"{}")
        await store.append(AppendBatch(9, [append(ALICE, 0, 2, command="c1")], [snapshot]))
        await store.save([SaveCheckpoint("p", 2)])
        before = await store.read_log(0, 10)
        await store.close()
        await store.open()
        expect(await store.read_log(0, 10), before)
        expect(await store.head(), Head(2, 9))
        expect((await store.find_commands(["c1"])).get("c1"), CommandRecord("c1", 7, ALICE, 1, 2, 2))
        expect(await store.load_checkpoint("p"), 2)
        expect((await store.read_streams([StreamRead(ALICE, 0, 9, "f")]))[0].snapshot, snapshot)
        outcomes = await commit(store, append(ALICE, 2, command="c1"), append(BOB, 0), at_us=1)
        expect_duplicate(outcomes[0], CommandRecord("c1", 7, ALICE, 1, 2, 2))
        expect(outcomes[1], 3)
        expect(await commit(store, append(ALICE, 2), at_us=1), [4])
        expect((await store.head()).recorded_us, 9)

    @opened
    async def test_a_cancelled_caller_leaves_the_store_consistent(self, store: EventStore) -> None:
        for turns in range(12):
            version = len(await read(store, ALICE))
            task = asyncio.ensure_future(commit(store, append(ALICE, version), append(BOB, version)))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            reading = asyncio.ensure_future(store.read_log(0, 10))
            await asyncio.sleep(0)
            reading.cancel()
            await asyncio.wait([reading])
            # Written or not: the next commit finds out, and nothing is half-written.
            outcomes = await commit(store, append(StreamName("Account", "next"), turns))
            assert isinstance(outcomes[0], int), outcomes
            found = await versions(store, ALICE)
            expect(found, list(range(1, len(found) + 1)))
            expect(await versions(store, BOB), found)
