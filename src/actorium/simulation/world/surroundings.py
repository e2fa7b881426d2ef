"""`Surroundings`: the interface of a world to its parts, and the error of a process that does not answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from actorium.simulation.chance import Chance
from actorium.simulation.record.trace import TraceMark
from actorium.simulation.world.faults import CrashAt, FaultId, FaultPlan, Faults
from actorium.simulation.world.loop import NoAnswer, SimulatedLoop
from actorium.simulation.world.machine import Machine
from actorium.store.errors import OutcomeUnknown


class ConnectionLost(OutcomeUnknown):
    """The process did not answer: it is down, or the request or its reply was lost. Whether it acted is not known."""


class Surroundings(Protocol):
    """The clock, the random draws and the faults of a world, and its trace."""

    machine: Machine
    loop: SimulatedLoop
    chance: Chance
    plan: FaultPlan
    faults: Faults
    marks: list[CrashAt]
    crash_at: CrashAt | None
    remembers: bool

    @property
    def now_s(self) -> float:
        """The world's clock, in seconds."""
        ...

    @property
    def is_calm(self) -> bool:
        """Whether the scenario has switched faults off, for example during setup."""
        ...

    def note(self, text: str | Callable[[], str], mark: TraceMark, who: str = "", about: tuple[str, ...] = ()) -> None:
        """Write a line of the trace; `text` may be a function that returns it later."""
        ...

    def note_fault(self, fault: FaultId, who: str = "") -> None:
        """Write a line of the trace for a fault that happens now."""
        ...

    def leave_out(self, what: str, to: str) -> NoAnswer:
        """Return a placeholder for the answer to a command that is not sent, or raise LeftOut, as requested."""
        ...

    def violated(
        self, invariant: str, expected: object, actual: object, *, culprit: str = "", is_stated: bool = False
    ) -> None:
        """Record a violation of an invariant; see `Violated`."""
        ...
