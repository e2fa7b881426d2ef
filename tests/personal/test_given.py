"""Tests with given … when … then treat personal data as a runtime does."""

import pytest
from support.customers import (
    Customer,
    Letterbox,
    LetterWritten,
    PlainName,
    PlainNames,
    Register,
    Registered,
    Rename,
    Renamed,
    Welcome,
    WriteLetter,
)

from actorium.personal import SubjectForgotten, personal
from actorium.testing import given, given_events, given_saga

ADA = personal("Ada")


def test_an_aggregate_decides_on_the_text() -> None:
    done = given(Customer("c1")).when(Register("c1", ADA)).then(Registered(ADA))
    assert isinstance(done.state, Customer)
    assert done.state.name is not None
    assert done.state.name.value == "Ada"
    given(Customer("c1"), Registered(ADA)).when(Rename("c1", ADA)).then_nothing()
    given(Customer("c1"), Registered(ADA)).when(Rename("c1", personal(" Bob "))).then(Renamed(personal("Bob")))
    with pytest.raises(
        AssertionError, match=r"expected Renamed\(name=Personal\(…\)\), got Renamed\(name=Personal\(c1\)\)"
    ):
        given(Customer("c1"), Registered(ADA)).when(Rename("c1", personal("Bob"))).then(Renamed(personal("Eve")))


def test_a_message_names_its_subject() -> None:
    written = LetterWritten("c1", ADA, personal("Dear Ada"))
    done = given(Letterbox("office")).when(WriteLetter("office", "c1", ADA)).then(written)
    (event,) = done.events
    assert isinstance(event, LetterWritten)
    assert event.copy.subject == event.salutation.subject == "c1"


def test_a_saga_passes_values_on() -> None:
    letter = WriteLetter("office", "test", personal("Ada"))  # the stream of the first event is "test"
    given_saga(Welcome, started_by=Registered(ADA)).then_sends(letter).then_state(customer="test")


def test_a_projection_reads_the_text_and_hears_of_forgetting() -> None:
    names = given_events(PlainNames, Registered(ADA), id="c1").then_rows(PlainName, [PlainName("c1", "Ada")])
    names.and_events(SubjectForgotten("c1", "")).then_rows(PlainName, [])
