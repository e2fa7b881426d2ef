"""A class whose fields changed without a new schema version is found at the start, by the first event of each shape."""

import enum
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs
from support.tables import run_on
from support.virtual_time import virtual

from actorium import Aggregate, Event, Runtime, Settings, evolve, upcast
from actorium.errors import CorruptEvent, UnreadableTypes
from actorium.store.event_store import Append, AppendBatch, EventStore
from actorium.store.events import EncodedEvent
from actorium.store.memory import MemoryStore
from actorium.store.names import StreamName
from actorium.store.urls import open_store


class Kind(enum.Enum):
    """How it was paid, once."""

    CASH = "cash"
    CARD = "card"


class KindToday(enum.Enum):
    """Without cards."""

    CASH = "cash"


class Payer(msgspec.Struct, frozen=True):
    """Who paid, once."""

    name: str = ""


class PayerToday(msgspec.Struct, frozen=True):
    """Who pays."""

    full_name: str = ""


class Paid(Event):
    """As it was stored."""

    cents: int = 0
    kind: Kind = Kind.CARD
    payer: Payer = Payer("Ann")


class Renamed(Event):
    event_type = "Paid"
    amount: int = 0
    kind: Kind = Kind.CARD
    payer: Payer = Payer()


class Required(Event):
    event_type = "Paid"
    currency: str
    cents: int = 0
    kind: Kind = Kind.CARD
    payer: Payer = Payer()


class Narrowed(Event):
    event_type = "Paid"
    cents: str = ""
    kind: Kind = Kind.CARD
    payer: Payer = Payer()


class MemberGone(Event):
    event_type = "Paid"
    cents: int = 0
    kind: KindToday = KindToday.CASH
    payer: Payer = Payer()


class RenamedInside(Event):
    event_type = "Paid"
    cents: int = 0
    kind: Kind = Kind.CARD
    payer: PayerToday = PayerToday()


class Optional(Event):
    """Nothing is lost: a field more, and a wider type."""

    event_type = "Paid"
    cents: int | str = 0
    kind: Kind = Kind.CARD
    payer: Payer = Payer()
    note: str = ""


class Mended(Event):
    event_type = "Paid"
    schema_version = 2
    amount: int = 0

    @upcast(1)
    @staticmethod
    def rename(payload: dict[str, Any]) -> dict[str, Any]:
        return {"amount": payload["cents"]}


class BadlyMended(Event):
    event_type = "Paid"
    schema_version = 2
    amount: int = 0

    @upcast(1)
    @staticmethod
    def rename(payload: dict[str, Any]) -> dict[str, Any]:
        return {"amount": payload["hellers"]}


class Noted(Event):
    """The event before."""


def account(event_class: type[Event]) -> type[Aggregate]:
    """The aggregate with payments of a given class, as in one release or another."""

    def paid(self: Aggregate, event: Event) -> None:
        pass

    paid.__annotations__["event"] = event_class

    class Account(Aggregate):
        was_paid = evolve(paid)

        @evolve
        def noted(self, event: Noted) -> None:
            pass

    return Account


async def stored(store: EventStore) -> EventStore:
    """A log with two payments, and other events before and between them."""
    payload = msgspec.json.encode(Paid(5))
    paid, other = EncodedEvent("Paid", 1, payload, b"{}"), EncodedEvent("Noted", 1, b"{}", b"{}")
    await store.open()
    await store.append(AppendBatch(0, [Append(StreamName("Account", "x"), 0, (other, paid, other, paid))]))
    await store.close()
    return store


@pytest.mark.parametrize(
    ("event_class", "field"),
    [
        (Renamed, "stored with `cents`, which Renamed does not have"),
        (RenamedInside, r"stored with `payer\.name`, which RenamedInside does not have"),
        (Required, "missing required field `currency`"),
        (Narrowed, r"Expected `str`, got `int` - at `\$\.cents`"),
        (MemberGone, r"Invalid enum value 'card' - at `\$\.kind`"),
    ],
)
@virtual
async def test_a_start_names_the_class_the_field_and_the_upcaster(event_class: type[Event], field: str) -> None:
    with pytest.raises(UnreadableTypes, match=field) as refusal:
        await Runtime([account(event_class)], store=await stored(MemoryStore())).start()
    (shape,) = refusal.value.types
    assert (shape.type, shape.schema_version, shape.first_position, shape.events) == ("Paid", 1, 2, 2)
    message = str(refusal.value)
    assert "Paid (schema version 1, 2 events, first in a stream of Account): Paid at Account<x> version 2" in message
    assert f"set schema_version = 2 in {event_class.__name__} and add @upcast(1)" in message


@virtual
async def test_a_start_can_be_told_to_warn_only() -> None:
    with capture_logs() as logs:
        settings = Settings(unreadable_types="warn")
        async with Runtime([account(Renamed)], store=await stored(MemoryStore()), settings=settings):
            pass
    (warning,) = [entry for entry in logs if entry["event"] == "unreadable_types"]
    assert "@upcast(1)" in warning["types"][0]


@pytest.mark.parametrize("event_class", [Paid, Optional, Mended])
@virtual
async def test_a_fully_readable_log_starts(event_class: type[Event]) -> None:
    async with Runtime([account(event_class)], store=await stored(MemoryStore())) as runtime:
        assert runtime.statistics().position == 4


@virtual
async def test_an_upcaster_that_fails_on_the_first_event_refuses_the_start() -> None:
    with pytest.raises(UnreadableTypes, match=r"BadlyMended\.rename.*hellers"):
        await Runtime([account(BadlyMended)], store=await stored(MemoryStore())).start()


@pytest.mark.asyncio
async def test_a_damaged_first_event_does_not_prevent_the_start(log_url: str) -> None:
    await stored(open_store(log_url))
    with pytest.raises(UnreadableTypes, match="`cents`"):
        await Runtime([account(Renamed)], store=log_url).start()
    await run_on(log_url, "UPDATE events SET payload = '{}' WHERE position = 2")
    async with Runtime([account(Renamed)], store=log_url) as runtime:
        with pytest.raises(CorruptEvent):
            await runtime.store.read_log(0, 10)
