"""Applies the case of `wrong-day` to a log, in a process that kills itself at one of its commits.

It runs as `python correction_child.py <db> <commit>`; with 0 it is not killed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from actorium import Instrument, Runtime
from actorium.examples.bank.domain import Account
from actorium.examples.bank.runs.wrong_day import CASE, Subscriber, bank_of
from actorium.instruments import ObservedBatch


class Killing(Instrument):
    """Kills the process at its n-th commit, after it is durable and before anybody is told."""

    def __init__(self, at: int) -> None:
        self._left = at

    def batch_committed(self, batch: ObservedBatch) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


async def main(db: str, commit: int) -> None:
    plain, _ = bank_of(Path(db), Subscriber())
    parts = [*plain.catalog.aggregates, *plain.catalog.sagas, *plain.catalog.projections, *plain.catalog.outlets]
    assert Account in parts
    async with Runtime(parts, store=plain.store, instruments=[Killing(commit)]) as runtime:
        await runtime.corrections.apply(CASE)
        await runtime.corrections.close(CASE, by="bob")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
