"""`Kills`: a bank under load that is killed repeatedly with SIGKILL, and audited after every kill."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from actorium import ActoriumError, NotFound, Runtime
from actorium.examples.bank.audit import Audit, audit
from actorium.examples.bank.crashes.crash import CrashFailed
from actorium.examples.bank.crashes.under_load import CALLERS, account_of, amount_of
from actorium.examples.bank.domain import Account
from actorium.examples.bank.findings import AuditFindings
from actorium.store.sqlite import SQLiteStore

# One kill in this many comes before the first acknowledgement of the process.
_ONE_OF_SO_MANY_IS_EARLY = 10
_EARLY_S_MAX = 0.5
_ACKS_MAX = 150
# A commit with its flush takes some milliseconds, so kills hit every part of one.
_DELAY_S_MAX = 0.005


class KillFindings(AuditFindings, kw_only=True):
    """The results of the audits, counted over all kills.

    unannounced: commands that were durable but not yet acknowledged at the kill.
    """

    kills: int = 0
    unannounced: int = 0
    slowest_restart_ms: float = 0.0


class Kills:
    """One run; `findings` are its results so far."""

    def __init__(self, db: Path, *, seed: int) -> None:
        self._db = db
        self._chance = random.Random(seed)
        self._acknowledged: dict[str, int] = {}
        self.findings = KillFindings()

    def run(self, kills: int, on_kill: Callable[[int], None]) -> KillFindings:
        """Kill the process this many times; raise CrashFailed if it ends in another way."""
        for kill in range(1, kills + 1):
            self._kill_one()
            asyncio.run(self._audit())
            self.findings.kills = kill
            on_kill(kill)
        asyncio.run(self._compare_balances())
        return self.findings

    def _kill_one(self) -> None:
        # Repeat the last numbers: some were acknowledged, some were in flight, and each must have one effect.
        last = max((int(id[1:]) for id in self._acknowledged if id.startswith("c")), default=0)
        first = str(max(0, last - 2 * CALLERS))
        command = [sys.executable, "-m", "actorium.examples.bank.crashes.under_load", str(self._db), first]
        is_early = self._chance.randrange(_ONE_OF_SO_MANY_IS_EARLY) == 0
        wanted = 0 if is_early else self._chance.randint(1, _ACKS_MAX)
        delay_s = self._chance.random() * (_EARLY_S_MAX if is_early else _DELAY_S_MAX)
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            try:
                for line, _ in zip(process.stdout, range(wanted), strict=False):
                    self._take(line)
                time.sleep(delay_s)
            finally:
                process.kill()
            for line in process.stdout:
                if line.endswith(b"\n"):
                    self._take(line)
        if process.returncode != -signal.SIGKILL:
            raise CrashFailed(f"the process under load ended with {process.returncode} before its SIGKILL")

    def _take(self, line: bytes) -> None:
        _, id, _, position = line.decode().split()
        known = self._acknowledged.setdefault(id, int(position))
        if known != int(position):
            self.findings.moved += 1
            self.findings.note(f"{id} was acknowledged at position {known}, and at position {position} when sent again")

    async def _audit(self) -> None:
        findings = self.findings
        began = time.perf_counter()
        async with Runtime([Account], store=SQLiteStore(self._db)) as runtime:
            findings.slowest_restart_ms = max(findings.slowest_restart_ms, (time.perf_counter() - began) * 1_000)
            try:
                found = await audit(runtime)
            except ActoriumError as error:
                findings.gaps += 1
                self.findings.note(f"the log cannot be read: {error}")
                return
        self._judge(found)

    def _judge(self, found: Audit) -> None:
        findings = self.findings
        lost = found.lost(self._acknowledged)
        findings.acknowledged, findings.events = len(self._acknowledged), found.events
        findings.unannounced += len(found.positions.keys() - self._acknowledged.keys())
        findings.lost = max(findings.lost, len(lost))
        findings.duplicated = max(findings.duplicated, len(found.duplicated))
        findings.gaps = max(findings.gaps, len(found.gaps))
        for id in lost:
            self.findings.note(f"{id} was acknowledged at position {self._acknowledged[id]} but is not there")
        for id in found.duplicated:
            self.findings.note(f"{id} took effect more than once")
        for gap in found.gaps:
            self.findings.note(gap)

    async def _compare_balances(self) -> None:
        async with Runtime([Account], store=SQLiteStore(self._db)) as runtime:
            found = await audit(runtime)
            sums: Counter[str] = Counter()
            for id in found.positions:
                if id.startswith("c"):
                    sums[account_of(int(id[1:]))] += amount_of(int(id[1:]))
            for account, expected in sums.items():
                try:
                    balance = (await runtime.get(Account, account)).balance
                except NotFound:
                    balance = None
                if balance != expected:
                    self.findings.wrong_balances += 1
                    self.findings.note(
                        f"account {account} has a balance of {balance}, the sum of its bookings is {expected}"
                    )
