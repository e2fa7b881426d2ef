"""An append and a save that wait for an SQLite store share a transaction, and nothing waits without a reason."""

import asyncio
from collections.abc import Sequence

import pytest
from support.virtual_time import settled, virtual

from actorium.errors import StoreUnavailable
from actorium.store.event_store import AppendBatch, Appended, SaveCheckpoint
from actorium.store.writers.joint_writes import JointWrites, Report, Written
from actorium.testing.contract_words import ALICE, append


class Transactions:
    """Takes note of each transaction and ends it when it is told to."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.running: asyncio.Future[None] | None = None
        self.writes = JointWrites(self.write)

    def write(self, batch: AppendBatch, checkpoints: Sequence[SaveCheckpoint], report: Report) -> None:
        assert self.running is None, "one transaction at a time"
        names = [f"e{one.expected_version}" for one in batch.appends] + [one.name for one in checkpoints]
        self.begun.append("+".join(names))
        self.running = asyncio.get_running_loop().create_future()

        def ended(running: asyncio.Future[None]) -> None:
            self.running = None
            error = running.exception()
            written = Written(Appended([one.expected_version for one in batch.appends], 1), {})
            report(None if error else written, error)

        self.running.add_done_callback(ended)

    async def end(self, error: Exception | None = None) -> None:
        """End the transaction, and let everybody go on."""
        assert self.running is not None
        if error is None:
            self.running.set_result(None)
        else:
            self.running.set_exception(error)
        await settled()

    def append(self, *numbers: int) -> "asyncio.Task[list[int]]":
        async def one_by_one() -> list[int]:
            outcomes: list[int] = []
            for number in numbers:
                outcomes += (await self.writes.append(AppendBatch(1, [append(ALICE, number)]))).outcomes  # type: ignore[arg-type]
            return outcomes

        return asyncio.ensure_future(one_by_one())

    def save(self, *names: str) -> "asyncio.Task[None]":
        async def one_by_one() -> None:
            for name in names:
                assert await self.writes.save([SaveCheckpoint(name, 1)]) == {}

        return asyncio.ensure_future(one_by_one())


@virtual
async def test_an_append_and_a_save_that_wait_share_a_transaction() -> None:
    transactions = Transactions()
    appending = transactions.append(1, 2)
    await settled()
    saving = transactions.save("a")
    await settled()
    await transactions.end()
    assert transactions.begun == ["e1", "e2+a"]
    await transactions.end()
    assert (await appending, await saving) == ([1, 2], None)


@virtual
async def test_callers_that_come_back_after_a_shared_transaction_share_the_next_one() -> None:
    transactions = Transactions()
    tasks = [transactions.append(1, 2, 3), transactions.save("a", "b", "c")]
    await settled()
    for _ in range(4):
        await transactions.end()
    assert transactions.begun == ["e1", "e2+a", "e3+b", "c"]
    await asyncio.gather(*tasks)


@virtual
async def test_one_that_waits_goes_on_alone_where_the_other_does_not_come_back() -> None:
    transactions = Transactions()
    appending = transactions.append(1)
    await settled()
    saving = transactions.save("a", "b")
    await settled()
    for _ in range(3):
        await transactions.end()
    assert transactions.begun == ["e1", "a", "b"]
    await asyncio.gather(appending, saving)


@virtual
async def test_an_error_of_a_shared_transaction_is_that_of_both() -> None:
    transactions = Transactions()
    appending, saving = transactions.append(1, 2), transactions.save("a")
    await settled()
    await transactions.end()
    await transactions.end(StoreUnavailable("the disk is full"))
    for task in (appending, saving):
        with pytest.raises(StoreUnavailable, match="the disk is full"):
            await task
    again = transactions.save("b")
    await settled()
    await transactions.end()
    assert (transactions.begun, await again) == (["e1", "e2+a", "b"], None)


@virtual
async def test_a_caller_that_is_cancelled_leaves_the_other_its_outcome() -> None:
    transactions = Transactions()
    appending, saving = transactions.append(1, 2), transactions.save("a")
    await settled()
    await transactions.end()
    appending.cancel()
    await settled()
    assert not saving.done()
    await transactions.end()
    assert (transactions.begun, await saving) == (["e1", "e2+a"], None)


@pytest.mark.parametrize("after", range(6))
@virtual
async def test_a_caller_that_is_cancelled_while_it_waits_holds_up_nobody(after: int) -> None:
    transactions = Transactions()
    appending = transactions.append(1)
    await settled()
    saving = transactions.save("a")
    await settled()
    assert transactions.running is not None
    transactions.running.set_result(None)
    for _ in range(after):
        await asyncio.sleep(0)
    saving.cancel()
    await asyncio.gather(appending, saving, return_exceptions=True)
    tasks = [transactions.append(2), transactions.save("b")]
    await settled()
    while transactions.running is not None:
        await transactions.end()
    await asyncio.gather(*tasks)
    assert "+".join(transactions.begun).split("+")[-2:] == ["e2", "b"]
