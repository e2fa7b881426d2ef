"""`Component`: a part of a runtime with the same lifetime, and its phases."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import anyio.abc


class Component:
    """A part that a `Lifecycle` drives; the default of each phase does nothing."""

    async def prepare(self) -> None:
        """Get ready; raise if something is wrong, so that the start of the runtime fails."""

    async def start(self, tasks: anyio.abc.TaskGroup) -> None:
        """Start tasks, which run until they are cancelled; return when the component is ready."""

    async def stop(self) -> None:
        """Finish accepted work; the tasks are cancelled afterwards, or after `Settings.drain_s` seconds."""


class BackgroundTask(Component):
    """A component that is one task.

    run: the task's function; it is cancelled when the runtime ends.
    """

    def __init__(self, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._run = run

    async def start(self, tasks: anyio.abc.TaskGroup) -> None:
        """Start the task."""
        tasks.start_soon(self._run)
