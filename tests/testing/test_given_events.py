"""`given_events`: a projection is tested with events and checks, synchronously."""

import asyncio
from typing import Any

import pytest

from actorium import ConfigurationError, Event, Projection, Reader, RecordedEvent, Transaction, on, query
from actorium.testing import given_events
from actorium.types import Metadata


class Moved(Event):
    amount: int


class PaidIn(Moved):
    pass


class Tagged(Event):
    tags: list[str]


class Balances(Projection):
    schema = "CREATE TABLE balances (id TEXT PRIMARY KEY, balance INTEGER, changed TEXT, who TEXT)"

    @on
    def moved(self, event: Moved, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        tx.execute(
            "INSERT INTO balances VALUES (?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET balance = balance + excluded.balance, changed = excluded.changed",
            recorded.stream_id,
            event.amount,
            recorded.recorded_at.isoformat(),
            recorded.metadata.headers.get("user", ""),
        )

    @query
    async def of(self, db: Reader, id: str) -> int | None:
        row: Any = await db.fetch_one("SELECT balance FROM balances WHERE id = ?", id)
        return None if row is None else int(row[0])

    @query
    async def both(self, db: Reader, one: str, other: str) -> list[tuple[Any, ...]]:
        return [
            *await db.fetch_all("SELECT balance FROM balances WHERE id = ?", one),
            *await db.fetch_all("SELECT balance FROM balances WHERE id = ?", other),
        ]

    @query
    async def slow(self, db: Reader) -> None:
        await asyncio.sleep(0)


class Tags(Projection):
    seen: list[str] = []

    @on
    def tagged(self, event: Tagged) -> None:
        self.seen += event.tags
        event.tags.clear()

    @query
    def all(self) -> list[str]:
        return self.seen


def test_rows_and_answers_of_a_projection_with_tables() -> None:
    (
        given_events(Balances, PaidIn(5), id="alice")
        .and_events(Moved(7), id="bob")
        .then_rows("SELECT id, balance FROM balances ORDER BY id", [("alice", 5), ("bob", 7)])
        .then_query(Balances.of, "alice", expected=5)
        .and_events(Moved(-2), Moved(-1), id="alice")
        .then_query(Balances.of, "alice", expected=2)
        .then_query(Balances.of, "carol", expected=None)
        .then_query(Balances.both, "alice", "bob", expected=[(2,), (7,)])
        .then_rows("SELECT balance FROM balances WHERE id = ?", [[2]], parameters=["alice"])
    )


def test_time_and_metadata_come_with_an_event() -> None:
    (
        given_events(Balances)
        .then_rows("SELECT * FROM balances", [])
        .after(minutes=1)
        .and_events(Moved(1), id="alice", metadata=Metadata(headers={"user": "root"}))
        .then_rows("SELECT changed, who FROM balances", [("1970-01-01T00:01:00+00:00", "root")])
    )


def test_state_and_answers_of_a_projection_in_memory() -> None:
    event = Tagged(["a"])
    given_events(Tags, event, Tagged(["b"])).then_state(seen=["a", "b"]).then_query(Tags.all, expected=["a", "b"])
    assert event == Tagged(["a"]), "a handler gets a copy, as it does from the log"


def test_differences_are_reported() -> None:
    balances = given_events(Balances, PaidIn(5), id="alice")
    with pytest.raises(AssertionError, match=r"expected SELECT .* to be \[\(6,\)\] after 1 event, got"):
        balances.then_rows("SELECT balance FROM balances", [(6,)])
    with pytest.raises(AssertionError, match=r"expected Balances\.of to be 6 after 1 event, got 5"):
        balances.then_query(Balances.of, "alice", expected=6)
    with pytest.raises(AssertionError, match=r"expected seen to be \[\] after 1 event, got \['a'\]"):
        given_events(Tags, Tagged(["a"])).then_state(seen=[])


def test_an_invalid_test_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="takes a Projection class"):
        given_events(Tagged)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="Balances does not handle Tagged"):
        given_events(Balances, Tagged(["a"]))
    with pytest.raises(ConfigurationError, match=r"Tags\.all is not a query of Balances"):
        given_events(Balances).then_query(Tags.all, expected=[])
    with pytest.raises(ConfigurationError, match="awaits something other than its Reader"):
        given_events(Balances).then_query(Balances.slow, expected=None)


def test_a_failing_handler_fails_the_test() -> None:
    class Broken(Projection):
        count: int = 0

        @on
        def moved(self, event: Moved) -> None:
            raise ZeroDivisionError("no")

    with pytest.raises(ZeroDivisionError):
        given_events(Broken, Moved(1))
