"""Derived ids: bounded in length, the same each time, and reserved for the runtime."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorium.actors.commands import MAX_ID_LENGTH
from actorium.runtime.commands.derived_ids import (
    MARK,
    DerivedId,
    bounded,
    checked_command_id,
    derived_id,
    effect,
    known_command_id,
)
from actorium.store.errors import InvalidCommand

causes = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=2 * MAX_ID_LENGTH
)


@given(causes)
def test_a_derived_id_is_bounded_and_no_caller_may_choose_it(cause: str) -> None:
    id = derived_id(cause)
    assert id == derived_id(cause)
    assert len(id) <= MAX_ID_LENGTH
    with pytest.raises(InvalidCommand, match="reserved for the runtime"):
        checked_command_id(id)
    assert checked_command_id(DerivedId(id)) == id
    assert type(checked_command_id(DerivedId(id))) is str
    assert known_command_id(id) == id


@pytest.mark.parametrize("length", [MAX_ID_LENGTH - 1, MAX_ID_LENGTH, 5_000])
def test_causes_that_differ_only_at_their_end_have_different_ids(length: int) -> None:
    causes = [*("x" * (length - 1) + end for end in "abc"), "x" * length, "x" * (length + 1)]
    assert len({derived_id(cause) for cause in causes}) == len(causes)


def test_a_short_cause_stays_readable() -> None:
    assert derived_id("Transfer/t-1/debit/0") == "~Transfer/t-1/debit/0"
    assert bounded("Transfer/t-1/debit/0") == "Transfer/t-1/debit/0"
    assert derived_id("x" * 600).endswith("x" * 400)


def test_only_an_effect_may_use_the_ids_that_begin_with_its_key() -> None:
    assert checked_command_id("tell:Tally:t:1:0") == "tell:Tally:t:1:0"
    with effect("tell:Tally:t:1:0"):
        assert checked_command_id("tell:Tally:t:1:0") == "~tell:Tally:t:1:0"
        assert checked_command_id("tell:Tally:t:1:0/again") == "~tell:Tally:t:1:0/again"
        assert known_command_id("tell:Tally:t:1:0") == "~tell:Tally:t:1:0"
        assert checked_command_id("mine") == "mine"
        with effect(""):
            assert checked_command_id("tell:Tally:t:1:0") == "tell:Tally:t:1:0"
    assert checked_command_id("tell:Tally:t:1:0") == "tell:Tally:t:1:0"


@pytest.mark.parametrize("id", ["", "x" * 513, "\ud800", 5, None, b"x"])
def test_an_invalid_id_is_refused(id: Any) -> None:
    for check in (checked_command_id, known_command_id):
        with pytest.raises(InvalidCommand, match="command_id="):
            check(id)


def test_the_mark_is_one_character() -> None:
    assert MARK == "~"
