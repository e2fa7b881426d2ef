"""Given / when / then: a saga tested by the commands it sends, in virtual time."""

import asyncio

import pytest

from actorium import Command, ConfigurationError, Event, Rejected, Saga, on, on_rejected, starts, step
from actorium.testing import given_saga


class TransferAsked(Event):
    source: str
    target: str
    amount: int


class Take(Command):
    amount: int


class Give(Command):
    amount: int


class Announce(Command):
    text: str


class Arrived(Event):
    target: str


class Moves(Saga):
    source: str = ""
    target: str = ""
    amount: int = 0
    receipt: str = ""

    @starts(correlate="target")
    def asked(self, event: TransferAsked) -> None:
        self.source, self.target, self.amount = event.source, event.target, event.amount

    @step(timeout_s=30)
    def take(self) -> list[Command]:
        return [Take(self.source, self.amount), Announce(self.source, "taken")]

    @take.undo
    def give_back(self, taken: list[Command]) -> list[Give]:
        return [Give(one.to, one.amount) for one in taken if isinstance(one, Take)]

    @step(undo=None)
    async def print_receipt(self) -> None:
        self.receipt = "printed"

    @step(until=Arrived, correlate="target")
    def give(self) -> Give:
        return Give(self.target, self.amount)


class Answering(Saga):
    tries: int = 0

    @starts(correlate="target")
    def asked(self, event: TransferAsked) -> Take:
        return Take(event.source, event.amount)

    @on(correlate="target")
    def arrived(self, event: Arrived) -> None:
        self.complete()

    @on_rejected
    def no_money(self, command: Take, rejected: Rejected) -> Take:
        self.tries += 1
        return Take(command.to, command.amount - 1)


ASKED = TransferAsked("ann", "bob", 5)
TAKES = (Take("ann", 5), Announce("ann", "taken"))


def test_it_sends_the_commands_of_its_first_step_when_it_starts() -> None:
    given_saga(Moves, started_by=ASKED).then_sends(*TAKES).then_running().then_state(amount=5, source="ann")


def test_each_answer_leads_to_the_next_step_until_it_completes() -> None:
    saga = given_saga(Moves, started_by=ASKED).when_done().then_sends_nothing()
    saga.when_done(receipt="printed").then_sends(Give("bob", 5)).then_state(receipt="printed")
    saga.when_done().then_running().when(Arrived("bob")).then_sends_nothing().then_completed()


def test_a_rejection_undoes_what_took_effect() -> None:
    saga = given_saga(Moves, started_by=ASKED).when_done().when_done().then_sends(Give("bob", 5))
    saga.when(Rejected("closed", since=1)).then_compensates().then_sends(Give("ann", 5))
    saga.when_done().then_undone("closed")


def test_of_several_commands_only_those_that_took_effect_are_undone() -> None:
    saga = given_saga(Moves, started_by=ASKED).when(Rejected("no money")).then_sends_nothing()
    saga.when_done().then_sends_nothing().then_undone("no money")


def test_a_step_ends_at_its_timeout_and_not_before() -> None:
    saga = given_saga(Moves, started_by=ASKED).after(seconds=29).then_running()
    saga.after(seconds=1).then_undone("take did not finish in time").then_sends_nothing()


def test_an_undo_that_fails_leaves_it_stuck() -> None:
    saga = given_saga(Moves, started_by=ASKED).when_done().when_failed("printer on fire").then_sends(Give("ann", 5))
    saga.when_failed("the account is gone").then_stuck("the account is gone")


def test_a_saga_without_steps_gets_events_and_rejections() -> None:
    saga = given_saga(Answering, started_by=ASKED).then_sends(Take("ann", 5))
    saga.when(Rejected("too much")).then_sends(Take("ann", 4)).then_state(tries=1)
    saga.when_done().then_running().when(Arrived("bob")).then_completed()


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda saga: saga.then_sends(Give("bob", 5)), r"expected Give\(\{.*, got Take\("),
        (lambda saga: saga.then_sends_nothing(), "expected no commands, got Take"),
        (lambda saga: saga.then_completed(), "expected the saga to be completed, got running at take"),
        (lambda saga: saga.when_done().then_sends(*TAKES), r"got no commands \(running at print_receipt\)"),
        (lambda saga: saga.then_undone("why"), "expected the saga to be undone: why"),
        (lambda saga: saga.then_state(amount=6), "expected amount=6, got amount=5"),
    ],
)
def test_a_failed_check_shows_the_actual_value(check: object, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check(given_saga(Moves, started_by=ASKED))  # type: ignore[operator]


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda: given_saga(Moves, started_by=Arrived("bob")), "Arrived does not start Moves"),
        (lambda: given_saga(Take, started_by=ASKED), "takes a Saga class"),
        (
            lambda: given_saga(Answering, started_by=ASKED).when_done().when_done(),
            "is not waiting for an answer: it is running",
        ),
        (lambda: given_saga(Moves, started_by=ASKED).when(Taken()), "Moves does not follow Taken"),
        (lambda: given_saga(Moves, started_by=ASKED).when_done(amount=1), "take sends commands"),
    ],
)
def test_an_invalid_test_is_refused(use: object, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        use()  # type: ignore[operator]


class Taken(Event):
    pass


def test_it_needs_no_event_loop() -> None:
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
    given_saga(Moves, started_by=ASKED).then_running()
