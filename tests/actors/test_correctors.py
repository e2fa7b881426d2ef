"""`@correct` methods are checked when their class is defined."""

from typing import Any

import pytest

from actorium import Aggregate, Command, ConfigurationError, Event, decide, evolve
from actorium.corrections import correct


class Book(Command):
    amount: int


class Booked(Event):
    amount: int


class Account(Aggregate):
    balance: int = 0

    @decide
    def book(self, command: Book) -> Booked:
        return Booked(command.amount)

    @evolve
    def booked(self, event: Booked) -> None:
        self.balance += event.amount


def test_a_corrector_is_found_by_the_class_of_the_wrong_event() -> None:
    class Correctable(Account):
        @correct
        def reverse(self, wrong: Booked) -> Book:
            return Book(self.id, -wrong.amount)

    (corrector,) = Correctable.__definition__.correctors.values()
    assert corrector.method(Correctable("a"), Booked(5)) == Book("a", -5)
    assert corrector.wants_right is False
    assert Account.__definition__.correctors == {}


def test_a_corrector_may_take_the_right_event() -> None:
    class Correctable(Account):
        @correct
        def adjust(self, wrong: Booked, right: Booked | None) -> Booked | None:
            return None

    assert Correctable.__definition__.correctors[Booked].wants_right is True


def test_what_cannot_correct_an_event_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="is async"):

        class Waiting(Account):
            @correct
            async def adjust(self, wrong: Booked) -> None: ...

    with pytest.raises(ConfigurationError, match="may take the right event after it"):

        class Greedy(Account):
            @correct
            def adjust(self, wrong: Booked, right: Booked, more: Booked) -> None: ...

    with pytest.raises(ConfigurationError, match="corrects Book, which is not an Event"):

        class Commanding(Account):
            @correct
            def adjust(self, wrong: Book) -> None: ...

    with pytest.raises(ConfigurationError, match="must return events, a command"):

        class Numeric(Account):
            @correct
            def adjust(self, wrong: Booked) -> int:
                return 1

    with pytest.raises(ConfigurationError, match="another method corrects Booked"):

        class Twice(Account):
            @correct
            def adjust(self, wrong: Booked) -> None: ...

            @correct
            def again(self, wrong: Booked) -> None: ...


def test_only_methods_can_be_marked() -> None:
    not_a_method: Any = 7
    with pytest.raises(ConfigurationError, match="@correct goes on a method"):
        correct(not_a_method)
