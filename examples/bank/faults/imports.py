"""`import_under_kills`: imports a file of transactions into PostgreSQL while its server is killed twice."""

from __future__ import annotations

import asyncio
from pathlib import Path

from actorium import Runtime
from actorium.commands.problem import Problem
from actorium.commands.screen import Screen
from actorium.examples.bank.check import check, sums
from actorium.examples.bank.domain import Account
from actorium.examples.bank.importer import Importer, ImportReport
from actorium.examples.bank.runs.imports import rows_in
from actorium.examples.bank.transactions import read_transactions
from actorium.testing.postgresql.server import PostgresServer

KILLS = 2


async def import_under_kills(screen: Screen, file: Path, server: PostgresServer) -> None:
    """Import a file into an empty log; raise Problem if a balance is not the sum of the file's amounts."""
    total = rows_in(file)
    kill_at = [total * (kill + 1) // (KILLS + 1) for kill in range(KILLS)]
    restarts: list[asyncio.Task[None]] = []
    screen.say(f"{total:,} bank transactions ({file}) into PostgreSQL, whose server is killed {KILLS} times")

    with screen.progress("importing", total) as update:

        def progressed(report: ImportReport) -> None:
            update(report.done)
            if len(restarts) < KILLS and report.done >= kill_at[len(restarts)]:
                restarts.append(asyncio.create_task(asyncio.to_thread(server.restart_after_kill)))

        async with Runtime([Account], store=server.url(patience_s="60")) as runtime:
            report = await Importer(runtime, on_progress=progressed).run(read_transactions(file))
            await asyncio.gather(*restarts)
            outcome = await check(runtime, sums(file, without_lines=[row.line for row in report.bad]))
    right = len(outcome.lines) - len(outcome.wrong)
    screen.say(f"  {report.booked:,} booked, {len(report.bad):,} bad; the server was killed {len(restarts)} times")
    screen.say(f"  {right:,} of {len(outcome.lines):,} balances equal the exact sum of the file's amounts")
    if outcome.wrong or report.booked + len(report.bad) != total or len(restarts) != KILLS:
        raise Problem("FAILED: a balance is wrong, or a transaction is missing")
    screen.say("all balances equal the sums", style="bold green")
