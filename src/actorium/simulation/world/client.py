"""`SimulatedRuntime`: the runtime of a simulated node as its clients see it: across a network, and through crashes.

Its methods are those of `Runtime`. It behaves like a well-written client: it gives each command an id, and sends the
command again with the same id until it gets a definite answer. So a scenario reads as if nothing ever failed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, nullcontext, suppress
from datetime import datetime
from types import MappingProxyType
from typing import Any, TypeVar, cast

from actorium.actors.aggregate import Aggregate
from actorium.actors.commands import Ack, Command
from actorium.actors.errors import CommandFailed
from actorium.application import Runtime
from actorium.runtime.errors import EventParked
from actorium.runtime.projections.projection import Projection, Query
from actorium.runtime.services.service import RemoteService
from actorium.simulation.record.history import Asking, ClientDelivery, ClientRead, Operation
from actorium.simulation.record.trace import TraceMark
from actorium.simulation.record.witness import Witness
from actorium.simulation.world.client_groups import (
    TRY_AGAIN,
    SimulatedCorrections,
    SimulatedDeadLetters,
    SimulatedProcessors,
    SimulatedSagas,
    SimulatedSubmissions,
)
from actorium.simulation.world.client_reads import ReadFace
from actorium.simulation.world.code_faults import INJECTED
from actorium.simulation.world.faults import FaultId, Kind
from actorium.simulation.world.node import Node
from actorium.simulation.world.services.answers import answered_in_time
from actorium.simulation.world.surroundings import ConnectionLost, Surroundings
from actorium.store.errors import ConfigurationError, LostRace
from actorium.store.events import event_type_of
from actorium.store.raised import error_text
from actorium.user_code.lines import described

A = TypeVar("A", bound=Aggregate)
R = TypeVar("R")

_ANSWER_WITHIN_S = 45.0
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 5.0
# A request meets faults for this long; then they stop until it is answered. A request that is still not answered then
# is the runtime's fault: the next crash would hide it.
_TROUBLED_S = 120.0
_PATIENCE_S = 600.0
_NONE: Mapping[str, Node] = MappingProxyType({})


class SimulatedRuntime(ReadFace):
    """A client's connection to the runtime of a simulated node.

    services: the services of its world by name, to which it may send commands.
    """

    def __init__(self, world: Surroundings, node: Node, services: Mapping[str, Node] = _NONE) -> None:
        self._world = world
        self.node = node
        self._services = services
        self.sagas = SimulatedSagas(self._answered)
        self.submissions = SimulatedSubmissions(self._answered)
        self.processors = SimulatedProcessors(node.look, self._answered)
        self.corrections = SimulatedCorrections(self._answered)
        self.dead_letters = SimulatedDeadLetters(node.look, self._answered)

    async def send(
        self,
        command: Command,
        *,
        command_id: str | None = None,
        timeout_s: float | None = None,
        expected_version: int | None = None,
        correlation_id: str = "",
        causation_id: str = "",
        headers: Mapping[str, str] | None = None,
        wait_for: Collection[type[Projection]] = (),
    ) -> Ack:
        """Send a command until it is answered; return or raise as `Runtime.send` does.

        Without a `command_id`, the id is derived from the command's type, its target and their occurrence number.
        """
        remote = self._remote_of(command)
        home = self.node if remote is None else self._service(remote)
        operation = self._begin(
            command if remote is None else home.view.as_received(command),
            command_id,
            home,
            reads=None if remote is None else _events_read(self.node, remote),
            expected_version=expected_version,
            correlation_id=correlation_id,
            causation_id=causation_id,
            headers=headers or {},
        )

        def sent(runtime: Runtime) -> Awaitable[Ack]:
            return runtime.send(
                command,
                command_id=operation.command_id,
                timeout_s=timeout_s,
                expected_version=expected_version,
                correlation_id=correlation_id,
                causation_id=causation_id,
                headers=headers,
                wait_for=wait_for,
            )

        within_s = None if remote is None else timeout_s or self.node.model.settings.default_timeout_s
        return await self._carried_out(operation, operation.name, sent, home, within_s)

    async def submit(
        self,
        command: Command,
        *,
        at: datetime | None = None,
        after_s: float | None = None,
        command_id: str | None = None,
        correlation_id: str = "",
        causation_id: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Ack:
        """Accept a command durably, as `Runtime.submit` does."""
        more: dict[str, Any] = {
            "correlation_id": correlation_id,
            "causation_id": causation_id,
            "headers": headers or {},
        }
        operation = self._begin(command, command_id, self.node, how="submit", **more)

        def submitted(runtime: Runtime) -> Awaitable[Ack]:
            return runtime.submit(command, at=at, after_s=after_s, command_id=operation.command_id, **more)

        return await self._carried_out(operation, f"submit {operation.name}", submitted)

    async def tell(
        self,
        command: Command,
        *,
        timeout_s: float | None = None,
        correlation_id: str = "",
        causation_id: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Deliver a command to a mailbox and return, as `Runtime.tell` does: once, with no further guarantee."""
        operation = self._begin(command, None, self.node, how="tell")
        what = f"tell {operation.name}"
        if operation.left_out:
            self._world.leave_out(what, command.to)
            return

        def tell(runtime: Runtime) -> Awaitable[None]:
            return runtime.tell(
                command,
                timeout_s=timeout_s,
                correlation_id=correlation_id,
                causation_id=causation_id,
                headers=headers,
            )

        self._world.note(f"{what}: sent", TraceMark.SENT, what, (command.to,))
        await self.start()
        with suppress(ConnectionLost):
            await self._next_node().call(tell)
        operation.answered, operation.known = self._world.machine.steps, self.node.witness.position
        self._world.note(f"{what}: delivered", TraceMark.ANSWERED, what, (command.to,))

    async def forget(self, subject: str) -> Ack:
        """Destroy the key of a subject, as `Runtime.forget` does; repeated until it is answered."""
        ack: Ack = await self._answered(f"forget {subject}", lambda runtime: runtime.forget(subject))
        return ack

    def _remote_of(self, command: Command) -> RemoteService | None:
        """Return the service that handles a command; None if this runtime does."""
        return next((one for one in self.node.model.catalog.remotes if type(command) in one.commands.values()), None)

    def _service(self, remote: RemoteService) -> Node:
        if remote.name not in self._services:
            raise ConfigurationError(f"{remote!r} is not in this world: add world.service({remote.name!r}, …)")
        return self._services[remote.name]

    def _begin(self, command: Command, command_id: str | None, home: Node, **more: Any) -> Operation:
        return home.history.begin(
            command,
            command_id,
            self._world.machine.steps,
            home.witness.position,
            in_calm=self._world.is_calm,
            **more,
        )

    async def _carried_out(
        self,
        operation: Operation,
        what: str,
        call: Callable[[Runtime], Awaitable[Ack]],
        home: Node | None = None,
        within_s: float | None = None,
    ) -> Ack:
        """Send a command until it is answered; record the runtime's answer to each delivery.

        home: the service on whose log it takes effect; None if it is the one that is asked.
        within_s: when each delivery has an answer at the latest, which is checked; None if it is not.
        """
        if operation.left_out:
            return cast(Ack, self._world.leave_out(what, operation.command.to))
        home = home or self.node
        world, witness, checks = self._world, home.witness, home.checks

        async def delivered(runtime: Runtime) -> Ack:
            delivery = operation.delivered(witness.position)
            with nullcontext() if within_s is None else answered_in_time(world, what, within_s):
                ack = await _noted(delivery, witness, call(runtime))
            checks.answered(operation, delivery)
            return ack

        checks.asked(operation)
        world.note(f"{what}: sent", TraceMark.SENT, what, (operation.command.to,))
        try:
            operation.answer = await self._answered(what, delivered, again_for=_races(operation))
        except Exception as error:
            operation.answer = error
            world.note(f"{what}: {error_text(error)}", TraceMark.ANSWERED, what, (operation.command.to,))
            raise
        finally:
            operation.answered, operation.known = world.machine.steps, witness.position
        world.note(
            f"{what}: acknowledged at {operation.answer.position}", TraceMark.ANSWERED, what, (operation.command.to,)
        )
        ack: Ack = operation.answer
        return ack

    async def get(
        self,
        aggregate: type[A],
        id: str,
        *,
        at_version: int | None = None,
        at_position: int | None = None,
        at_time: datetime | None = None,
        timeout_s: float | None = None,
    ) -> A:
        """Return the state of an aggregate, as `Runtime.get` does."""
        witness = self.node.witness
        moment: dict[str, Any] = {"at_version": at_version, "at_position": at_position, "at_time": at_time}

        async def read(runtime: Runtime) -> A:
            delivery = ClientDelivery(witness.position)
            if at_position is None and at_time is None:
                self.node.history.readings.append(ClientRead(aggregate, id, at_version, delivery))
            return await _noted(delivery, witness, runtime.get(aggregate, id, timeout_s=timeout_s, **moment))

        state: A = await self._answered(f"get {aggregate.__name__} {id}", read)
        return state

    async def query(
        self,
        query: Query[R],
        *args: Any,
        after: int | None = None,
        timeout_s: float | None = None,
        stale: bool = False,
    ) -> R:
        """Ask a projection, as `Runtime.query` does."""
        witness = self.node.witness

        async def asked(runtime: Runtime) -> R:
            delivery = ClientDelivery(witness.position)
            self.node.history.askings.append(Asking(query, args, after or 0, delivery))
            answering = runtime.query(query, *args, after=after, timeout_s=timeout_s, stale=stale)
            try:
                return await _noted(delivery, witness, answering)
            except EventParked:
                # As a person would: the handler may have failed because of a fault that is over.
                await runtime.dead_letters.retry(handler=query.projection)
                raise

        answer: R = await self._answered(f"query {query!r}", asked)
        return answer

    async def _answered(
        self,
        what: str,
        call: Callable[[Runtime], Awaitable[Any]],
        again_for: tuple[type[Exception], ...] = TRY_AGAIN,
    ) -> Any:
        """Return the answer of a call, repeated until there is one."""
        machine = self._world.machine
        began_s = machine.now_s
        pause_s = _FIRST_PAUSE_S
        is_spared = False
        with ExitStack() as spared:
            while True:
                try:
                    return await self._exchanged(what, call)
                except again_for as error:
                    if machine.now_s > began_s + _PATIENCE_S:
                        wanted = f"an answer to {what} within {_PATIENCE_S:g} s, most of them without faults"
                        self._world.violated("every request is answered eventually", wanted, described(error))
                        raise
                except CommandFailed as error:
                    if not _is_injected(error):
                        raise
                if not is_spared and machine.now_s > began_s + _TROUBLED_S:
                    is_spared = True
                    spared.enter_context(self._world.plan.spared())
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _exchanged(self, what: str, call: Callable[[Runtime], Awaitable[Any]]) -> Any:
        """Send one request and wait for its reply; faults may affect either."""
        plan = self._world.plan
        fault = plan.draw("request", what)
        if fault is not None:
            self._world.note_fault(fault, what)
            await self._before(fault, call)
        answer, task = self._next_node().call_cancellable(call)
        if fault is not None and fault.kind is Kind.REQUEST_CANCELLED:
            self.node.world.loop.call_later(plan.amount(fault, 0.0, 0.02), task.cancel)
        async with asyncio.timeout(_ANSWER_WITHIN_S):
            result = await answer
        fault = plan.draw("reply", what)
        if fault is not None:
            self._world.note_fault(fault, what)
            if fault.kind is Kind.REPLY_LOST:
                raise ConnectionLost("the reply was lost")
            await asyncio.sleep(plan.amount(fault, 0.01, 10.0))
        return result

    async def _before(self, fault: FaultId, call: Callable[[Runtime], Awaitable[Any]]) -> None:
        plan = self._world.plan
        if fault.kind is Kind.REQUEST_LOST:
            await asyncio.sleep(1.0)
            raise ConnectionLost("the request was lost")
        if fault.kind is Kind.REQUEST_DELAYED:
            await asyncio.sleep(plan.amount(fault, 0.001, 10.0))
        elif fault.kind is Kind.REQUEST_DOUBLED:
            self._world.loop.call_later(plan.amount(fault, 0.0, 20.0), self._again, call)

    def _next_node(self) -> Node:
        """Return the node for the next request."""
        return self.node

    def _again(self, call: Callable[[Runtime], Awaitable[Any]]) -> None:
        """Deliver a request a second time, without waiting for its answer."""
        with suppress(ConnectionLost):
            answer = self._next_node().call(call)
            answer.add_done_callback(lambda done: done.cancelled() or done.exception())


class SimulatedCluster(SimulatedRuntime):
    """The nodes of a cluster as one runtime, as a client behind a load balancer sees them.

    nodes: a client's connection to each node alone.
    """

    def __init__(self, world: Surroundings, nodes: Sequence[Node], services: Mapping[str, Node] = _NONE) -> None:
        super().__init__(world, nodes[0], services)
        self.nodes = [SimulatedRuntime(world, node, services) for node in nodes]
        self._requests = 0

    def _next_node(self) -> Node:
        """Return the node for the next request: one that serves, or any."""
        self._requests += 1
        every = [one.node for one in self.nodes]
        serving = [node for node in every if node.serves.is_set()] or every
        return serving[self._world.chance.bits("node for a request", self._requests) % len(serving)]


def _events_read(node: Node, remote: RemoteService) -> frozenset[str]:
    """Return the types of the events that a service finds in an acknowledgement of another."""
    return frozenset(map(event_type_of, node.model.catalog.events)) if remote.events else frozenset()


def _is_injected(error: CommandFailed) -> bool:
    """Return whether a handler failed because of a fault; an error from another node has no cause, but says it."""
    return isinstance(error.__cause__, INJECTED) or (error.__cause__ is None and "Injected" in error.message)


def _races(operation: Operation) -> tuple[type[Exception], ...]:
    """Return the errors after which a command is sent again: a lost race too, unless the client gave a version."""
    return TRY_AGAIN if operation.expected_version is not None else (*TRY_AGAIN, LostRace)


async def _noted(delivery: ClientDelivery, witness: Witness, answer: Awaitable[R]) -> R:
    """Record the runtime's answer to a delivery; a cancelled request, or one whose process died, got none."""
    try:
        result = await answer
    except Exception as error:
        delivery.answer, delivery.known = error, witness.position
        raise
    delivery.answer, delivery.known = result, witness.position
    return result
