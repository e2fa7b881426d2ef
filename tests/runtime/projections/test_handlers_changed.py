"""A handler that changes under the same version: tables cause a warning at the start, a saved state is rebuilt."""

from typing import Any

import structlog.testing
from support.bank import Add, Added, Tally
from support.virtual_time import virtual

from actorium import Projection, Reader, Runtime, Transaction, on, query
from actorium.store.memory import MemoryStore


def sums(factor: int) -> Any:
    """Return the projection as in one release or the next."""
    if factor == 1:

        class Sums(Projection):
            schema = "CREATE TABLE sums (amount INTEGER)"

            @on
            def added(self, event: Added, tx: Transaction) -> None:
                tx.execute("INSERT INTO sums VALUES (?)", event.amount)

            @query
            async def all(self, db: Reader) -> Any:
                return await db.fetch_all("SELECT amount FROM sums")

        return Sums

    class Twice(Projection):
        projection_name = "Sums"
        schema = "CREATE TABLE sums (amount INTEGER)"

        @on
        def added(self, event: Added, tx: Transaction) -> None:
            tx.execute("INSERT INTO sums VALUES (?)", 2 * event.amount)

        @query
        async def all(self, db: Reader) -> Any:
            return await db.fetch_all("SELECT amount FROM sums")

    return Twice


async def warnings(store: MemoryStore, projection: Any, *, reset: bool = False) -> list[Any]:
    with structlog.testing.capture_logs() as logs:
        async with Runtime([Tally, projection], store=store) as runtime:
            await runtime.send(Add("a", 1), wait_for=[projection])
            if reset:
                await runtime.processors[projection].reset()
    return [one for one in logs if one["event"] == "projection_handlers_changed"]


@virtual
async def test_tables_filled_by_other_handlers_cause_a_warning_at_each_start() -> None:
    store = MemoryStore()
    assert await warnings(store, sums(1)) == []
    assert await warnings(store, sums(1)) == [], "the same code, in a class made anew"
    for _ in range(2):
        (warning,) = await warnings(store, sums(2))
        assert (warning["projection"], warning["version"], warning["log_level"]) == ("Sums", 1, "warning")
        assert "raise version" in warning["advice"]
    await warnings(store, sums(2), reset=True)
    assert await warnings(store, sums(2)) == [], "a reset filled them anew"


def kept(factor: int) -> Any:
    if factor == 1:

        class Kept(Projection):
            snapshot_every = 1
            total: int = 0

            @on
            def added(self, event: Added) -> None:
                self.total += event.amount

            @query
            def all(self) -> int:
                return self.total

        return Kept

    class Twice(Projection):
        projection_name = "Kept"
        snapshot_every = 1
        total: int = 0

        @on
        def added(self, event: Added) -> None:
            self.total += 2 * event.amount

        @query
        def all(self) -> int:
            return self.total

    return Twice


@virtual
async def test_a_saved_state_is_valid_only_for_the_handlers_that_made_it() -> None:
    store = MemoryStore()
    for release, expected, handled in ((1, 1, 1), (1, 2, 1), (2, 6, 3), (2, 8, 1), (1, 5, 5)):
        projection = kept(release)
        async with Runtime([Tally, projection], store=store) as runtime:
            await runtime.send(Add("a", 1), wait_for=[projection])
            assert await runtime.query(projection.all) == expected
            assert runtime.processors[projection].statistics().handled == handled
