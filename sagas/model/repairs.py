"""`RepairPlan`: decides what a stuck saga does when an operator acts on it."""

from __future__ import annotations

from typing import Any

from actorium.actors.errors import Rejected
from actorium.sagas.model.events import FREE, UNDO, SagaCompleted, SagaFailed, SagaRepaired, StepFailed
from actorium.sagas.model.plan import StepPlan


class RepairPlan(StepPlan):
    """One decision of a stuck saga on an operator's action."""

    def repair(self, action: str, reason: str) -> list[Any]:
        """Carry out an operator's action on a stuck saga."""
        stream = self._stream
        if self._status != "failed":
            raise Rejected("the saga is not stuck: there is nothing to repair", status=stream.status)
        if not stream.stuck_at and action != "complete":
            raise Rejected("the saga was ended by its own code: it can only be completed", reason=stream.reason)
        if action == "compensate":
            return self._compensate(reason)
        undoing = stream.cause is not None
        for key in stream.stuck_at or ("",):
            self._events.append(SagaRepaired(action, key, reason, undoing))
        if action == "complete":
            self._events.append(SagaCompleted())
            return self._events
        self._status = "undoing" if undoing else "running"
        for key, intent in stream.stuck_at.items():
            if action == "skip":
                step = self._definition.today(key.removesuffix(UNDO)) if intent is None else intent.step
                self._succeed(key, step, key.endswith(UNDO), intent.commands if intent else (), None, go_on=False)
            elif intent is not None:
                rounds = intent.next_rounds
                self._issue(key, intent.step, intent.undo, intent.commands, intent.effect, intent.id_form, rounds)
        if stream.ended:  # it had already ended, and only commands sent before were left
            self._events.append(
                SagaCompleted() if stream.ended == "completed" else SagaFailed("", stream.ended_because)
            )
        else:
            self._resume()
        return self._events

    def _compensate(self, reason: str) -> list[Any]:
        """Undo the steps of a saga that is stuck on its way forward.

        Commands of the stuck step that are not known to have failed may have taken effect, so they are undone too.
        """
        stream = self._stream
        if stream.cause is not None:
            raise Rejected("the saga compensates already: retry, skip or complete it", reason=stream.reason)
        if not self._definition.steps:
            raise Rejected("a saga without steps has nothing to undo: retry, skip or complete it")
        if stream.ended:
            raise Rejected(f"the saga had already {stream.ended}: retry, skip or complete it")
        for key in stream.stuck_at:
            self._events.append(SagaRepaired("compensate", key, reason, True))
        for key, intent in stream.stuck_at.items():
            step = self._definition.today(key) if intent is None else intent.step
            if not self._definition.can_be_undone(step):
                raise Rejected(f"{step} comes after a step that cannot be undone: retry, skip or complete the saga")
            if step == FREE:
                continue
            commands = () if intent is None else intent.commands
            effects = tuple(n for n in range(len(commands)) if intent is not None and n not in intent.failed)
            took_effect = intent is not None and (intent.effect or bool(effects))
            self._events.append(StepFailed(key, step, False, reason, {}, took_effect, effects))
            if took_effect:
                self._done[step] = tuple(commands[n] for n in effects)
        self._cause, self._status = reason, "undoing"
        self._undo_next()
        return self._events
