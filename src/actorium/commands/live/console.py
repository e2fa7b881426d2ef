"""`actorium console`: the web page over a log's file, read-only."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from actorium.commands.problem import Problem, require_file
from actorium.commands.screen import Screen
from actorium.console import LogConsole
from actorium.console.server import HEAD_BYTES_MAX, SmallServer
from actorium.store.urls import file_store

_HOST = "127.0.0.1"


def console(*, db: Annotated[Path, Parameter(help="The SQLite file of the log.")], port: int = 8700) -> None:
    """Serve a web page over a log's file to this machine, read-only, until Ctrl-C.

    The log is opened read-only; the application may be running. States and actions need the console of the running
    application: see `actorium.console.Console`.

    Parameters
    ----------
    port
        The port of 127.0.0.1; 0 for any that is free.
    """
    require_file(db, "a log")
    asyncio.run(_serve(db, port))


async def _serve(db: Path, port: int) -> None:
    store = file_store(db)
    await store.open(verified=False, read_only=True)
    serving = SmallServer(LogConsole(store))
    try:
        try:
            server = await asyncio.start_server(serving.connected, _HOST, port, limit=HEAD_BYTES_MAX)
        except OSError as error:
            raise Problem(f"cannot serve {_HOST}:{port}: {error.strerror}; give another --port") from error
        async with server:
            Screen().say(f"http://{_HOST}:{server.sockets[0].getsockname()[1]}/  (Ctrl-C stops)")
            await server.serve_forever()
    finally:
        await serving.stop()
        await store.close()
