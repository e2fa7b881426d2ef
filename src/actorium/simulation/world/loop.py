"""The event loop of one incarnation of a node, and that of the scenario; ordinary asyncio code runs on them unchanged.

Invariants: ready callbacks run in the order in which they became ready; a dead loop accepts and runs nothing; every
task is referenced until the run is over, so the garbage collector closes no abandoned coroutine during the run.
"""

from __future__ import annotations

import asyncio
import heapq
import inspect
from asyncio.events import _set_running_loop
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from itertools import count
from typing import Any, NoReturn, TypeVar

from actorium.simulation.world.machine import Machine, SimulatedHandle

T = TypeVar("T")

_NOWHERE = Context()
# Finished tasks and futures are released after this many more have been created.
_KEPT = 512
_REFUSED = (
    "add_reader",
    "add_writer",
    "add_signal_handler",
    "connect_accepted_socket",
    "connect_read_pipe",
    "connect_write_pipe",
    "create_connection",
    "create_datagram_endpoint",
    "create_server",
    "create_unix_connection",
    "create_unix_server",
    "getaddrinfo",
    "getnameinfo",
    "sock_accept",
    "sock_connect",
    "sock_recv",
    "sock_recv_into",
    "sock_recvfrom",
    "sock_sendall",
    "sock_sendfile",
    "sock_sendto",
    "subprocess_exec",
    "subprocess_shell",
)


class NotSimulated(RuntimeError):
    """The code asked for something that a simulated run does not have: a network, a subprocess, a signal, a thread."""


class SimulatedLoop(asyncio.BaseEventLoop):
    """A loop of a `Machine`. There is no network, no subprocess and no signal; executors run their work in place."""

    def __init__(self, machine: Machine, name: str) -> None:
        self.machine = machine
        self._queue = machine.ready
        self.name = name
        self.is_dead = True  # until it is initialized: asyncio would have a running loop call back at once
        self.is_held = False
        self.held_until_s = 0.0  # the end of the last hold
        # Dead or held: handles must be checked with `admits` before they run.
        self.is_apart = False
        self.steps = 0
        self.alarm_at = 0
        self._alarms: list[tuple[int, int, Callable[[], None]]] = []
        self._alarm_numbers = count()
        self._held: list[SimulatedHandle] = []
        self._release: SimulatedHandle | None = None
        super().__init__()
        self.is_dead = False
        self.tasks: list[asyncio.Task[Any]] = []
        self._futures: list[asyncio.Future[Any]] = []
        self.unseen: list[dict[str, Any]] = []

    def __repr__(self) -> str:
        return f"<loop of {self.name}>"

    def time(self) -> float:
        return self.machine.now_s

    # False. asyncio asks at every future and task, and a method in Python would take longer than the rest of both.
    get_debug = bool

    def is_running(self) -> bool:
        return not self.is_dead

    def call_soon(  # type: ignore[override]
        self, callback: Any, *args: Any, context: Context | None = None
    ) -> SimulatedHandle:
        handle = SimulatedHandle(0.0, callback, args, self, copy_context() if context is None else context)
        if not self.is_dead:
            self._queue.append(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]  # there are no threads

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Context | None = None
    ) -> SimulatedHandle:
        handle = SimulatedHandle(when, callback, args, self, copy_context() if context is None else context)
        if not self.is_dead:
            self.machine.set_timer(handle)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Any, *args: Any, context: Context | None = None
    ) -> SimulatedHandle:
        return self.call_at(self.machine.now_s + delay, callback, *args, context=context)

    def create_future(self) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = NumberedFuture(loop=self)
        futures = self._futures
        futures.append(future)
        if len(futures) % _KEPT == 0 and not self.is_dead:
            self._futures = [one for one in futures if not one.done()]
        return future

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: Context | None = None, **kwargs: Any
    ) -> asyncio.Task[T]:
        task: asyncio.Task[T] = NumberedTask(coro, loop=self, name=name or self.name, context=context)
        tasks = self.tasks
        tasks.append(task)
        if len(tasks) % _KEPT == 0 and not self.is_dead:
            self.tasks = [one for one in tasks if not one.done()]
        return task

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self.is_dead:
            self.unseen.append(context)

    def pause(self, delay_s: float) -> asyncio.Future[None]:
        """Return a future that completes after a time in seconds without a step, like the answer of a disk."""
        future: asyncio.Future[None] = asyncio.Future(loop=self)  # its caller awaits it at once: no set ever holds it
        if not self.is_dead:
            machine = self.machine
            machine.set_timer(SimulatedHandle(machine.now_s + delay_s, _end, (future,), self, _NOWHERE, False))
        return future

    def unfinished(self) -> list[asyncio.Task[Any]]:
        """Return the unfinished tasks, in the order of their creation."""
        return [task for task in self.tasks if not task.done()]

    def unseen_errors(self) -> list[BaseException | str]:
        """Return the unreported errors: in callbacks, and in tasks whose result nobody retrieved."""
        errors = [context.get("exception") or str(context.get("message")) for context in self.unseen]
        unasked = [task for task in self.tasks if task.done() and task._log_traceback]
        return errors + [error for task in unasked if (error := task.exception()) is not None]

    # --- faults ---------------------------------------------------------------------------------------------------

    def set_alarm(self, at_step: int, alarm: Callable[[], None]) -> None:
        """Have a function called before a step of this loop, counted from 1; a past step means the next one."""
        heapq.heappush(self._alarms, (max(at_step, self.steps + 1), next(self._alarm_numbers), alarm))
        self.alarm_at = self._alarms[0][0]

    def survives_alarm(self, handle: SimulatedHandle) -> bool:
        """Call the alarm that is set for this step, if any; return whether the loop still runs the handle."""
        while self._alarms and self._alarms[0][0] <= self.steps and not self.is_dead:
            heapq.heappop(self._alarms)[2]()
        self.alarm_at = self._alarms[0][0] if self._alarms else 0
        return not self.is_apart or self.admits(handle)

    def hold_until(self, when_s: float) -> None:
        """Run nothing until a time, like a process that is suspended or in a long garbage collection."""
        if self._release is not None:
            self._release.cancel()
        self.is_held = self.is_apart = True
        self.held_until_s = when_s
        self._release = self.call_at(when_s, self._release_held)

    def admits(self, handle: SimulatedHandle) -> bool:
        """Return whether a handle of a dead or held loop may run; if the loop is held, keep the handle for later."""
        if self.is_dead:
            return False
        if handle is self._release or not self.is_held:
            return True
        self._held.append(handle)
        return False

    def _release_held(self) -> None:
        self.is_held = self.is_apart = False
        self._release = None
        held, self._held = self._held, []
        self.machine.ready.extendleft(reversed(held))

    def die(self) -> None:
        """Stop like a killed process: nothing of it runs any more, no `finally`, no callback."""
        self.is_dead = self.is_apart = True

    def is_closed(self) -> bool:
        return self.is_dead

    def dispose(self) -> None:
        """Close everything that was left hanging, once it can do no more harm: the run is over."""
        self.die()
        # Cleaning up may create tasks, which are closed in turn.
        _set_running_loop(self)
        try:
            for task in self.tasks:
                if not task.done():
                    task._log_destroy_pending = False  # type: ignore[attr-defined]
                    for coroutine in _within(task.get_coro()):
                        try:
                            coroutine.close()
                        except BaseException:  # the errors of `finally` blocks no longer matter: their world is gone
                            continue
        finally:
            _set_running_loop(None)
        # Answers that nobody gives any more. The tasks that wait for them reference them back, at times in ways that
        # the garbage collector cannot see.
        for future in self._futures:
            future.cancel()
        self._futures.clear()
        self.tasks.clear()
        self._held.clear()
        self._alarms.clear()
        self._closed = True


def _end(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _within(coroutine: Any) -> list[Any]:
    """Return a coroutine and the coroutines it would have run if it had started."""
    frame = coroutine.cr_frame if inspect.iscoroutine(coroutine) else None
    if frame is None or inspect.getcoroutinestate(coroutine) != inspect.CORO_CREATED:
        return [coroutine]
    behind = frame.f_locals.get("coro") or getattr(frame.f_locals.get("self"), "_coro", None)
    return [coroutine, *_within(behind)] if inspect.iscoroutine(behind) else [coroutine]


def _refusing(name: str) -> Callable[..., NoReturn]:
    def refused(self: SimulatedLoop, *arguments: Any, **keywords: Any) -> NoReturn:
        raise NotSimulated(
            f"loop.{name}() was called inside a simulated run, which has no network, no subprocess and no signals: "
            "put the code that needs it behind an object of your own and replace that object in the scenario"
        )

    return refused


for _name in _REFUSED:
    setattr(SimulatedLoop, _name, _refusing(_name))


_next_number = count().__next__


def _number_of(thing: Any) -> int:
    try:
        number: int = thing._number
    except AttributeError:
        number = thing._number = _next_number()
    return number


class NumberedFuture(asyncio.Future[Any]):
    """A future whose hash is a sequence number, so that sets of futures have the same order in every process."""

    __slots__ = ("_number",)
    __hash__ = _number_of

    def __repr__(self) -> str:
        return f"<future {'ended' if self.done() else 'pending'}>"


class NumberedTask(asyncio.Task[Any]):
    """A task whose hash is a sequence number: anyio keeps sets of tasks."""

    __slots__ = ("_number",)
    __hash__ = _number_of

    def __repr__(self) -> str:
        return f"<task {self.get_name()} {'ended' if self.done() else 'pending'}>"


def begin_numbers() -> None:
    """Restart the numbers, so that each run gets the same ones."""
    global _next_number
    _next_number = count().__next__


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
