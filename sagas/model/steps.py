"""Steps of a saga: `@step` and its `.undo`, `@starts` and `@on_rejected`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar, overload

from actorium.runtime.arguments import SECONDS_MAX, is_seconds
from actorium.runtime.processors.event_handlers import Correlate
from actorium.runtime.retry import Retry
from actorium.store.errors import ConfigurationError
from actorium.store.events import Event

F = TypeVar("F", bound=Callable[..., Any])
_STARTS = "__actorium_starts__"
_REJECTED = "__actorium_rejected__"
DEFAULT_STEP_RETRY = Retry(attempts=5, backoff_s=0.2, backoff_max_s=30.0)
_UNSAID: Any = object()


class Step:
    """One step of a saga, made by `@step`; `@name.undo` adds its compensation."""

    __actorium_handler__ = True

    def __init__(
        self,
        method: Callable[..., Any],
        *,
        timeout_s: float | None,
        retry: Retry,
        until: type[Event] | None,
        correlate: Correlate,
        pivot: bool,
        undo: object,
    ) -> None:
        self.method = method
        self.name = method.__name__
        self.timeout_s = timeout_s
        self.retry = retry
        self.until = until
        self.correlate = correlate
        self.pivot = pivot
        self.says_undo = undo is not _UNSAID
        self.undo_method: Callable[..., Any] | None = None
        self.undo_wants_commands = False
        self.is_effect = inspect.iscoroutinefunction(method)  # it acts outside the log
        self.__doc__ = method.__doc__

    def undo(self, method: F) -> F:
        """Mark the method that returns the command or commands that undo this step: `@debit.undo`.

        If it has a parameter, it gets the list of those commands of the step that took effect: if the step sent
        several, some may have been rejected.
        """
        if self.undo_method is not None:
            raise ConfigurationError(f"{self.method.__qualname__} has two undo methods: keep one")
        self.undo_method = method
        self.undo_wants_commands = len(inspect.signature(method).parameters) > 1
        self.says_undo = True
        return method

    def __repr__(self) -> str:
        return f"<step {self.method.__qualname__}>"


@overload
def step(method: Callable[..., Any], /) -> Step: ...
@overload
def step(
    *,
    timeout_s: float | None = None,
    retry: Retry = DEFAULT_STEP_RETRY,
    until: type[Event] | None = None,
    correlate: Correlate = None,
    pivot: bool = False,
    undo: None = ...,
) -> Callable[[Callable[..., Any]], Step]: ...
def step(
    method: Callable[..., Any] | None = None,
    /,
    *,
    timeout_s: float | None = None,
    retry: Retry = DEFAULT_STEP_RETRY,
    until: type[Event] | None = None,
    correlate: Correlate = None,
    pivot: bool = False,
    undo: Any = _UNSAID,
) -> Any:
    """Mark a step of a saga, which returns one command, several commands to send together, or None to do nothing.

    Steps run in the order written. A step succeeds when its commands are acknowledged. If a command is rejected, if
    `retry` is used up, or after `timeout_s`, the saga compensates: it undoes its finished steps in reverse order.

    An `async def` step is an external effect. It may change the saga's fields, and it succeeds when it returns. It gets
    an `IdempotencyKey` if it has a parameter with that annotation.

    until: an event that the step also waits for; without `correlate=`, only one that the step's own command caused.
    correlate: with `until=`, how to find this saga's id in the event: one of its fields, or a function.
    retry: how often to try the step.
    timeout_s: seconds until the step fails; None for no limit.
    pivot: after this step, the saga can no longer be undone; it only goes forward.
    undo: None if this step needs no undo.

    Raises ConfigurationError for invalid arguments.
    """

    def made(function: Callable[..., Any]) -> Step:
        if timeout_s is not None and not (is_seconds(timeout_s) and timeout_s > 0):
            raise ConfigurationError(
                f"{function.__qualname__}: @step(timeout_s={timeout_s!r}) must be above 0 and at most {SECONDS_MAX}"
            )
        if undo is not _UNSAID and undo is not None:
            raise ConfigurationError(
                f"{function.__qualname__}: @step(undo=None) means no undo; write `@{function.__name__}.undo` "
                "above the method that undoes it"
            )
        return Step(
            function, timeout_s=timeout_s, retry=retry, until=until, correlate=correlate, pivot=pivot, undo=undo
        )

    return made if method is None else made(method)


@overload
def starts(method: F, /) -> F: ...
@overload
def starts(*, correlate: Correlate = None) -> Callable[[F], F]: ...
def starts(method: Any = None, /, *, correlate: Correlate = None) -> Any:
    """Mark the handler of the event that starts a saga; it sets the saga's fields.

    By default, the saga's id is the id of the event, so there is one saga per event. With `correlate=`, it is the value
    of that event field or function, by which later events find the saga.
    """

    def marked(function: F) -> F:
        setattr(function, _STARTS, (correlate,))
        return function

    return marked if method is None else marked(method)


def on_rejected(method: F) -> F:
    """Mark the handler of a rejected command in a saga without steps; annotate its first parameter with the command.

    It returns the next command or commands, as an `@on` handler does. A second parameter gets the `Rejected`. If a
    rejected command has no such handler, the saga fails.
    """
    setattr(method, _REJECTED, True)
    return method


def starts_of(method: object) -> tuple[Correlate] | None:
    """Return the `@starts` declaration of a method; None if it has none."""
    return getattr(method, _STARTS, None)


def handles_rejection(method: object) -> bool:
    """Return whether a method is marked with `@on_rejected`."""
    return getattr(method, _REJECTED, False) is True
