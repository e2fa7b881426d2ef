"""What operators do is recorded in the log, before and after it is done."""

import pytest
from support.stores import PassedThrough, whole_log
from support.transfers import runtime_of
from support.virtual_time import virtual

from actorium.errors import InvalidCommand


@virtual
async def test_an_action_is_recorded_with_who_what_and_why_and_then_its_outcome() -> None:
    store = PassedThrough()
    async with runtime_of(store=store) as runtime:
        ack = await runtime.operators.acts("ann", "sagas.retry", ["Transfer<1>"], reason="the bank is back")
        await runtime.operators.acted("ann", ack, error="Rejected: it is not stuck")
        records = await whole_log(store)
    assert [(str(one.stream), one.version, one.type) for one in records] == [
        ("actorium.operator<ann>", 1, "operator.acted"),
        ("actorium.operator<ann>", 2, "operator.action_ended"),
    ]
    assert records[0].payload == b'{"action":"sagas.retry","targets":["Transfer<1>"],"reason":"the bank is back"}'
    assert records[1].payload == b'{"acted_version":1,"error":"Rejected: it is not stuck"}'
    async with runtime_of(store=store, seed=1) as runtime:  # a log with such events is read by any runtime
        assert runtime.statistics().position == 2


@virtual
async def test_an_action_without_a_reason_or_a_name_is_refused_and_not_recorded() -> None:
    store = PassedThrough()
    async with runtime_of(store=store) as runtime:
        for operator, reason in (("ann", " "), ("", "the bank is back")):
            with pytest.raises(InvalidCommand):
                await runtime.operators.acts(operator, "sagas.retry", [], reason=reason)
        assert await whole_log(store) == []


@virtual
async def test_the_settings_in_force_can_be_read() -> None:
    async with runtime_of() as runtime:
        assert runtime.settings.poll_s == 3_600.0
