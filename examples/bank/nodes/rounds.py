"""`ClusterRounds`: a bank on two to four nodes of one log, and a fault in every round.

Every round waits until the callers of all nodes have acknowledgements, then makes something fail, and waits until each
caller of every node that lives has a new one. Work that a dead node had under way is sent again to another node.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Literal, get_args

import asyncpg

from actorium.examples.bank.faults.audit import audit_bank
from actorium.examples.bank.nodes.findings import ClusterFindings
from actorium.examples.bank.nodes.load import CALLERS
from actorium.examples.bank.nodes.node_process import NodeProcess
from actorium.testing.nats_server import NatsServer
from actorium.testing.postgresql.server import PostgresServer

ClusterFault = Literal[
    "node killed",
    "node frozen",
    "node joins",
    "node leaves",
    "backend killed",
    "server killed",
    "node and server killed",
    "connections cut",
    "connections delayed",
    "connections half-closed",
    "connections held",
    "bus killed",
]
CLUSTER_FAULTS: tuple[ClusterFault, ...] = get_args(ClusterFault)

_NAMES = "abcd"
_NODES = (2, 3)  # before a fault; a node that joins is one more
_CALM_S = (0.1, 1.5)
_WORK_PER_PROCESS = 1_000_000
_SENT_AGAIN = 2 * CALLERS
_RECOVERS_WITHIN_S = 120.0
_LOOK_S = 0.01
_HANDED_OVER_S = 1.5
_DELAY_S_MAX = 0.3
_LASTS_S_MAX = 1.5


class ClusterRounds:
    """One run.

    server: a server of our own.
    bus: a server of our own that carries the commands between the nodes; None if the database carries them.
    url: the URL of a log on it that does not exist yet.
    lease_s: how long a node that shows no sign of life keeps its shards.
    """

    def __init__(
        self, url: str, server: PostgresServer, bus: NatsServer | None, *, seed: int, lease_s: float = 3.0
    ) -> None:
        self._url = f"{url}{'&' if '?' in url else '?'}lease_s={lease_s}&patience_s=60"
        self._server = server
        self._bus = bus
        self._chance = random.Random(seed)
        self._lease_s = lease_s
        self._acknowledged: dict[str, int] = {}
        self._nodes: dict[str, NodeProcess] = {}
        self.findings = ClusterFindings()

    async def run(self, rounds: int, on_round: Callable[[int], None]) -> ClusterFindings:
        """Make this many things fail, then let all nodes leave, and audit the bank."""
        kinds = [kind for kind in CLUSTER_FAULTS if self._bus is not None or kind != "bus killed"]
        order: list[ClusterFault] = []
        try:
            for number in range(rounds):
                order = order or self._chance.sample(kinds, len(kinds))  # each equally often
                kind = order.pop()
                await self._stand_ready(has_room=kind == "node joins")
                await self._round(kind)
                on_round(number + 1)
            await self._see_off_ended()
            for node in self._nodes.values():
                self._leave(node)
            for node in [*self._nodes.values()]:
                await self._see_off(node)
        finally:
            await asyncio.gather(*(node.close() for node in self._nodes.values()))
        await audit_bank(f"{self._url}&standby=wait", self._acknowledged, self.findings)
        return self.findings

    # --- the nodes ------------------------------------------------------------------------------------------------

    async def _stand_ready(self, *, has_room: bool) -> None:
        """See off nodes that have ended, start as many as are wanted, and let all of them work for a while.

        has_room: whether there is to be room for one more.
        """
        await self._see_off_ended()
        if has_room and len(self._nodes) == len(_NAMES):
            node = self._chance.choice([*self._nodes.values()])
            self._leave(node)
            await self._see_off(node)
        wanted = self._chance.randint(*_NODES)
        while len(self._nodes) < wanted:
            await self._start()
        await self._answered(self._nodes.values(), time.monotonic())
        self._slowest_s(self._nodes.values())
        await asyncio.sleep(self._chance.uniform(*_CALM_S))
        self.findings.calm_s.append(self._slowest_s(self._nodes.values()))

    async def _start(self) -> NodeProcess:
        name = next(name for name in _NAMES if name not in self._nodes)
        wire = self._bus.url() if self._bus is not None else ""
        node = NodeProcess(name, self.findings.nodes * _WORK_PER_PROCESS, wire, self._take)
        self.findings.nodes += 1
        await node.start(self._url)
        self._nodes[name] = node
        await node.served_or_ended(_RECOVERS_WITHIN_S)
        return node

    async def _see_off_ended(self) -> None:
        for node in [*self._nodes.values()]:
            if node.has_ended or node.was_fenced:
                await self._see_off(node)

    async def _see_off(self, node: NodeProcess) -> None:
        """Wait for the end of a node; send what it had under way once more, to another one."""
        try:
            await node.ended()
        except TimeoutError:
            self._stray(node, "did not end")
        code = node.process.returncode
        if code not in (0, -signal.SIGKILL) or (code == 0 and not (node.was_fenced or node.leaves)):
            self._stray(node, f"ended with {code}: {node.last_words}")
        for wrong in node.wrong:
            self.findings.stale += 1
            self.findings.note(wrong)
        del self._nodes[node.name]
        await node.close()
        others = [one for one in self._nodes.values() if one.serves.is_set() and not one.leaves]
        if others and not node.leaves:
            first, last = max(node.first, node.last - _SENT_AGAIN), node.last + CALLERS
            self.findings.again += last - first + 1
            self._chance.choice(others).order(f"again {first} {last}")

    def _stray(self, node: NodeProcess, what: str) -> None:
        self.findings.strays += 1
        self.findings.note(f"node {node.name} {what}")

    def _take(self, id: str, position: int) -> None:
        known = self._acknowledged.setdefault(id, position)
        if known != position:
            self.findings.moved += 1
            self.findings.note(f"{id} was acknowledged at position {known}, and at {position} when sent again")

    async def _answered(self, nodes: Collection[NodeProcess], since: float) -> None:
        """Return when each caller of some nodes has an acknowledgement of a command sent after a moment."""
        ends_at = time.monotonic() + _RECOVERS_WITHIN_S
        while late := [node.name for node in nodes if not (node.has_answered(since) or self._is_going(node))]:
            if time.monotonic() > ends_at:
                raise TimeoutError(f"callers of {', '.join(late)} had no answer within {_RECOVERS_WITHIN_S:.0f} s")
            await asyncio.sleep(_LOOK_S)

    def _is_going(self, node: NodeProcess) -> bool:
        return node.has_ended or node.was_fenced or node.leaves

    def _slowest_s(self, nodes: Iterable[NodeProcess]) -> float:
        return max((node.slowest_s() for node in nodes), default=0.0)

    # --- the faults -----------------------------------------------------------------------------------------------

    async def _round(self, kind: ClusterFault) -> None:
        node = self._chance.choice([*self._nodes.values()])
        others = [one for one in self._nodes.values() if one is not node]
        faults: dict[ClusterFault, Callable[[NodeProcess], Awaitable[None]]] = {
            "node killed": self._kill,
            "node frozen": self._freeze,
            "node joins": self._join,
            "node leaves": self._let_leave,
            "backend killed": self._kill_backend,
            "server killed": self._kill_server,
            "node and server killed": self._kill_both,
            "connections cut": self._cut,
            "connections delayed": self._delay,
            "connections half-closed": self._half_close,
            "connections held": self._hold,
            "bus killed": self._kill_bus,
        }
        if kind in ("node joins", "backend killed", "server killed", "bus killed"):
            others = [*self._nodes.values()]  # no node is hit more than the others
        await faults[kind](node)
        await self._answered(others, time.monotonic())
        slowest_s = self._slowest_s(others)
        self.findings.outages_s.setdefault(kind, []).append(slowest_s)
        node.send_signal(signal.SIGCONT)
        if kind == "node frozen":
            await node.ended()
        await self._answered([*self._nodes.values()], time.monotonic())

    async def _kill(self, node: NodeProcess) -> None:
        node.send_signal(signal.SIGKILL)
        await node.ended()

    async def _freeze(self, node: NodeProcess) -> None:
        node.send_signal(signal.SIGSTOP)
        await asyncio.sleep(1.5 * self._lease_s)

    async def _join(self, node: NodeProcess) -> None:
        await self._start()
        await asyncio.sleep(_HANDED_OVER_S)

    async def _let_leave(self, node: NodeProcess) -> None:
        self._leave(node)
        await node.ended()

    def _leave(self, node: NodeProcess) -> None:
        node.leaves = True
        node.order("leave")

    async def _kill_backend(self, node: NodeProcess) -> None:
        connection = await asyncpg.connect(self._url.partition("?")[0])
        try:
            pids = await connection.fetch(
                "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'actorium %' ORDER BY pid"
            )
        finally:
            await connection.close()
        os.kill(self._chance.choice(pids)[0], signal.SIGKILL)  # the server ends all its sessions then, and recovers

    async def _kill_server(self, node: NodeProcess) -> None:
        began = time.monotonic()
        await asyncio.to_thread(self._server.restart_after_kill)
        self.findings.away_s.append(time.monotonic() - began)

    async def _kill_bus(self, node: NodeProcess) -> None:
        assert self._bus is not None
        self._bus.kill()
        await self._lasts()
        await asyncio.to_thread(self._bus.start)

    async def _kill_both(self, node: NodeProcess) -> None:
        node.send_signal(signal.SIGKILL)
        await self._kill_server(node)

    async def _cut(self, node: NodeProcess) -> None:
        node.proxy.cut()
        await self._lasts()
        node.proxy.mend()

    async def _delay(self, node: NodeProcess) -> None:
        node.proxy.delay_s = self._chance.random() * _DELAY_S_MAX
        await self._lasts()
        node.proxy.delay_s = 0.0

    async def _half_close(self, node: NodeProcess) -> None:
        node.proxy.half_close(towards_server=self._chance.random() < 0.5)

    async def _hold(self, node: NodeProcess) -> None:
        node.proxy.hold()
        await self._lasts(longest_s=2 * self._lease_s)
        node.proxy.let_go()

    async def _lasts(self, longest_s: float = _LASTS_S_MAX) -> None:
        await asyncio.sleep(self._chance.random() * longest_s)
