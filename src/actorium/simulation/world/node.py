"""`Node`: a process of the simulated world: it is started, killed, paused and restarted.

Invariants: one incarnation is alive at a time, each on its own loop; a killed one runs nothing more and is disposed of
when the run is over; only the log survives an incarnation.
"""

from __future__ import annotations

import asyncio
import random
from asyncio.events import _set_running_loop
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from actorium.application import Runtime
from actorium.simulation.checks import Checks
from actorium.simulation.checks.rest import parked, retry_stuck
from actorium.simulation.record.history import History
from actorium.simulation.record.trace import TraceMark
from actorium.simulation.record.view import View
from actorium.simulation.record.witness import Witness
from actorium.simulation.world.cluster_store import settled_statistics, simulated
from actorium.simulation.world.configuration import Release, SimulatedSource
from actorium.simulation.world.faults import CrashAt, FaultId, Kind
from actorium.simulation.world.logs import CLUSTER_LEASE_S, LEASE_S, ClusterNodeLog, Log
from actorium.simulation.world.loop import SimulatedLoop
from actorium.simulation.world.store import SimulatedStore, Trouble
from actorium.simulation.world.surroundings import ConnectionLost, Surroundings
from actorium.store.errors import ActoriumError, Fenced, Unavailable
from actorium.user_code.lines import described

R = TypeVar("R")

_EPOCH_US = 1_700_000_000_000_000
_RESTART_S = (0.02, 3.0)
# The approximate number of steps until a process serves requests, and the stretches of its life after that. A fault is
# drawn for each stretch, so a long life meets as many faults per step as a short one.
_START_STEPS = 60
_STRETCH_STEPS = 150
_PAUSE_S = (0.5, 60.0)
_MEND_ATTEMPTS = 1_000
_LONGEST_READ_S = 30.0
_JUMP_S = (-7_200.0, 7_200.0)
_FROZEN_S = (1.5 * LEASE_S, 4 * LEASE_S)
_CUT_OFF_S = (0.5, 4 * CLUSTER_LEASE_S)
_ARRIVAL_S = 6.0  # how late a statement of a killed process arrives at most: before or after the next one has the log
_FAR_US = 10 * 365 * 86_400 * 1_000_000
_FAR_FOR_S = (0.001, 60.0)
# The shortest and the longest latency; a value below zero means at once, like a cache hit.
_LATENCY_S = {"commit": (0.0004, 0.0024), "read": (-0.0005, 0.0005), "failure": (0.01, 0.06), "frame": (0.0002, 0.003)}


Call = Callable[[Runtime], Awaitable[Any]]


class Node:
    """A process with one runtime, and the log it runs on."""

    def __init__(
        self,
        world: Surroundings,
        name: str,
        log: Log,
        releases: Sequence[Release],
        witness: Witness,
        history: History,
        view: View,
        checks: Checks,
    ) -> None:
        self.name = name
        self._releases = releases
        self.release = 0
        self.witness = witness
        self.history = history
        self.view = view
        self.checks = checks
        self.log = log
        self.world = world
        self.runtime: Runtime | None = None
        self.serves = asyncio.Event()
        self.life: Life | None = None
        self.lives: list[Life] = []
        self._clock_offset_us = 0
        self._clock_furthest_us = 0
        self._call_name = f"{name} call"
        self.trouble = Trouble()
        self._calls: dict[int, asyncio.Future[Any]] = {}  # by identity: cheaper than a numbered future's hash
        self._stopping = False

    def start(self) -> None:
        """Start an incarnation, of the next release if one is deployed."""
        if self.lives and self.release + 1 < len(self._releases):
            fault = self.world.plan.draw("deploy", self.name)
            if fault is not None:
                self.world.note_fault(fault, self.name)
                self.release += 1
                self.checks.deployed(self.model)
        self.life = Life(self, len(self.lives) + 1)
        self.lives.append(self.life)
        self.world.note(f"{self.name} starts", TraceMark.STARTED, self.name)
        self.life.begin(self._releases[self.release].make)

    @property
    def model(self) -> Runtime:
        """A runtime that describes the classes of the current release; it is never started."""
        return self._releases[self.release].model

    def crash(self, why: str, *, power: bool = False) -> None:
        """Kill the live incarnation, if any; another is started some time later. `power`: also cut its disk's power."""
        if (life := self._taken_down(f"crashes: {why}")) is not None:
            life.end()
            if power:
                self.log.lost_power()
            else:
                self.log.killed()

    def freeze(self, why: str, for_s: float) -> None:
        """Freeze the live incarnation; another is started and takes over its log. It thaws after `for_s`."""
        if (life := self._taken_down(f"is frozen: {why}")) is not None:
            life.loop.hold_until(self.world.now_s + for_s)

    def _taken_down(self, why: str) -> Life | None:
        """Lose the live incarnation, if any, and return it; another is started later."""
        life, self.life, self.runtime = self.life, None, None
        self.serves.clear()
        if life is not None:
            self.world.note(f"{self.name} {why}", TraceMark.CRASHED, self.name)
            self._hang_up()
            self._start_later(life)
        return life

    def _start_later(self, life: Life) -> None:
        low, high = _RESTART_S
        delay_s = low + (high - low) * self.world.chance.number(f"restart {self.name}", life.number)
        self.world.loop.call_later(delay_s, self.start)

    def ended(self, life: Life, error: BaseException | None) -> None:
        """Record that an incarnation ended without being killed, before or after it served requests."""
        if life is not self.life or self._stopping:
            return
        if life.is_stopping or (isinstance(error, Fenced) and isinstance(self.log, ClusterNodeLog)):
            self.crash("stopped by the scenario" if life.is_stopping else "it was fenced, and its runtime ended")
            return
        if self.runtime is not None:
            self.world.violated(
                "the runtime keeps running", "a runtime that is serving", f"it ended without being stopped: {error!r}"
            )
        self.crash(f"start failed: {error!r}")

    @property
    def is_stopping(self) -> bool:
        """Whether the run is over for this process: it is not started again."""
        return self._stopping

    async def restart(self) -> None:
        """Stop the runtime gracefully, as a deployment does; another is started some time later, as after a crash."""
        if self.life is not None and self.runtime is not None:
            self.life.is_stopping = True
            with suppress(ConnectionLost):
                await self.call(lambda runtime: runtime.stop())

    async def stop(self) -> None:
        """Stop the runtime gracefully, from the world's own loop."""
        self._stopping = True
        if self.runtime is not None:
            await self.call(lambda runtime: runtime.stop())
        if (life := self.life) is not None:
            await asyncio.sleep(0.001)  # give tasks that were just cancelled time to end
            if [one for one in life.loop.unfinished() if one.get_name() == self._call_name]:
                await asyncio.sleep(_LONGEST_READ_S)  # a caller may be waiting for the store itself
            left = [task.get_name() for task in life.loop.unfinished()]
            if left:
                self.world.violated("a stopped runtime leaves no task", "none", ", ".join(left))
            for error in life.loop.unseen_errors():
                what = error if isinstance(error, str) else described(error)
                self.world.violated("no error goes unnoticed", "none", what)

    @property
    def is_stuck(self) -> bool:
        """Whether sagas of its log are stuck, or this process has parked events."""
        return bool(self.checks.resting.stuck_sagas() or (self.runtime is not None and self.look(parked)))

    async def retry_stuck(self) -> None:
        """Do what a person does after the faults are over: retry stuck sagas and parked events."""
        for _ in range(_MEND_ATTEMPTS - 1):
            try:
                await self.call(retry_stuck)
                return
            except ActoriumError:
                await asyncio.sleep(0.1)  # an outage, or a fault drawn before the faults stopped, may last a while
        await self.call(retry_stuck)

    async def busy(self, until_s: float) -> str | None:
        """Describe the work still in progress; None if there is none but commands due after `until_s`."""
        try:
            statistics = await self.call(settled_statistics)
        except (ConnectionLost, Unavailable) as error:
            return str(error)
        return self.checks.left_to_do(self.name, statistics, self.wall_us(until_s))

    def wall_us(self, at_s: float) -> int:
        """Return the process's wall clock at a time of the world, in microseconds since the epoch."""
        return _EPOCH_US + round(at_s * 1_000_000) + self._clock_offset_us

    def jump_clock(self, by_us: int) -> None:
        """Set the wall clock forward or back."""
        self._clock_offset_us += by_us
        self._clock_furthest_us = max(self._clock_furthest_us, self._clock_offset_us)

    def set_clock(self) -> None:
        """Set a wall clock that fell behind an earlier reading to that reading: commands due by then become due now.

        Otherwise a world that comes to rest would go through hours of waiting to find what it finds in minutes.
        """
        self._clock_offset_us = self._clock_furthest_us

    def call(self, what: Call) -> asyncio.Future[Any]:
        """Call something in the process; the future, of the world's loop, completes with its result."""
        return self.call_cancellable(what)[0]

    def call_cancellable(self, what: Call) -> tuple[asyncio.Future[Any], asyncio.Task[None]]:
        """Call like `call`; also return the task in the process."""
        if self.life is None or self.runtime is None:
            raise ConnectionLost(f"{self.name} is down")
        answer = self.world.loop.create_future()
        self._calls[id(answer)] = answer
        self.life.mark()
        task = self.life.loop.create_task(self._serve(self.runtime, what, answer), name=self._call_name)
        return answer, task

    def look(self, read: Callable[[Runtime], R]) -> R:
        """Return the result of a function called in the process, without a step; raise ConnectionLost if it is down."""
        if self.life is None or self.runtime is None:
            raise ConnectionLost(f"{self.name} is down")
        caller = asyncio._get_running_loop()
        _set_running_loop(self.life.loop)
        try:
            return read(self.runtime)
        finally:
            _set_running_loop(caller)

    async def _serve(self, runtime: Runtime, what: Call, answer: asyncio.Future[Any]) -> None:
        result: Any = None
        failure: BaseException | None = None
        try:
            result = await what(runtime)
        except asyncio.CancelledError:
            failure = ConnectionLost("the connection was closed")
        except Exception as error:
            failure = error
        self._calls.pop(id(answer), None)
        if answer.done():
            return
        if self.life is not None:
            self.life.mark()
        if failure is not None:
            answer.set_exception(failure)
        else:
            answer.set_result(result)

    def _hang_up(self) -> None:
        calls, self._calls = self._calls, {}
        for answer in calls.values():
            if not answer.done():
                answer.set_exception(ConnectionLost(f"{self.name} went down"))


class Life:
    """One incarnation of a node; the simulated store sees it as its process."""

    def __init__(self, node: Node, number: int) -> None:
        self.node = node
        self.number = number
        self.is_dead = False
        self.is_stopping = False
        self.name = f"{node.name}.{number}"
        self.loop = SimulatedLoop(node.world.machine, self.name)
        self._latencies = random.Random(node.world.chance.bits(f"latencies of {self.name}", 0))
        self._world = node.world
        self._plan_life()

    def begin(self, make: Callable[..., Runtime]) -> None:
        """Start the runtime on this life's loop."""
        world = self._world
        store = simulated(self.node.log.connect(), world.plan, self.node.witness, self, self.node.trouble)
        source = SimulatedSource(world, self.node.wall_us, self.name)
        self.loop.create_task(self._live(make, store, source), name=f"{self.name} main")

    async def _live(self, make: Callable[..., Runtime], store: SimulatedStore, source: SimulatedSource) -> None:
        try:
            runtime = make(store=store, source=source)
            await runtime.start()
        except Exception as error:
            self.node.ended(self, error)
            return
        node = self.node
        if node.life is self:  # it may have been frozen while it started, and replaced
            node.runtime = runtime
            node.serves.set()
            self._world.note(f"{node.name} serves", TraceMark.SERVES, node.name)
            node.checks.began(node.name, self.number, runtime, self.loop)
        node.ended(self, await runtime.ended())

    def end(self) -> None:
        """Die: nothing of this incarnation runs any more."""
        self.is_dead = True
        self.loop.die()

    def _plan_life(self) -> None:
        """Draw the faults that hit this life from outside, and the steps at which they do."""
        if (at := self._world.crash_at) is not None and (at.node, at.life) == (self.node.name, self.number):
            self.loop.set_alarm(at.step, lambda: self.crash(str(at)))
        self._expect("start", 0, 0, _START_STEPS)
        self._expect("life", 0, _START_STEPS, _STRETCH_STEPS)
        for family in self.node.log.families:
            self._expect(family, 0, _START_STEPS, _STRETCH_STEPS)

    def _expect(self, family: str, stretch: int, begin: int, steps: int) -> None:
        """Draw whether a fault happens at one of the next steps; then continue with the next stretch."""
        part = self._world.chance.number(f"{family} of {self.name}", stretch)

        def drawn() -> None:
            if self.node.life is not self:
                return  # another incarnation has taken its place
            if family != "start":
                self._expect(family, stretch + 1, begin + steps, steps)
            fault = self._world.plan.draw(family, self.node.name)
            if fault is not None:
                self._apply_fault(fault)

        self.loop.set_alarm(begin + 1 + int(part * steps), drawn)

    def _apply_fault(self, fault: FaultId) -> None:
        world = self._world
        world.note_fault(fault, self.node.name)
        if fault.kind is Kind.CRASH:
            self.crash("killed")
        elif fault.kind is Kind.PAUSE:
            self.loop.hold_until(world.machine.now_s + world.plan.amount(fault, *_PAUSE_S))
        elif fault.kind is Kind.FROZEN:
            self.mark()
            self.node.freeze(str(fault), world.plan.amount(fault, *_FROZEN_S))
        elif fault.kind is Kind.CUT_OFF:
            self.node.trouble.away_until_s = world.now_s + world.plan.amount(fault, *_CUT_OFF_S)
        elif fault.kind is Kind.CLOCK_JUMP:
            self.node.jump_clock(int(world.plan.amount(fault, *_JUMP_S) * 1_000_000))
        elif fault.kind is Kind.CLOCK_FAR:
            self.node.jump_clock(_FAR_US)
            world.loop.call_later(world.plan.amount(fault, *_FAR_FOR_S), self.node.jump_clock, -_FAR_US)

    # --- called by the simulated store ----------------------------------------------------------------------------

    def crash(self, why: str, *, power: bool = False) -> None:
        if self.is_dead:
            return
        self.mark()
        if self.node.life is self:
            self.node.crash(why, power=power)
        else:
            self.end()

    def later(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do something a little later, outside the process."""
        self.after(_ARRIVAL_S * self._world.chance.number(f"arrival at {self.name}", self.loop.steps), work)

    def after(self, delay_s: float, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do something after a time, outside the process."""
        loop = self._world.loop
        loop.call_later(delay_s, lambda: loop.create_task(work(), name=f"{self.name} late"))

    def mark(self) -> None:
        """Record, if the world asks for it, that something visible from outside happens at this step."""
        if self._world.remembers:
            self._world.marks.append(CrashAt(self.node.name, self.number, self.loop.steps))

    def now_s(self) -> float:
        return self._world.machine.now_s

    def committed(self, text: Callable[[], str], streams: tuple[str, ...]) -> None:
        name = self.node.name
        self._world.note(lambda: f"{name} {text()}", TraceMark.COMMITTED, name, streams)

    def fault_happened(self, fault: FaultId) -> None:
        self._world.note_fault(fault, self.node.name)

    def lost(self, why: str) -> None:
        self._world.violated("nothing committed is lost", "the log as it was", why)

    def pause(self, delay_s: float) -> asyncio.Future[None]:
        return self.loop.pause(delay_s)

    def latency_s(self, what: str) -> float:
        shortest_s, longest_s = _LATENCY_S[what]
        return shortest_s + (longest_s - shortest_s) * self._latencies.random()
