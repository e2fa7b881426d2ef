"""Ids from `correlate=` are checked: an invalid one parks only its event."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from support.bank import Add, Added, Tally
from support.virtual_time import virtual

from actorium import Event, InvalidCommand, RecordedEvent, Retry, Runtime, Saga, Settings, starts

SETTINGS = Settings(handler_retry=Retry(attempts=2, backoff_s=0.01), drain_s=1)


def saga_by(odd: Any) -> type[Saga]:
    def correlate(recorded: RecordedEvent[Event]) -> Any:
        return odd if recorded.stream_id == "odd" else recorded.stream_id

    class Counted(Saga):
        @starts(correlate=correlate)
        def begin(self, event: Added) -> None:
            self.complete()

    return Counted


@pytest.mark.parametrize("id", ["", "\ud800", "x" * 513, b"x", ["a"], 1.5, True])
@virtual
async def test_an_invalid_id_parks_that_event_alone(id: Any) -> None:
    saga = saga_by(id)
    async with Runtime([Tally, saga], store="memory://", settings=SETTINGS) as runtime:
        await asyncio.gather(*(runtime.send(Add(name)) for name in ("odd", *(f"good-{n}" for n in range(20)))))
        await runtime.send(Add("odd"))
        await asyncio.sleep(5)
        letters = runtime.dead_letters.list()
        assert [(letter.stream.id, "correlated id=" in letter.error) for letter in letters] == [("odd", True)]
        assert [one.status async for one in runtime.sagas.list()] == ["completed"] * 20


@pytest.mark.parametrize(("id", "text"), [(UUID(int=5), str(UUID(int=5))), (7, "7"), ("ž 🜚", "ž 🜚"), (None, "")])
@virtual
async def test_a_uuid_and_a_number_are_used_as_text(id: Any, text: str) -> None:
    saga = saga_by(id)
    async with Runtime([Tally, saga], store="memory://", settings=SETTINGS) as runtime:
        await runtime.send(Add("odd"))
        await asyncio.sleep(1)
        assert [one.id async for one in runtime.sagas.list()] == ([text] if text else [])
        assert runtime.dead_letters.list() == []


@pytest.mark.parametrize("id", ["", "x" * 513, 7, None, "\ud800"])
@virtual
async def test_an_id_of_a_saga_or_a_submission_is_checked(id: Any) -> None:
    saga = saga_by("s")
    async with Runtime([Tally, saga], store="memory://", settings=SETTINGS) as runtime:
        for call in (
            runtime.sagas.get(saga, id),
            runtime.sagas.get(saga, id, ended_within_s=1),
            runtime.sagas.retry(saga, id, reason="why"),
            runtime.sagas.skip(saga, id, reason="why"),
            runtime.sagas.complete(saga, id, reason="why"),
            runtime.submissions.get(id),
            runtime.submissions.cancel(id),
        ):
            with pytest.raises(InvalidCommand, match="id="):
                await call
