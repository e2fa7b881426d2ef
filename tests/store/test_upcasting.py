"""Events of older shapes, read as current events: chains, renames, splits, drops and refusals."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorium import ConfigurationError, Event, upcast
from actorium.errors import CorruptEvent, UnknownEventType, UpcastFailed
from actorium.store.codec import EventCodec
from actorium.store.events import EncodedRecord, as_json
from actorium.store.names import StreamName

Payload = dict[str, Any]


def record(type: str, schema_version: int, payload: object) -> EncodedRecord:
    metadata = b'{"command_id":"c-1"}'
    encoded = payload if isinstance(payload, bytes) else as_json(payload)
    return EncodedRecord(StreamName("Account", "alice"), 7, 40, 1_000_000, type, schema_version, encoded, metadata)


class Opened(Event):
    event_type = "bank.opened"
    schema_version = 3

    owner: str
    currency: str
    limit: int

    @upcast(1, type="AccountCreated")
    @staticmethod
    def named_owner(payload: Payload) -> Payload:
        return {"owner": payload["name"]}

    @staticmethod
    @upcast(2)
    def with_currency_and_limit(payload: Payload) -> Payload:
        return payload | {"currency": "EUR", "limit": 0}


class Credited(Event):
    amount: int


class Debited(Event):
    schema_version = 2

    amount: int

    @upcast(1, type="Moved")
    @staticmethod
    def one_of_each(payload: Payload) -> list[Payload | Event]:
        return [{"amount": payload["amount"]}, Credited(payload["amount"])]


class Noted(Event):
    schema_version = 2

    text: str

    @upcast(1)
    @staticmethod
    def without_noise(payload: Payload) -> Payload | None:
        return payload if payload["text"] else None


CODEC = EventCodec([Opened, Debited, Credited, Noted])


def test_a_record_of_the_current_shape_is_one_event() -> None:
    assert CODEC.decode(record("bank.opened", 3, {"owner": "A", "currency": "CZK", "limit": 5})) == (
        Opened("A", "CZK", 5),
    )


def test_a_chain_leads_from_the_oldest_shape_and_name_to_the_newest() -> None:
    assert CODEC.decode(record("AccountCreated", 1, {"name": "A"})) == (Opened("A", "EUR", 0),)


def test_a_chain_starts_at_the_shape_of_the_record() -> None:
    assert CODEC.decode(record("bank.opened", 2, {"owner": "B"})) == (Opened("B", "EUR", 0),)


def test_one_record_can_become_several_events() -> None:
    assert CODEC.decode(record("Moved", 1, {"amount": 5})) == (Debited(5), Credited(5))


def test_one_record_can_become_none() -> None:
    assert CODEC.decode(record("Noted", 1, {"text": ""})) == ()
    assert CODEC.decode(record("Noted", 1, {"text": "x"})) == (Noted("x"),)


def test_the_events_of_one_record_share_its_place_and_are_numbered_from_0() -> None:
    events = CODEC.recorded(record("Moved", 1, {"amount": 5}))
    assert [(one.version, one.position, one.part, one.event) for one in events] == [
        (7, 40, 0, Debited(5)),
        (7, 40, 1, Credited(5)),
    ]
    assert {one.metadata.command_id for one in events} == {"c-1"}


def test_a_newer_version_is_refused_by_name() -> None:
    with pytest.raises(UnknownEventType, match=r"schema version 4, but Opened reads 3: run the code that wrote it"):
        CODEC.decode(record("bank.opened", 4, {}))


def test_an_older_version_without_an_upcaster_is_refused_with_the_fix() -> None:
    class Late(Event):
        schema_version = 3

        @upcast(2)
        @staticmethod
        def same(payload: Payload) -> Payload:
            return payload

    with pytest.raises(UnknownEventType, match=r"cannot read 1: add @upcast\(1\)"):
        EventCodec([Late]).decode(record("Late", 1, {}))


def test_a_name_that_no_class_reads_is_refused_with_the_fix() -> None:
    with pytest.raises(UnknownEventType, match=r"register the aggregate .* add @upcast\(2, type='Gone'\)"):
        CODEC.decode(record("Gone", 2, {}))


class Broken(Event):
    schema_version = 2

    amount: int

    @upcast(1)
    @staticmethod
    def break_it(payload: Payload) -> Any:
        return {
            "raises": lambda: payload["missing"],
            "wrong type": lambda: {"amount": "five"},
            "no payload": lambda: 7,
            "none in a list": lambda: [None],
            "stranger": lambda: Stranger(),
            "badly made": lambda: Credited("five"),  # type: ignore[arg-type]
            "not JSON": lambda: {"amount": object()},
            "not a number": lambda: {"amount": float("nan")},
        }[payload["how"]]()


class Stranger(Event):
    """Registered nowhere."""


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("raises", "its upcaster Broken.break_it raised KeyError: 'missing'"),
        ("wrong type", "does not fit Broken: Expected `int`, got `str`"),
        ("no payload", "Broken.break_it returned 7: it must return a dict"),
        ("none in a list", "Broken.break_it returned None: it must return a dict"),
        ("stranger", "Broken.break_it returned Stranger, which no registered aggregate evolves"),
        ("badly made", "does not fit Credited: Expected `int`, got `str`"),
        ("not JSON", "does not fit Broken"),
        ("not a number", "does not fit Broken"),
    ],
)
def test_a_broken_upcaster_is_named(how: str, message: str) -> None:
    with pytest.raises(UpcastFailed) as failure:
        EventCodec([Broken, Credited]).decode(record("Broken", 1, {"how": how}))
    assert message in str(failure.value)
    assert "Broken at Account<alice> version 7" in str(failure.value)


@pytest.mark.parametrize("payload", [b"", b"[1]", b"{", b'"text"', b'{"owner": "\xff"}'])
@pytest.mark.parametrize("schema_version", [2, 3])
def test_a_damaged_payload_is_corrupt_in_any_shape(payload: bytes, schema_version: int) -> None:
    with pytest.raises(CorruptEvent):
        CODEC.decode(record("bank.opened", schema_version, payload))


def test_a_gap_in_the_chain_is_found_when_the_class_is_defined() -> None:
    with pytest.raises(
        ConfigurationError, match=r"Gapped has upcasters from .* 1, but none converts version 2 to 3: add"
    ):

        class Gapped(Event):
            schema_version = 3

            @upcast(1)
            @staticmethod
            def first(payload: Payload) -> Payload:
                return payload


def test_two_upcasters_for_one_version_are_found_when_the_class_is_defined() -> None:
    with pytest.raises(ConfigurationError, match=r"Doubled\.first and .*Doubled\.second both convert schema version 1"):

        class Doubled(Event):
            schema_version = 2

            @upcast(1)
            @staticmethod
            def first(payload: Payload) -> Payload:
                return payload

            @upcast(1)
            @staticmethod
            def second(payload: Payload) -> Payload:
                return payload


def test_an_upcaster_that_is_not_below_the_schema_version_is_found_when_the_class_is_defined() -> None:
    with pytest.raises(ConfigurationError, match=r"Early\.up converts schema version 1, but .*Early is at 1: set"):

        class Early(Event):
            @upcast(1)
            @staticmethod
            def up(payload: Payload) -> Payload:
                return payload


@pytest.mark.parametrize("version", [0, -1, 1.5, "1", True, None])
def test_versions_are_integers_from_1(version: Any) -> None:
    with pytest.raises(ConfigurationError, match="an integer, 1 or more"):
        upcast(version)
    with pytest.raises(ConfigurationError, match="an integer, 1 or more"):
        type(Event)("Odd", (Event,), {"schema_version": version, "__module__": __name__})


def test_upcast_goes_on_functions_only() -> None:
    with pytest.raises(ConfigurationError, match=r"@upcast\(1\) goes on a function"):
        upcast(1)(7)  # type: ignore[type-var]


def test_two_classes_cannot_read_one_stored_shape() -> None:
    class AccountCreated(Event):
        """Has the name that Opened had, and the version of that time."""

    with pytest.raises(ConfigurationError, match=r"Opened\.named_owner and .*AccountCreated both read"):
        EventCodec([Opened, AccountCreated])


def test_a_subclass_does_not_inherit_the_past_of_its_parent() -> None:
    class Reopened(Opened):
        schema_version = 1

    assert Reopened.__upcasters__ == ()


def test_possible_events_of_a_record_are_known_without_decoding() -> None:
    wanted = CODEC.classes_of(["Credited"])
    assert CODEC.may_become(record("Credited", 1, b""), wanted)
    assert CODEC.may_become(record("Moved", 1, b""), wanted)
    assert not CODEC.may_become(record("bank.opened", 3, b""), wanted)
    assert not CODEC.may_become(record("bank.opened", 9, b""), wanted)
    assert CODEC.may_become(record("Credited", 9, b""), wanted)
    assert not CODEC.may_become(record("Gone", 1, b""), wanted)


class Grown(Event):
    """A class whose every version appended its number to `path`."""

    schema_version = 5

    path: list[int]

    @upcast(1)
    @staticmethod
    def one(payload: Payload) -> Any:
        return [{"path": [*payload["path"], 1]}] * payload["copies"]

    @upcast(2)
    @staticmethod
    def two(payload: Payload) -> Any:
        return {"path": [*payload["path"], 2]}

    @upcast(3)
    @staticmethod
    def three(payload: Payload) -> Any:
        return [] if len(payload["path"]) % 2 else payload | {"path": [*payload["path"], 3]}

    @upcast(4)
    @staticmethod
    def four(payload: Payload) -> Any:
        return ({"path": [*payload["path"], 4]},)


@given(st.integers(1, 5), st.lists(st.integers(-9, 9), max_size=4), st.integers(0, 3))
def test_every_upcaster_of_a_chain_runs_once_in_order(version: int, path: list[int], copies: int) -> None:
    events = EventCodec([Grown]).decode(record("Grown", version, {"path": path, "copies": copies}))
    before_three = len(path) + len(range(version, 3))
    dropped = version <= 3 and before_three % 2
    count = 0 if dropped else copies if version == 1 else 1
    assert events == tuple(Grown([*path, *range(version, 5)]) for _ in range(count))


class Born(Event):
    schema_version = 2

    day: date

    @upcast(1)
    @staticmethod
    def as_date(payload: Payload) -> Payload:
        assert payload == {"year": 1970}
        return {"day": date(payload["year"], 1, 1)}


def test_upcasters_see_plain_json_values_and_may_return_richer_ones() -> None:
    assert EventCodec([Born]).decode(record("Born", 1, {"year": 1970})) == (Born(date(1970, 1, 1)),)
