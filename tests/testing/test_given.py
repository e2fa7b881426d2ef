"""Given / when / then: an aggregate tested by its events, run as in the runtime."""

from typing import Any

import pytest
from support.bank import (
    Account,
    AccountOpened,
    Add,
    Added,
    CloseDown,
    Deposit,
    Deposited,
    FailToEvolve,
    Look,
    OpenAccount,
    Reveal,
    Revealed,
    Tally,
    Withdraw,
    Withdrawn,
)

from actorium import Aggregate, Command, ConfigurationError, Event, decide, evolve
from actorium.store.errors import InvalidCommand
from actorium.testing import given
from actorium.types import Metadata

OPENED = AccountOpened("Alice")


class Leak(Command):
    pass


class Leaked(Event):
    pass


class Leaky(Aggregate):
    count: int = 0

    @decide
    def leak(self, command: Leak) -> Leaked:
        self.count += 1
        return Leaked()

    @evolve
    def leaked(self, event: Leaked) -> None:
        self.count += 1


def test_events_and_state_follow_from_history_and_command() -> None:
    outcome = given(Account("alice"), OPENED, Deposited(10)).when(Withdraw("alice", 4))
    outcome.then(Withdrawn(4)).then_state(owner="Alice", balance=6)


def test_several_events_come_in_order() -> None:
    given(Account("alice"), OPENED, Deposited(11)).when(CloseDown("alice")).then(Withdrawn(6), Withdrawn(5))


def test_a_rejection_has_a_reason_and_details() -> None:
    refused = given(Account("alice"), OPENED, Deposited(3)).when(Withdraw("alice", 5))
    refused.then_rejected().then_rejected("insufficient funds").then_rejected("insufficient funds", balance=3)
    with pytest.raises(AssertionError, match="expected the rejection 'closed'"):
        refused.then_rejected("closed")
    with pytest.raises(AssertionError, match="expected the detail balance=4"):
        refused.then_rejected(balance=4)
    with pytest.raises(AssertionError, match="expected the command to be accepted, got Rejected"):
        refused.then()


def test_a_command_without_events_is_accepted() -> None:
    given(Account("alice"), OPENED).when(Look("alice")).then_nothing().then_state(balance=0)


def test_creation_needs_an_empty_history_and_other_commands_need_one() -> None:
    given(Account("alice")).when(OpenAccount("alice", owner="Alice")).then(OPENED)
    given(Account("alice"), OPENED).when(OpenAccount("alice")).then_already_exists()
    given(Account("alice")).when(Deposit("alice", 5)).then_not_found()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda outcome: outcome.then(Withdrawn(5)),
        lambda outcome: outcome.then(),
        lambda outcome: outcome.then(Withdrawn(4), Withdrawn(4)),
        lambda outcome: outcome.then_nothing(),
        lambda outcome: outcome.then_state(balance=7),
        lambda outcome: outcome.then_rejected(),
        lambda outcome: outcome.then_not_found(),
        lambda outcome: outcome.then_already_exists(),
    ],
)
def test_an_expectation_that_does_not_hold_fails_the_test(wrong: Any) -> None:
    outcome = given(Account("alice"), OPENED, Deposited(10)).when(Withdraw("alice", 4))
    with pytest.raises(AssertionError, match="expected"):
        wrong(outcome)


def test_a_handler_may_ask_for_metadata() -> None:
    given(Tally("t")).when(Reveal("t"), Metadata("c1", "flow")).then(Revealed("c1", "flow"))
    given(Tally("t")).when(Reveal("t")).then(Revealed("test", "test"))


def test_a_command_is_checked_as_the_runtime_checks_it() -> None:
    with pytest.raises(InvalidCommand, match="Expected `int`, got `str`"):
        given(Tally("t")).when(Add("t", "three"))  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="Tally has no handler for Deposit"):
        given(Tally("t")).when(Deposit("t", 3))


def test_a_handler_that_changes_the_state_is_detected() -> None:
    with pytest.raises(AssertionError, match=r"Leaky\.leak changed the state .* only @evolve may"):
        given(Leaky("l")).when(Leak("l"))


def test_a_bug_in_evolve_propagates() -> None:
    with pytest.raises(ZeroDivisionError):
        given(Tally("t")).when(FailToEvolve("t"))


def test_an_event_that_the_aggregate_does_not_evolve_is_refused_as_history() -> None:
    with pytest.raises(ValueError, match="AccountOpened is not an event"):
        given(Tally("t"), OPENED)


def test_the_given_aggregate_is_not_changed() -> None:
    tally = Tally("t")
    given(tally, Added(5)).when(Add("t", 5)).then_state(total=10)
    assert tally == Tally("t")


def test_a_command_for_another_id_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"Deposit is for 'bob', but given\(…\) has Account\('alice'\)"):
        given(Account("alice"), OPENED).when(Deposit("bob", 5))


def test_a_class_is_refused_as_an_aggregate() -> None:
    with pytest.raises(ConfigurationError, match=r'such as given\(Account\("a"\)\), not Account'):
        given(Account, OPENED)  # type: ignore[arg-type]
