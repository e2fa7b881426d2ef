"""`ReplyCheck`: an acknowledged command is in the log as acknowledged, a refused one is not, repeated answers agree."""

from __future__ import annotations

from actorium.actors.commands import Ack
from actorium.simulation.checks.effects import Effect, Effects
from actorium.simulation.checks.finding import Violated
from actorium.simulation.record.history import UNKNOWN, ClientDelivery, History, Operation
from actorium.simulation.record.view import View
from actorium.simulation.record.witness import Witness
from actorium.store.errors import ActoriumError, InvalidCommand, LostRace, OutcomeUnknown, Refused, Unavailable
from actorium.store.events import event_type_of
from actorium.store.raised import repr_of
from actorium.store.wording import counted

_NOTHING_WAS_DONE = (Unavailable, Refused, LostRace, InvalidCommand)


class ReplyCheck:
    """Checks each answer as it leaves the runtime, whether or not it reaches a client."""

    def __init__(self, witness: Witness, view: View, effects: Effects, history: History, violated: Violated) -> None:
        self._witness = witness
        self._view = view
        self._effects = effects
        self._history = history
        self._violated = violated
        self._fresh: set[str] = set()
        self._asked: dict[str, int] = {}

    def asked(self, operation: Operation) -> None:
        """Record that a command is sent for the first time."""
        self._asked.setdefault(operation.effect_id, operation.seen)

    def answered(self, operation: Operation, delivery: ClientDelivery) -> None:
        """Check the runtime's answer to one delivery of a command."""
        ack = delivery.answer
        if not isinstance(ack, Ack):
            return
        effect = self._effects.of(operation.effect_id)
        if ack.events or (effect is not None and effect.is_told_by(operation, ack)):
            self._took_effect(operation, delivery, effect, ack)
        else:
            self._had_no_effect(operation, ack)

    def _took_effect(self, operation: Operation, delivery: ClientDelivery, effect: Effect | None, ack: Ack) -> None:
        says = f"{operation.name} at version {ack.version}, position {ack.position}"
        if effect is None:
            self._violated(
                "what is acknowledged is durable",
                says,
                f"a log of {counted(self._witness.position, 'event')} without it",
            )
            return
        if (ack.stream_id, ack.version, ack.position) != (effect.stream.id, effect.version, effect.position):
            found = f"version {effect.version}, position {effect.position} of {effect.stream}"
            self._violated("an acknowledgement matches the log", found, says)
        first = effect.position - (effect.version - effect.first_version)
        events = tuple(
            one.event for position in range(first, effect.position + 1) for one in self._view.recorded(position)
        )
        if operation.reads is not None:
            events = tuple(one for one in events if event_type_of(type(one)) in operation.reads)
        if ack.events != events:
            self._violated("an acknowledgement matches the log", f"{operation.name}: {events}", ack.events)
        self._came_in_time(operation, delivery, ack, effect.position)

    def _came_in_time(self, operation: Operation, delivery: ClientDelivery, ack: Ack, position: int) -> None:
        name = operation.name
        asked = self._asked.get(operation.effect_id, operation.seen)
        if position <= asked:
            self._violated("a command takes effect after it is sent", f"{name} after position {asked}", position)
        if ack.duplicate:
            return
        if position <= delivery.seen:
            self._violated(
                "a second answer is marked as a duplicate",
                f"{name}, in effect at {position}, marked as a duplicate",
                ack,
            )
        if operation.effect_id in self._fresh:
            self._violated(
                "a second answer is marked as a duplicate",
                f"{name} answered before, and marked as a duplicate now",
                ack,
            )
        self._fresh.add(operation.effect_id)

    def _had_no_effect(self, operation: Operation, ack: Ack) -> None:
        stream = self._view.stream_of(operation.command)
        records = self._witness.streams.get(stream, [])
        if ack.version > len(records):
            says = f"{operation.name} at version {ack.version}"
            self._violated("what is acknowledged is durable", says, f"{stream} has {len(records)} versions")
            return
        rests_on = records[ack.version - 1].position if ack.version else 0
        if not rests_on <= ack.position <= self._witness.position:
            expected = f"{operation.name}: a position from {rests_on} to {self._witness.position}"
            self._violated("an acknowledgement covers what it depends on", expected, ack.position)

    def at_rest(self) -> None:
        """Check that no command took effect although its caller was told that nothing was done.

        A command may be delivered several times under one id, and each delivery may cause the effect. One that was
        never answered, or whose outcome is unknown to its caller, may cause it at any time.
        """
        deliveries: dict[str, list[ClientDelivery]] = {}
        for operation in self._history.operations:
            if operation.how == "send":
                deliveries.setdefault(operation.effect_id, []).extend(operation.deliveries)
        for operation in self._history.operations:
            effect = self._effects.of(operation.effect_id) if operation.how == "send" else None
            if effect is None:
                continue
            came_before = [one for one in deliveries[operation.effect_id] if one.seen < effect.position]
            if came_before and all(_was_refused(operation, effect, one) for one in came_before):
                last = came_before[-1]
                says = f"{operation.name} answered with {repr_of(last.answer)} at position {last.known}"
                self._violated("a refused command has no effect", says, f"{effect}, at position {effect.position}")


def _was_refused(operation: Operation, effect: Effect, delivery: ClientDelivery) -> bool:
    """Return whether the answer to a delivery says that it did not cause the effect of its command.

    Some errors say that nothing was done; the others, that nothing is done from now on.
    """
    answer = delivery.answer
    if delivery.known == UNKNOWN:
        return False
    if isinstance(answer, Ack):
        return not effect.is_told_by(operation, answer)
    if isinstance(answer, _NOTHING_WAS_DONE):
        return True
    return (
        isinstance(answer, ActoriumError)
        and not isinstance(answer, OutcomeUnknown)
        and delivery.known < effect.position
    )
