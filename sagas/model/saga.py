"""`Saga`: a process over several aggregates (a process manager) that survives any crash.

Its fields are its durable state; all have defaults. A saga has one of two forms, with one mechanism: `@starts` and
`@step` methods that run in the order written, or `@starts` and `@on` methods that return the next commands.
"""

from __future__ import annotations

import sys
from typing import Any, ClassVar

from actorium.sagas.model.definition import SagaDefinition
from actorium.sagas.model.state import SagaState


class Saga(SagaState, kw_only=True):
    """Base class for sagas: the durable state of one business process and the steps that drive it.

    id: identifies the saga among those of its class.
    reason: why the saga compensates, for its undo methods.
    saga_type: the stored name of its streams; by default the name of the class.
    renamed_steps: maps former step names, at which live sagas may be, to the current names.
    begins_at: what a class that is new to a log does with the existing events: "now" ignores them, "beginning" starts
        sagas for them.
    alarm_after_s: a saga that runs longer than this many seconds is logged as an error and counted once; it continues.
    on_start_again: what to do with a second start event for a saga, whether it is running or has ended: "ignore" logs
        it and notes it in the history, "refuse" parks it for an operator. In a saga without steps, `@starts` handles it
        while the saga runs.
    """

    __definition__: ClassVar[SagaDefinition]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # Names in a class that is defined inside a function are visible only in that function's frame.
        cls.__definition__ = SagaDefinition(cls, sys._getframe(2).f_locals)

    def complete(self) -> None:
        """End the saga as completed. Commands that the handler returns are still sent; later events are ignored."""
        self.ended = "completed"

    def fail(self, reason: str) -> None:
        """End the saga as failed. It is listed with its reason until an operator acts."""
        self.ended = "failed"
        self.reason = reason
