"""`ScenarioLoop`: the loop of the scenario and its clients; a run may leave out some of their commands."""

from __future__ import annotations

import inspect
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, NoReturn, TypeVar

from actorium.simulation.world.loop import SimulatedLoop
from actorium.simulation.world.machine import Machine

T = TypeVar("T")


class LeftOut(BaseException):
    """The run leaves this command out, so it has no answer. Do not catch it: it ends the task that needs the answer.

    It is not an Exception, so that code that handles errors of the runtime does not catch it.
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is left out of this run: it has no answer")
        self.what = what


class NoAnswer:
    """The placeholder for the answer to a command that was left out; using it raises LeftOut."""

    __slots__ = ("_what",)

    def __init__(self, what: str) -> None:
        object.__setattr__(self, "_what", what)

    def __repr__(self) -> str:
        return f"<no answer: {object.__getattribute__(self, '_what')} is left out>"

    def __getattr__(self, name: str) -> NoReturn:
        raise LeftOut(object.__getattribute__(self, "_what"))

    def _used(self, *arguments: Any) -> NoReturn:
        raise LeftOut(object.__getattribute__(self, "_what"))

    __bool__ = __eq__ = __hash__ = __iter__ = __len__ = __getitem__ = __setattr__ = _used


class ScenarioLoop(SimulatedLoop):
    """A task that ends with LeftOut has no result; the other tasks continue."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine, "world")

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: Context | None = None, **kwargs: Any
    ) -> Any:
        branch = until_left_out(coro) if inspect.iscoroutine(coro) else coro
        return super().create_task(branch, name=name, context=context, **kwargs)


async def until_left_out(coro: Coroutine[Any, Any, Any]) -> Any:
    """Return what a coroutine returns, or NoAnswer if LeftOut ended it."""
    try:
        return await coro
    except LeftOut as left_out:
        return NoAnswer(left_out.what)
    except BaseExceptionGroup as group:
        _, others = group.split(LeftOut)
        if others is not None:
            raise others from None
        return NoAnswer("a part of it")
