"""Faults in the user's own code: handlers that raise although they are correct, and effects whose calls get lost.

A handler that raises does so again whenever it is called at the same site, for a moment or some seconds: long enough to
exhaust retries and hydrate an actor again, short enough that everything ends eventually.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from actorium.application import Runtime
from actorium.runtime.processors.reactions import Reaction
from actorium.sagas.model.steps import Step
from actorium.simulation.world.faults import FaultId, Kind
from actorium.simulation.world.surroundings import Surroundings

R = TypeVar("R")

# Half of the faults happen once, the others repeat for up to this many seconds.
_LASTS_S = (-8.0, 8.0)
_ANSWER_LATE_S = (0.1, 60.0)


class InjectedFailure(Exception):
    """Raised by the simulation in place of a handler's result."""


class InjectedUnprintable(InjectedFailure):
    """An injected failure that cannot be converted to text."""

    def __str__(self) -> str:
        raise ValueError("this error cannot be printed")

    __repr__ = __str__


class InjectedBaseException(BaseException):
    """An injected error that is not an Exception, like those of `sys.exit` and of some test tools."""


class InjectedCancellation(asyncio.CancelledError):
    """An injected CancelledError in a task that was not cancelled."""


_RAISED: dict[Kind, type[BaseException]] = {
    Kind.BASE_EXCEPTION: InjectedBaseException,
    Kind.FOREIGN_CANCELLATION: InjectedCancellation,
    Kind.UNPRINTABLE_ERROR: InjectedUnprintable,
}
INJECTED = (InjectedFailure, InjectedBaseException, InjectedCancellation)


class CodeFaults:
    """The faults in the code that a world's runtimes run: patched into the classes while the world lasts.

    Only the runtime meets them. The world's own folds call the same methods and meet no faults.
    """

    def __init__(self, world: Surroundings) -> None:
        self._world = world
        self._plan = world.plan
        self._struck: set[int] = set()
        self._until_s: dict[str, tuple[float, type[BaseException]]] = {}
        self._undo: list[Callable[[], None]] = []
        self._react_fails()

    def put_into(self, runtime: Runtime) -> None:
        """Make the handlers of a runtime's classes fail at times; classes that are already patched stay unchanged."""
        for aggregate in runtime.catalog.aggregates:
            kind = aggregate.__definition__.stream_type
            self._methods(aggregate.__definition__.handlers, "decide", lambda state, kind=kind: f"{kind}<{state.id}>")
            self._functions(aggregate.__definition__.evolvers, "evolve", lambda state, kind=kind: f"{kind}<{state.id}>")
        for projection in runtime.catalog.projections:
            name = projection.__definition__.name
            self._methods(projection.__definition__.handlers, "project", lambda state, name=name: name)
        for saga in runtime.catalog.sagas:
            self._saga(saga.__definition__)

    def take_out(self) -> None:
        """Restore the classes."""
        while self._undo:
            self._undo.pop()()

    def _strike(self, family: str, what: str) -> None:
        """Raise if the plan draws a fault here, or an earlier one still lasts."""
        now_s = self._world.now_s
        if self._until_s and (until := self._until_s.get(site := f"{family} {what}")) and until[0] > now_s:
            raise until[1](f"{site} keeps failing")
        fault = self._plan.draw(family, what)
        if fault is not None:
            self._world.note_fault(fault)
            kind = _RAISED.get(fault.kind, InjectedFailure)
            self._until_s[f"{family} {what}"] = now_s + self._plan.amount(fault, *_LASTS_S), kind
            raise kind(str(fault))

    def _is_runtime(self) -> bool:
        plan = self._plan
        return not plan.is_watching and plan.is_active and asyncio._get_running_loop() is not self._world.loop

    # --- patches --------------------------------------------------------------------------------------------------

    def _methods(self, handlers: dict[Any, Any], family: str, where: Callable[..., str]) -> None:
        """Make the `method` of each handler in a definition meet faults first."""
        if self._is_new(handlers):
            for key, handler in handlers.items():
                handlers[key] = msgspec.structs.replace(handler, method=self._striking(handler.method, family, where))

    def _functions(self, functions: dict[Any, Any], family: str, where: Callable[..., str]) -> None:
        if self._is_new(functions):
            for key, function in functions.items():
                functions[key] = self._striking(function, family, where)

    def _is_new(self, handlers: dict[Any, Any]) -> bool:
        """Return whether a definition's handlers are not patched yet; remember to restore them."""
        if id(handlers) in self._struck:
            return False
        self._struck.add(id(handlers))
        original = dict(handlers)
        self._undo.append(lambda: handlers.update(original))
        return True

    def _striking(self, method: Callable[..., R], family: str, where: Callable[..., str]) -> Callable[..., R]:
        strike, plan, world = self._strike, self._plan, self._world
        running_loop = asyncio._get_running_loop

        @functools.wraps(method)
        def struck(state: Any, *arguments: Any) -> R:
            # Same as `_is_runtime`, inlined: every handler passes here.
            if not plan.is_watching and plan.is_active and running_loop() is not world.loop:
                strike(family, where(state))
            return method(state, *arguments)

        return struck

    def _saga(self, definition: Any) -> None:
        kind = definition.saga_type
        if self._is_new(definition.handlers):
            for event, known in definition.handlers.items():
                method = self._striking(known.handler.method, "saga", lambda saga, kind=kind: f"{kind}<{saga.id}>")
                handler = msgspec.structs.replace(known.handler, method=method)
                definition.handlers[event] = msgspec.structs.replace(known, handler=handler)
        for step in definition.steps.values():
            if id(step) not in self._struck:
                self._struck.add(id(step))
                self._undo.append(functools.partial(setattr, step, "method", step.method))
                self._step(step, kind)

    def _step(self, step: Step, kind: str) -> None:
        method = step.method
        if not step.is_effect:
            step.method = self._striking(method, "saga", lambda saga: f"{kind}<{saga.id}>")
            return

        @functools.wraps(method)
        async def effect(saga: Any) -> None:
            await self._effect(f"{kind}<{saga.id}> {step.name}", functools.partial(method, saga))

        @functools.wraps(method)
        async def effect_with_key(saga: Any, key: Any) -> None:
            await self._effect(f"{kind}<{saga.id}> {step.name}", functools.partial(method, saga, key))

        # The runtime counts the parameters to find out whether a step takes its key.
        step.method = effect_with_key if method.__code__.co_argcount > 1 else effect

    def _react_fails(self) -> None:
        call, code = Reaction.call, self

        async def struck(reaction: Reaction, recorded: Any, key: str) -> None:
            await code._effect(f"{reaction.name} {recorded.stream_id}", lambda: call(reaction, recorded, key))

        Reaction.call = struck  # type: ignore[assignment, method-assign]
        self._undo.append(functools.partial(setattr, Reaction, "call", call))

    async def _effect(self, what: str, call: Callable[[], Awaitable[None]]) -> None:
        """Call something outside the log; the call may be lost, be made twice, or have its answer lost."""
        fault: FaultId | None = None
        if self._is_runtime() and (fault := self._plan.draw("effect", what)) is not None:
            self._world.note_fault(fault)
            if fault.kind is Kind.EFFECT_FAILED or fault.kind in _RAISED:
                raise _RAISED.get(fault.kind, InjectedFailure)(str(fault))
            if fault.kind is Kind.EFFECT_DOUBLED:
                await call()
        await call()
        if fault is not None and fault.kind is Kind.EFFECT_LATE:
            await asyncio.sleep(self._plan.amount(fault, *_ANSWER_LATE_S))
        if fault is not None and fault.kind is Kind.EFFECT_UNHEARD:
            raise InjectedFailure(str(fault))
