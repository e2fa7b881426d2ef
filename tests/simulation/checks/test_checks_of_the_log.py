"""The checks of the log, snapshots and subscribers: each gets a case it must find, and a correct one."""

import asyncio
from collections.abc import Callable

import msgspec
import pytest
from support.transfers import Account, Deposited, Opened, Withdraw, Withdrawn
from support.written import WrittenLog

from actorium import Event, RecordedEvent
from actorium.simulation.checks.follower import FollowerCheck
from actorium.simulation.checks.log import read_back
from actorium.simulation.checks.snapshots import SavedStates
from actorium.store.event_store import Append, AppendBatch, CommandMark, Snapshot
from actorium.store.events import EncodedEvent, Metadata, as_json
from actorium.store.memory import MemoryStore
from actorium.store.names import StreamName

A = StreamName("Account", "a")


# --- read back ------------------------------------------------------------------------------------------------------


async def filled() -> tuple[MemoryStore, WrittenLog]:
    """Return a log in which an account was opened and used, and the witness of its commits."""
    store, log = MemoryStore(), WrittenLog()
    await store.open()
    for number, event in enumerate((Opened(100, True), Withdrawn(1), Withdrawn(2))):
        id = f"c{number}"
        metadata = as_json(Metadata(id, "", "", {}))
        encoded = EncodedEvent(type(event).__name__, 1, as_json(event), metadata)
        await store.append(AppendBatch(1_000, [Append(A, number, (encoded,), CommandMark(id, 7))]))
        log.sent(Withdraw("a", number), None, command_id=id)
    log.witness.saw(await store.read_log(0, 100))
    return store, log


def found_in(change: Callable[[MemoryStore], object]) -> list[str]:
    async def look() -> list[str]:
        store, log = await filled()
        change(store)
        await read_back(store, log.witness, log.effects, log.history, log.violated)
        return log.found

    return asyncio.run(look())


def test_an_untouched_log_passes() -> None:
    assert found_in(lambda store: None) == []


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        (lambda store: store._log.pop(), "nothing committed is lost"),
        (lambda store: store._log.pop(0), "nothing committed is lost"),
        (lambda store: store._log.reverse(), "nothing committed is lost"),
        (lambda store: store._streams[A.type][A.id].pop(), "nothing committed is lost"),
        (lambda store: store._streams[A.type][A.id].reverse(), "nothing committed is lost"),
        (lambda store: store._commands.pop("c1"), "a command's effect is found by its id"),
        (lambda store: store._commands.update(c1=store._commands["c2"]), "a command's effect is found by its id"),
    ],
)
def test_a_changed_log_is_found(change: Callable[[MemoryStore], object], broken: str) -> None:
    assert found_in(change) == [broken]


def test_an_event_that_nobody_saw_committed_is_found() -> None:
    def add(store: MemoryStore) -> None:
        unasked = as_json(Metadata("nobody asked for it", "", "", {}))
        store._log.append(msgspec.structs.replace(store._log[-1], version=4, position=4, metadata=unasked))

    assert "the log holds what was committed" in found_in(add)


# --- snapshots ------------------------------------------------------------------------------------------------------


def snapshot(version: int, state: object) -> Snapshot:
    return Snapshot(A, version, "of this code", as_json(state))


def judged(*snapshots: Snapshot) -> list[str]:
    log = WrittenLog()
    log.commit("a", Opened(100, True), Withdrawn(1), Withdrawn(2), Deposited(3), command_id="c")
    SavedStates(log.witness, log.view, log.violated).committed(snapshots)
    return log.found


def test_a_snapshot_equals_the_replayed_state_at_its_version() -> None:
    right = [snapshot(2, Account("a", 99)), snapshot(4, Account("a", 100)), snapshot(3, Account("a", 97))]
    assert judged(*right) == []


@pytest.mark.parametrize(
    "wrong", [snapshot(2, Account("a", 97)), snapshot(3, Account("b", 97)), snapshot(3, {"id": 7})]
)
def test_a_snapshot_of_another_state_is_found(wrong: Snapshot) -> None:
    assert judged(snapshot(4, Account("a", 100)), wrong) == ["a snapshot equals replayed state"]


def test_a_snapshot_of_events_that_are_not_durable_is_found() -> None:
    assert judged(snapshot(5, Account("a", 100))) == ["a snapshot holds only durable events"]


# --- subscribers ----------------------------------------------------------------------------------------------------


@pytest.fixture
def log() -> WrittenLog:
    log = WrittenLog()
    log.commit("a", Opened(100, True), Withdrawn(1), command_id="c")
    log.commit("b", Opened(100, True), command_id="d")
    return log


def events_of(log: WrittenLog, *positions: int) -> list[RecordedEvent[Event]]:
    return [recorded for position in positions for recorded in log.view.recorded(position)]


def follower(log: WrittenLog, *given: RecordedEvent[Event], after: int = 0) -> FollowerCheck:
    one = FollowerCheck("s", after, log.witness, log.view, log.violated)
    for recorded in given:
        one.take(recorded)
    return one


def test_a_subscriber_gets_the_log_from_its_start_position(log: WrittenLog) -> None:
    assert follower(log, *events_of(log, 1, 2, 3)).left_to_do() is None
    assert follower(log, *events_of(log, 3), after=2).left_to_do() is None
    assert log.found == []


def test_undelivered_events_count_as_unfinished_work(log: WrittenLog) -> None:
    assert follower(log, *events_of(log, 1, 2)).left_to_do() == "s is 1 event behind the end of the log"


@pytest.mark.parametrize("positions", [(1, 1), (2,), (1, 3), (3, 2, 1)])
def test_missing_doubled_or_swapped_deliveries_are_found(log: WrittenLog, positions: tuple[int, ...]) -> None:
    follower(log, *events_of(log, *positions))
    assert log.found[0] == "a subscriber gets the log in order"


def test_delivery_of_another_event_is_found(log: WrittenLog) -> None:
    (first,) = events_of(log, 1)
    follower(log, msgspec.structs.replace(first, event=Opened(1, True)))
    assert log.found == ["a subscriber gets the log in order"]


def test_delivery_before_durability_is_found(log: WrittenLog) -> None:
    (last,) = events_of(log, 3)
    follower(log, last, msgspec.structs.replace(last, position=4), after=2)
    assert log.found == ["nothing is read before it is durable"]
