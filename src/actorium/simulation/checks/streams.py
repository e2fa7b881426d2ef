"""`Streams`: every answer the runtime gave matches a state that the stream had while the request was in progress.

This is linearizability, checked stream by stream. In general the check needs a search over all orders of the
operations. Here it does not: an aggregate's commands become its stream's events, so the versions record the order of
the effects, and each operation can be checked separately:

- A command that took effect did so at one place in the log, between the request and the answer.
- A command that was rejected or had nothing to do, and a read, write nothing. Such an answer is correct if the
  aggregate's own code gives the same one at some version that was the stream's last during the request.
- A request made after another was answered sees no earlier version than that answer, because the log only grows. So
  the chosen versions agree with real time, whichever version is chosen for each operation.

A request that was never answered (a timeout, a lost reply, a process that died) may or may not have taken effect: both
are correct.

One pass over a stream folds it once and decides all its claims.
"""

from __future__ import annotations

import copy
from bisect import bisect_right
from collections.abc import Callable
from typing import Any

import msgspec

from actorium.actors.commands import Ack
from actorium.actors.errors import AlreadyExists, CommandConflict, NotFound, Rejected
from actorium.simulation.checks.culprits import evolvers_of
from actorium.simulation.checks.effects import Effect, Effects
from actorium.simulation.checks.finding import DECIDED, Violated
from actorium.simulation.checks.personal_data import PersonalDecisions
from actorium.simulation.record.history import UNKNOWN, ClientDelivery, ClientRead, History, Operation
from actorium.simulation.record.view import View
from actorium.simulation.record.witness import Witness
from actorium.store.errors import WrongExpectedVersion
from actorium.store.events import Event
from actorium.store.names import StreamName
from actorium.store.personal.fields import without_texts
from actorium.store.raised import let_through, repr_of

_REFUSALS = (Rejected, NotFound, AlreadyExists, WrongExpectedVersion)


class Claim(msgspec.Struct, eq=False):
    """A condition that must hold at one of the versions `low`..`high` of a stream.

    `holds` is called with the state (None before the first event) and the version. It returns None if the claim is
    correct there, and otherwise a description of what is true instead.
    """

    invariant: str
    says: str
    low: int
    high: int
    holds: Callable[[Any, int], str | None]
    culprit: str


class Streams:
    """The claims about each stream, and the pass that checks them."""

    def __init__(self, witness: Witness, view: View, effects: Effects, history: History, violated: Violated) -> None:
        self._witness = witness
        self._view = view
        self._effects = effects
        self._history = history
        self._violated = violated
        self._personal = PersonalDecisions()
        self._positions: dict[StreamName, list[int]] = {}
        self._claims: dict[StreamName, list[Claim]] = {}

    def look(self) -> None:
        """Check everything in the history."""
        self._claims = {}
        for operation in self._history.operations:
            if operation.how == "send":
                for delivery in operation.deliveries:
                    if not delivery.is_of_old_release and self._personal.ready(operation.command) is not None:
                        self._take(operation, delivery)
        for reading in self._history.readings:
            self._take_reading(reading)
        for stream, claims in self._claims.items():
            self._pass(stream, claims)

    # --- claims ---------------------------------------------------------------------------------------------------

    def _take(self, operation: Operation, delivery: ClientDelivery) -> None:
        answer = delivery.answer
        if isinstance(answer, Ack):
            effect = self._effects.of(operation.effect_id)
            if effect is not None and effect.is_told_by(operation, answer):
                if effect.position > self._history.deployed_at:
                    self._decided(operation, effect)
            elif not answer.events:
                self._had_nothing_to_do(operation, delivery, answer)
        elif isinstance(answer, _REFUSALS):
            self._was_refused(operation, delivery, answer)
        elif isinstance(answer, CommandConflict):
            self._was_in_conflict(operation)

    def _decided(self, operation: Operation, effect: Effect) -> None:
        """A command's events are those its handler decides on the state they were appended to."""
        first, last = effect.first_version, effect.version
        records = self._witness.streams[effect.stream][first - 1 : last]
        written = tuple(one.event for record in records for one in self._view.recorded(record.position))

        def holds(state: Any, version: int) -> str | None:
            decided = self._redecided(operation, state, version)
            return None if without_texts(decided) == without_texts(written) else repr_of(decided)

        says = f"{operation.name} decided {written!r}"
        before = first - 1
        claim = Claim(DECIDED, says, before, before, holds, self._handler_of(operation))
        self._claims.setdefault(effect.stream, []).append(claim)

    def _had_nothing_to_do(self, operation: Operation, delivery: ClientDelivery, ack: Ack) -> None:
        def holds(state: Any, version: int) -> str | None:
            decided = self._redecided(operation, state, version)
            if decided != ():
                return repr_of(decided)
            return (
                None if version == ack.version else f"nothing to do, but the acknowledgement says version {ack.version}"
            )

        self._claim_before_effect(operation, delivery, f"{operation.name} had nothing to do", holds)

    def _was_refused(self, operation: Operation, delivery: ClientDelivery, refusal: Exception) -> None:
        if isinstance(refusal, WrongExpectedVersion) and operation.expected_version is None:
            return  # it lost too many races with other writers of its stream

        def holds(state: Any, version: int) -> str | None:
            decided = self._redecided(operation, state, version)
            return None if _same_refusal(decided, refusal) else repr_of(decided)

        self._claim_before_effect(operation, delivery, f"{operation.name} rejected: {repr_of(refusal)}", holds)

    def _claim_before_effect(
        self, operation: Operation, delivery: ClientDelivery, says: str, holds: Callable[[Any, int], str | None]
    ) -> None:
        """An answer without an effect matches a version of its time; if the command took effect, one before the effect.

        The reason: the runtime looks for an earlier effect of the command before it gives such an answer.
        """
        invariant = "an answer matches a state that existed during the request"
        stream = self._view.stream_of(operation.command)
        low, high = self._versions(stream, delivery)
        effect = self._effects.of(operation.effect_id)
        if effect is not None:
            high = min(high, effect.first_version - 1)
            if low > high:
                self._violated(invariant, f"{operation.name} answered with its effect, {effect}", says)
                return
        self._claims.setdefault(stream, []).append(
            Claim(invariant, says, low, high, holds, self._handler_of(operation))
        )

    def _was_in_conflict(self, operation: Operation) -> None:
        """A conflict is only with a different command of the same id."""
        others = [
            one
            for one in self._history.operations
            if one.command_id == operation.command_id and (type(one.command), one.command) != _key(operation)
        ]
        if not others and self._effects.of(operation.command_id) is not None:
            same = f"one command with the id {operation.command_id}"
            self._violated("a command conflicts only with a different command", same, "CommandConflict")

    def _take_reading(self, reading: ClientRead) -> None:
        delivery, answer = reading.delivery, reading.delivery.answer
        if delivery.known == UNKNOWN or (isinstance(answer, Exception) and not isinstance(answer, NotFound)):
            return
        stream = StreamName(reading.aggregate.__definition__.stream_type, reading.id)
        low, high = self._versions(stream, delivery)
        wanted = reading.at_version
        is_there = not isinstance(answer, NotFound)
        says = f"{stream} read as {answer!r}"
        if wanted is not None and is_there:
            if wanted > high:
                self._violated(
                    "a read returns a state that existed during the request",
                    f"{stream} at version {wanted}",
                    f"{high} versions",
                )
                return
            low = high = wanted

        def holds(state: Any, version: int) -> str | None:
            if not is_there:
                missing = version < (1 if wanted is None else wanted)
                return None if missing else "it existed"
            return None if state == answer else repr(state)

        claim = Claim(
            "a read returns a state that existed during the request",
            says,
            low,
            high,
            holds,
            evolvers_of(self._view, stream),
        )
        self._claims.setdefault(stream, []).append(claim)

    # --- times ----------------------------------------------------------------------------------------------------

    def _versions(self, stream: StreamName, delivery: ClientDelivery) -> tuple[int, int]:
        """Return the first and last version that were the stream's last during a delivery."""
        positions = self._positions.get(stream)
        records = self._witness.streams.get(stream, ())
        if positions is None or len(positions) != len(records):
            positions = self._positions[stream] = [record.position for record in records]
        return bisect_right(positions, delivery.seen), bisect_right(positions, delivery.known)

    # --- the pass -------------------------------------------------------------------------------------------------

    def _pass(self, stream: StreamName, claims: list[Claim]) -> None:
        """Fold a stream once, and try each claim at its versions until it holds."""
        claims.sort(key=lambda claim: claim.low)
        records = self._witness.streams.get(stream, [])
        state: Any = None
        open_claims: list[Claim] = []
        begun = 0
        for version in range(len(records) + 1):
            if version:
                if state is None:
                    state = self._view.empty(stream)
                self._view.evolve(state, records[version - 1])
            while begun < len(claims) and claims[begun].low <= version:
                open_claims.append(claims[begun])
                begun += 1
            open_claims = [claim for claim in open_claims if not self._is_settled(claim, state, version)]
            if begun == len(claims) and not open_claims:
                return

    def _is_settled(self, claim: Claim, state: Any, version: int) -> bool:
        otherwise = claim.holds(state, version)
        if otherwise is None:
            return True
        if version < claim.high:
            return False
        said = f"{claim.says} (at {_span(claim)})"
        self._violated(claim.invariant, said, f"at version {version}: {otherwise}", culprit=claim.culprit)
        return True

    def _handler_of(self, operation: Operation) -> str:
        handlers = self._view.definition_of(operation.command).handlers
        return handlers[type(operation.command)].method.__qualname__

    def _redecided(self, operation: Operation, state: Any, version: int) -> Any:
        """Return what the aggregate's code decides for a command now: its events, or the rejection it raises."""
        definition = self._view.definition_of(operation.command)
        handler = self._personal.handler_of(definition, operation.command)
        stream = self._view.stream_of(operation.command)
        if version == 0 and definition.has_create and not handler.creates:
            return NotFound(f"{stream} does not exist")
        if version > 0 and handler.creates:
            return AlreadyExists(f"{stream} already exists")
        if operation.expected_version is not None and operation.expected_version != version:
            return WrongExpectedVersion(stream, expected=operation.expected_version, actual=version)
        own = copy.copy(state) if state is not None else self._view.empty(stream)
        more = (operation.metadata,) if handler.wants_metadata else ()
        try:
            decided = handler.method(own, self._personal.ready(operation.command), *more)
        except BaseException as raised:
            let_through(raised)
            return raised
        if decided is None:
            return ()
        return (decided,) if isinstance(decided, Event) else tuple(decided)


def _same_refusal(decided: Any, refusal: Any) -> bool:
    if type(decided) is not type(refusal):
        return False
    if isinstance(refusal, Rejected):
        return (decided.reason, decided.details) == (refusal.reason, refusal.details)
    if isinstance(refusal, WrongExpectedVersion):
        return (decided.expected, decided.actual) == (refusal.expected, refusal.actual)
    return True


def _key(operation: Operation) -> tuple[Any, Any]:
    return type(operation.command), operation.command


def _span(claim: Claim) -> str:
    return f"version {claim.low}" if claim.low == claim.high else f"one of versions {claim.low} to {claim.high}"
