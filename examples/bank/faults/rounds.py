"""`FaultRounds`: two processes of a bank on one log in PostgreSQL, and a fault in every round.

One process serves, the other stands by. Every round waits until the serving process has acknowledged some commands,
then makes something fail, and waits until a command is acknowledged again, by whichever process serves then.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, get_args

import asyncpg

from actorium.examples.bank.faults.audit import audit_bank
from actorium.examples.bank.faults.findings import FaultFindings
from actorium.examples.bank.faults.load import CALLERS
from actorium.examples.bank.faults.member import Member
from actorium.testing.postgresql.server import PostgresServer

FaultKind = Literal[
    "process killed",
    "process frozen",
    "backend killed",
    "server killed",
    "connections cut",
    "connections delayed",
    "connections half-closed",
    "connections held",
]
KINDS: tuple[FaultKind, ...] = get_args(FaultKind)
_TAKEN_OVER: tuple[FaultKind, ...] = ("process killed", "process frozen")

_SENT_AGAIN = 3 * CALLERS
_ACKS_MAX = 120
_RECOVERS_WITHIN_S = 120.0
_DELAY_S_MAX = 0.5
_LASTS_S_MAX = 1.5


class FaultRounds:
    """One run.

    server: a server of our own, which may be killed; None for somebody else's.
    url: the URL of a log that does not exist yet.
    lease_s: how long a process that shows no sign of life keeps the log.
    """

    def __init__(self, url: str, server: PostgresServer | None, *, seed: int, lease_s: float = 3.0) -> None:
        self._url = f"{url}{'&' if '?' in url else '?'}standby=wait&lease_s={lease_s}&patience_s=60"
        self._server = server
        self._chance = random.Random(seed)
        self._lease_s = lease_s
        self._acknowledged: dict[str, int] = {}
        self._acks = 0
        self._acked = asyncio.Event()
        self._members: list[Member] = []
        self._serving: Member | None = None
        self.findings = FaultFindings()

    async def run(self, rounds: int, on_round: Callable[[int], None]) -> FaultFindings:
        """Make this many things fail, then let the bank come to rest and audit it."""
        kinds = [kind for kind in KINDS if self._server is not None or kind != "server killed"]
        try:
            for number in range(rounds):
                await self._stand_ready()
                await self._acknowledge(self._chance.randint(1, _ACKS_MAX))
                # Each kind equally often, in a random order.
                if number % len(kinds) == 0:
                    order = self._chance.sample(kinds, len(kinds))
                await self._round(order[number % len(kinds)])
                on_round(number + 1)
        finally:
            await asyncio.gather(*(member.close() for member in self._members))
        await audit_bank(self._url, self._acknowledged, self.findings)
        return self.findings

    # --- the processes --------------------------------------------------------------------------------------------

    async def _stand_ready(self) -> None:
        """Let one process serve and another stand by; see that those that lost the log have ended."""
        for member in list(self._members):
            if (member.serves.is_set() and member is not self._serving) or member.has_ended:
                await self._see_off(member)
        while len(self._members) < 2:
            name = f"process{self.findings.takeovers + len(self._members)}"
            member = Member(name, partial(_program, name), self._has_taken_over, self._take)
            await member.start(self._url)
            self._members.append(member)
            if len(self._members) == 1:
                await member.served_or_ended(_RECOVERS_WITHIN_S)
        # What is measured is a takeover, not how long Python needs to start the process that takes over.
        for member in self._members:
            await member.started_or_ended(_RECOVERS_WITHIN_S)

    async def _see_off(self, member: Member) -> None:
        """Wait for the end of a process that lost the log or was killed."""
        try:
            await member.ended()
        except TimeoutError:
            self._stray(member, "did not end")
        code = member.process.returncode
        if code not in (0, -signal.SIGKILL) or (code == 0 and not member.was_fenced):
            self._stray(member, f"ended with {code}: {member.last_words}")
        self._members.remove(member)
        await member.close()

    def _stray(self, member: Member, what: str) -> None:
        self.findings.strays += 1
        self.findings.note(f"{member.name} {what}")

    def _has_taken_over(self, member: Member) -> str:
        if self._serving is not None:
            self.findings.takeovers += 1
        self._serving = member
        newest = max((int(id[1:]) for id in self._acknowledged if id.startswith("w")), default=0)
        return str(max(0, newest - _SENT_AGAIN))  # some were acknowledged, some were in flight: each has one effect

    def _take(self, words: Sequence[str]) -> None:
        id, position = words[0], int(words[1])
        known = self._acknowledged.setdefault(id, position)
        if known != position:
            self.findings.moved += 1
            self.findings.note(f"{id} was acknowledged at position {known}, and at {position} when sent again")
        self._acks += 1
        self._acked.set()

    async def _acknowledge(self, count: int) -> None:
        """Return when this many more commands are acknowledged."""
        wanted = self._acks + count
        async with asyncio.timeout(_RECOVERS_WITHIN_S):
            while self._acks < wanted:
                self._acked.clear()
                await self._acked.wait()

    # --- the faults -----------------------------------------------------------------------------------------------

    async def _round(self, kind: FaultKind) -> None:
        serving = self._serving
        assert serving is not None
        began = time.monotonic()
        faults: dict[FaultKind, Callable[[Member], Any]] = {
            "process killed": self._kill,
            "process frozen": self._freeze,
            "backend killed": self._kill_backend,
            "server killed": self._kill_server,
            "connections cut": self._cut,
            "connections delayed": self._delay,
            "connections half-closed": self._half_close,
            "connections held": self._hold,
        }
        await faults[kind](serving)
        # More than were in flight, unless only a new process can acknowledge any.
        await self._acknowledge(1 if kind in _TAKEN_OVER else CALLERS + 1)
        self.findings.outages_s.setdefault(kind, []).append(time.monotonic() - began)
        serving.send_signal(signal.SIGCONT)

    async def _kill(self, serving: Member) -> None:
        serving.send_signal(signal.SIGKILL)
        await serving.ended()

    async def _freeze(self, serving: Member) -> None:
        serving.send_signal(signal.SIGSTOP)
        other = next(member for member in self._members if member is not serving)
        await other.served_or_ended(_RECOVERS_WITHIN_S)
        if not other.serves.is_set():  # it is named when it is seen off
            serving.send_signal(signal.SIGCONT)

    async def _kill_backend(self, serving: Member) -> None:
        connection = await asyncpg.connect(self._url.partition("?")[0])
        try:
            pids = [
                pid
                for (pid,) in await connection.fetch(
                    "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'actorium %' ORDER BY pid"
                )
            ]
            pid = self._chance.choice(pids)
            if self._server is None:
                await connection.execute("SELECT pg_terminate_backend($1)", pid)
        finally:
            await connection.close()
        if self._server is not None:
            os.kill(pid, signal.SIGKILL)  # the server ends all its sessions then, and recovers

    async def _kill_server(self, serving: Member) -> None:
        assert self._server is not None
        await asyncio.to_thread(self._server.restart_after_kill)

    async def _cut(self, serving: Member) -> None:
        serving.proxy.cut()
        await self._lasts()
        serving.proxy.mend()

    async def _delay(self, serving: Member) -> None:
        serving.proxy.delay_s = self._chance.random() * _DELAY_S_MAX
        await self._lasts()
        serving.proxy.delay_s = 0.0

    async def _half_close(self, serving: Member) -> None:
        serving.proxy.half_close(towards_server=self._chance.random() < 0.5)

    async def _hold(self, serving: Member) -> None:
        serving.proxy.hold()
        await self._lasts(longest_s=2 * self._lease_s)
        serving.proxy.let_go()

    async def _lasts(self, longest_s: float = _LASTS_S_MAX) -> None:
        await asyncio.sleep(self._chance.random() * longest_s)


def _program(name: str, url: str) -> Sequence[str]:
    return sys.executable, "-m", "actorium.examples.bank.faults.load", f"{url}&name={name}"
