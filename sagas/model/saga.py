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
    """The state of one process.

    The stored name of its streams is the class's name unless `saga_type` is set. `renamed_steps` maps names of steps
    that live sagas may stand on to the names they have today. `begins_at` says what a class that is new to a log does
    with the events before it: "now" starts no sagas for them, "beginning" one for each. A saga that is under way for
    more than `alarm_after_s` seconds is logged as an error and counted, once; it goes on. `on_start_again` says what
    becomes of another start event with the id of a saga that there is already, under way or over: "ignore" logs it and
    notes it in the history, "refuse" parks it for a person. Without steps, `@starts` takes it while the saga runs.
    """

    __definition__: ClassVar[SagaDefinition]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # Names in a class that is defined inside a function are visible only in that function's frame.
        cls.__definition__ = SagaDefinition(cls, sys._getframe(2).f_locals)

    def complete(self) -> None:
        """End the saga as completed: what its handler returns is still sent, later events no longer reach it."""
        self.ended = "completed"

    def fail(self, reason: str) -> None:
        """End the saga as failed, listed with its reason until an operator acts."""
        self.ended = "failed"
        self.reason = reason
