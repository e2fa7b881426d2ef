"""`Component`: a part of a runtime that lives as long as it, and the phases of that life."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import anyio.abc


class Component:
    """What a `Lifecycle` drives; a phase that a component leaves out does nothing."""

    async def prepare(self) -> None:
        """Get ready; raise what is wrong, so that the start of the runtime fails."""

    async def start(self, tasks: anyio.abc.TaskGroup) -> None:
        """Start tasks, which run until they are cancelled; return when the component serves."""

    async def stop(self) -> None:
        """Finish what was accepted; the tasks are cancelled after that, or when `Settings.drain_s` is over."""


class BackgroundTask(Component):
    """A component that is one task.

    run: is cancelled at the end of the runtime.
    """

    def __init__(self, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._run = run

    async def start(self, tasks: anyio.abc.TaskGroup) -> None:
        """Start the task."""
        tasks.start_soon(self._run)
