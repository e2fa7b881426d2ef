"""Where the types of the fields suffice, the check says what a round trip through JSON would say."""

import enum
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from actorium import Command, Event
from actorium.store.events import as_json
from actorium.store.shapes.round_trip import InvalidMessage, check_of, checked_copy, exact_condition
from actorium.store.shapes.sameness import first_change


class Text(str):
    pass


class Number(int):
    pass


class Colour(enum.StrEnum):
    RED = "red"


class Moved(Event):
    text: str
    number: int
    flag: bool
    maybe: str | int | None
    note: str = "of the month"


class Renamed(Event, rename="camel", omit_defaults=True, tag="renamed"):
    a_text: str = "a"
    a_number: int | None = 1
    nothing: None = None


values = st.one_of(
    st.text(),
    st.text(st.characters()),  # lone surrogates too
    st.integers(),
    st.integers(-(10**40), 10**40),
    st.booleans(),
    st.none(),
    st.floats(),
    st.builds(Text, st.text()),
    st.builds(Number, st.integers()),
    st.sampled_from([Colour.RED, Decimal("1.50"), b"bytes", [], {}, (), 2**63, 2**64, -(2**63) - 1, "\0", "\ud800"]),
)


def outcome(check: Any, message: msgspec.Struct, encoded: bytes) -> Any:
    try:
        return check(message, encoded)
    except InvalidMessage:
        return None


def require_agreement(message: msgspec.Struct) -> None:
    try:
        encoded = as_json(message)
    except (TypeError, ValueError):  # nothing that cannot be encoded comes to a check
        return
    decode = msgspec.json.Decoder(type(message)).decode
    checked = outcome(check_of(type(message), decode), message, encoded)
    copied = outcome(lambda message, encoded: checked_copy(message, encoded, decode), message, encoded)
    assert (checked is None) == (copied is None)
    if checked is not None:
        assert first_change(copied, checked) is None
        assert as_json(checked) == as_json(copied)


@given(values, values, values, values, values)
@example("a", 10**4000, True, None, "b")
@example(Text("a"), 1, True, 1, "b")
@example("a", True, True, 1, "b")
def test_the_exact_check_agrees_with_the_round_trip(text: Any, number: Any, flag: Any, maybe: Any, note: Any) -> None:
    assert exact_condition(Moved) is not None
    require_agreement(Moved(text, number, flag, maybe, note))


@given(values, values, values)
def test_it_does_so_whatever_names_and_defaults_are_stored(text: Any, number: Any, nothing: Any) -> None:
    assert exact_condition(Renamed) is not None
    require_agreement(Renamed(text, number, nothing))


def test_a_message_that_is_exact_is_its_own_copy() -> None:
    message = Moved("a", 1, True, None)
    assert check_of(Moved, msgspec.json.Decoder(Moved).decode)(message, as_json(message)) is message


class Weighed(Event):
    weight: float


class Listed(Event):
    items: list[str]


class Coloured(Event):
    colour: Colour


class Chosen(Event):
    one: Literal["a"]


class Bounded(Event):
    number: Annotated[int, msgspec.Meta(ge=1)]


class Described(Event):
    number: Annotated[int, msgspec.Meta(extra_json_schema={"a": {}})]


class Thawed(Command, frozen=False):
    pass


class WithDict(Command, dict=True, gc=True):
    pass


class Checked(Command):
    def __post_init__(self) -> None:
        if self.to == "nobody":
            raise ValueError("somebody")


class Equal(Command):
    def __eq__(self, other: object) -> bool:
        return False


@pytest.mark.parametrize(
    "message_class", [Weighed, Listed, Coloured, Chosen, Bounded, Described, Thawed, WithDict, Checked, Equal]
)
def test_what_types_do_not_decide_is_decoded(message_class: type[msgspec.Struct]) -> None:
    assert exact_condition(message_class) is None
