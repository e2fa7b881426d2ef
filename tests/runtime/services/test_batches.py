"""Published events are cut into batches."""

import itertools

from support.shop_parts import CustomerOpened

from actorium import RecordedEvent
from actorium.runtime.services.events.batches import batches_of, decode_batch
from actorium.types import Metadata


def test_a_batch_keeps_the_events_of_one_record_together_and_has_a_size() -> None:
    recorded = [
        RecordedEvent(
            "Customer", "c", number // 2, number // 2 + 1, CustomerOpened(number), Metadata("c"), 0, number % 2
        )
        for number in range(20)
    ]
    batches = [*batches_of(recorded, "customers", 8, 700)]
    assert [batch for _, batch in batches] == [decode_batch(data) for data, _ in batches]
    assert len(batches) > 3
    assert all(len(data) <= 700 and len(batch.events) % 2 == 0 for data, batch in batches)
    assert [batch.first for _, batch in batches][:1] == [8]
    assert sum(len(batch.events) for _, batch in batches) == 20
    assert [batch.position for _, batch in batches][-1] == 10
    for (_, before), (_, after) in itertools.pairwise(batches):
        assert after.first == before.last + 1
