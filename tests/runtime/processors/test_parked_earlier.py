"""A parked stream whose earlier events fail too when the state is rebuilt."""

from support.bank import Add, Tally
from support.read_models import AT_ONCE, Sums, Switch, caught_up
from support.virtual_time import virtual

from actorium import Runtime
from actorium.store.memory import MemoryStore


@virtual
async def test_it_has_one_dead_letter_and_a_retry_leaves_none() -> None:
    store = MemoryStore()
    parts = [Tally, Sums]
    try:
        async with Runtime(parts, store=store, settings=AT_ONCE) as runtime:
            Switch.raises = {8}
            for amount in (1, 7, 2, 8, 3):
                await runtime.send(Add("a", amount))
            await caught_up(runtime, Sums)
        Switch.raises = {7, 8}  # the code of today fails where that of yesterday did not
        async with Runtime(parts, store=store, settings=AT_ONCE) as runtime:
            await caught_up(runtime, Sums)
            assert [letter.version for letter in await store.dead_letters("projection Sums version 1")] == [2]
            Switch.raises = set()
            assert await runtime.processors[Sums].retry() == 1
            assert await store.dead_letters("projection Sums version 1") == []
        async with Runtime(parts, store=store, settings=AT_ONCE) as runtime:
            await caught_up(runtime, Sums)
            assert await runtime.query(Sums.of, "a") == 21
    finally:
        Switch.raises = set()
