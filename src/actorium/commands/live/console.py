"""`actorium console`: the web page over a log, read-only."""

from __future__ import annotations

import asyncio

from actorium.commands.live.reach import LogPlace, log_at, opened
from actorium.commands.problem import Problem, WrongUse
from actorium.commands.screen import Screen
from actorium.console import LogConsole
from actorium.console.server import HEAD_BYTES_MAX, SmallServer
from actorium.store.event_store import Examinable

_HOST = "127.0.0.1"
_PORT_MAX = 65_535


def console(*, at: LogPlace, port: int = 8700) -> None:
    """Serve a web page over a log to this machine, read-only, until Ctrl-C.

    The log is opened read-only; the application may be running. States and actions need the console of the running
    application: see `actorium.console.Console`.

    Parameters
    ----------
    port
        The port of 127.0.0.1; 0 for any that is free.
    """
    if not 0 <= port <= _PORT_MAX:
        raise WrongUse(f"--port {port}: must be a number from 0 to {_PORT_MAX}")
    asyncio.run(_serve(log_at(at), port))


async def _serve(store: Examinable, port: int) -> None:
    await opened(store)
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
