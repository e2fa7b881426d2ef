"""`Lifecycle`: starts and stops a runtime, with its components in a fixed order.

Invariants: every task of the runtime lives in one task group inside one root task, so that no caller's cancel scope
reaches it; `start` and `stop` only signal that task; a lifecycle runs once; commands are accepted only while
`accepting` is true, from the start of the last follower to the call of `stop`, and only from its own event loop.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from threading import get_ident
from typing import NamedTuple
from weakref import WeakSet

import anyio
import anyio.abc

from actorium.runtime.component import Component
from actorium.runtime.engine import Engine
from actorium.runtime.environment import RuntimeEnvironment
from actorium.runtime.errors import RuntimeClosed
from actorium.runtime.log.readability import require_readable
from actorium.runtime.shutdown import Shutdown
from actorium.store.errors import ActoriumError, ConfigurationError
from actorium.store.event_store import Head
from actorium.store.log import logger
from actorium.store.names import StoredEventType
from actorium.store.raised import error_text
from actorium.store.shared import SharedStore, is_shared

log = logger("actorium.runtime")

_FOREIGN = (
    "the runtime is used from outside its event loop: from another thread, call "
    "`asyncio.run_coroutine_threadsafe(runtime.send(…), loop).result()` with the `loop` that started the runtime"
)


class Assembly(NamedTuple):
    """The components of a runtime.

    engine: starts first and stops last, because the others write through it.
    followers: start in this order, before commands are accepted.
    senders: start in this order, once commands are accepted, because they may send some immediately.
    """

    engine: Engine
    followers: Sequence[Component]
    senders: Sequence[Component]


Assemble = Callable[[Head, Sequence[StoredEventType]], Assembly]
"""Makes the components of a runtime, given the end of its log and the shapes of the events in it."""


class Lifecycle:
    """Starts, drains and stops one runtime.

    environment: shared by its components; the lifecycle closes the store.
    open_store: opens the store.
    assemble: makes the components. Called when the store is open and the event loop runs.
    """

    def __init__(
        self, environment: RuntimeEnvironment, open_store: Callable[[], Awaitable[None]], assemble: Assemble
    ) -> None:
        self._environment = environment
        self._open_store = open_store
        self._assemble = assemble
        self._assembly: Assembly | None = None
        self._root: asyncio.Task[None] | None = None
        self._stop_wanted: asyncio.Event | None = None
        self._is_opening = False
        self._crash: BaseException | None = None
        self._failure: BaseException | None = None
        self._shutdown = Shutdown(environment.settings.close_s)
        self.serving_loop: asyncio.AbstractEventLoop | None = None  # the loop that commands may come from
        self.serving_thread = 0  # the thread that runs it, as last seen; 0 if not known
        _all.add(self)

    @property
    def accepting(self) -> bool:
        """Whether commands are accepted."""
        return self.serving_loop is not None

    def require_here(self) -> None:
        """Raise the error of `refusal` unless commands are accepted and the caller runs on the loop that serves."""
        try:
            is_here = self.accepting and asyncio.get_running_loop() is self.serving_loop
        except RuntimeError:  # a thread without an event loop
            is_here = False
        if not is_here:
            raise self.refusal()
        self.serving_thread = get_ident()

    async def start(self) -> None:
        """Open the store and start every component; return when commands are accepted.

        Raises RuntimeClosed for a second start, and any error of the store or a component.
        """
        if self._root is not None:
            raise RuntimeClosed(
                "this runtime was started before, and a runtime runs only once: create it in a function that is "
                "called for each run, not at module level"
            )
        loop = asyncio.get_running_loop()
        self._stop_wanted = asyncio.Event()
        started: asyncio.Future[None] = loop.create_future()
        self._root = loop.create_task(self._run(started, self._stop_wanted), name="actorium")
        try:
            await asyncio.shield(started)
        except BaseException:
            await self.stop()  # close what was opened before the caller, and perhaps its loop, continues
            raise

    async def stop(self) -> None:
        """Accept no more commands, let the components finish for `Settings.drain_s` seconds, then close the store.

        A second call waits for the first. A cancelled caller still waits for the end, then raises its cancellation.
        Raises ConfigurationError in another event loop, and StoreHangs if the store needs more than
        `Settings.close_s` seconds to finish the commit in flight or to close.
        """
        if self._root is None:
            return
        self._require_own_loop()
        self.serving_loop = None
        if self._stop_wanted is not None:
            self._stop_wanted.set()
        if self._is_opening and isinstance(self._environment.store, SharedStore):
            self._is_opening = False
            self._root.cancel()  # it may wait for the runtime that has the log, without end
        settings = self._environment.settings
        # Longer than the sum of all the waits.
        await self._shutdown.of(self._root, settings.drain_s + 3 * settings.close_s)

    async def ended(self) -> BaseException | None:
        """Wait until the runtime ends; return the cause, or None after a stop. Raises RuntimeClosed before a start."""
        if self._root is None:
            raise RuntimeClosed("the runtime has not been started: start it before waiting for its end")
        self._require_own_loop()
        await asyncio.wait((self._root,))
        return self._failure

    def crashed(self, error: BaseException) -> None:
        """End the runtime because of a bug in the runtime, or KeyboardInterrupt."""
        self._crash = self._crash or error
        if self._stop_wanted is not None:
            self._stop_wanted.set()

    @property
    def is_stopping(self) -> bool:
        """Whether the runtime was told to stop or has ended."""
        return self._stop_wanted is not None and self._stop_wanted.is_set()

    def require_accepting(self) -> None:
        """Raise RuntimeClosed while no commands are accepted."""
        if not self.accepting:
            raise self.refusal()

    def refusal(self) -> ActoriumError:
        """Return the error for a call while no commands are accepted, or from another event loop."""
        if self.accepting:
            return ConfigurationError(_FOREIGN)
        when = "is stopping or has stopped" if self._root is not None else "has not been started"
        return RuntimeClosed(f"the runtime {when}: use it inside `async with Runtime(…)`")

    def _require_own_loop(self) -> None:
        if self._root is not None and self._root.get_loop() is not asyncio.get_running_loop():
            raise ConfigurationError(_FOREIGN)

    async def _run(self, started: asyncio.Future[None], stop_wanted: asyncio.Event) -> None:
        environment = self._environment
        why: BaseException | None = None
        try:
            self._is_opening = True
            await self._open_store()
            self._is_opening = False
            settings = environment.settings
            stored = await require_readable(environment.store, environment.codec, settings.unreadable_types)
            if environment.keys is not None:
                environment.keys.require_keys_of(environment.codec.classes_of(one.type for one in stored))
            assembly = self._assembly = self._assemble(await environment.store.head(), stored)
            async with anyio.create_task_group() as tasks:
                try:
                    await self._serve(assembly, tasks, started, stop_wanted)
                finally:
                    self._shutdown.begin(assembly.engine.writer, assembly.engine.checkpoints)
        except BaseException as error:
            self._is_opening = False
            if isinstance(error, asyncio.CancelledError) and stop_wanted.is_set():
                error = RuntimeClosed("the runtime was stopped before it had opened its log")
            why = self._failure = self._crash or _single(error)
            if not started.done():
                started.set_exception(why)
                started.exception()  # mark it as retrieved: `start` raises it, unless its caller is gone
            else:
                log.critical("runtime_failed", error=error_text(why), traceback=why)
        finally:
            self.serving_loop = None
            closed = RuntimeClosed(
                "the runtime has stopped" if why is None else f"the runtime has failed: {error_text(why)}"
            )
            closed.__cause__ = why
            if self._assembly is not None:
                self._assembly.engine.fail_everything(closed)
            try:
                await self._shutdown.close(environment.store)
            finally:
                if environment.keys is not None:
                    environment.keys.close()

    async def _serve(
        self,
        assembly: Assembly,
        tasks: anyio.abc.TaskGroup,
        started: asyncio.Future[None],
        stop_wanted: asyncio.Event,
    ) -> None:
        engine, followers, senders = assembly
        for component in (engine, *followers):
            await component.prepare()
            await component.start(tasks)
        for component in senders:
            await component.prepare()
        self.serving_loop = asyncio.get_running_loop()
        for component in senders:
            await component.start(tasks)
        if is_shared(self._environment.store) and not self._environment.read_only:
            tasks.start_soon(self._end_once_lost, self._environment.store)
        log.info("runtime_started", store=self._environment.store.describe(), position=engine.log_tail.position)
        started.set_result(None)
        await stop_wanted.wait()
        if self._crash is not None:
            raise self._crash
        with anyio.move_on_after(self._environment.settings.drain_s) as drain:
            for component in reversed((engine, *followers, *senders)):
                await component.stop()
        log.info("runtime_stopped", unfinished=engine.admission.in_flight, in_time=not drain.cancelled_caught)
        tasks.cancel_scope.cancel()

    async def _end_once_lost(self, store: SharedStore) -> None:
        """End the runtime once another one has taken its log over."""
        self.crashed(await store.until_lost())


_all: WeakSet[Lifecycle] = WeakSet()


def _forget_threads() -> None:
    for lifecycle in _all:
        lifecycle.serving_thread = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)


def _single(error: BaseException) -> BaseException:
    """Return the single error inside a task group's exception, or the group if it holds several."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
