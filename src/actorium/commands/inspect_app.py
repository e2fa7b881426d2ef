"""`actorium check`, `schema`, `asyncapi`, `graph`: what an application can read, says and hears, and how it runs."""

from __future__ import annotations

import asyncio

import msgspec

from actorium.commands.problem import Problem
from actorium.commands.screen import Screen
from actorium.graphs import graphs
from actorium.inspection import load_app, require_log, unreadable
from actorium.runtime.runtime import Runtime
from actorium.schemas import Document
from actorium.schemas import asyncapi as asyncapi_of
from actorium.schemas import json_schema as json_schema_of


def check(app: str, /, *, deep: bool = False) -> None:
    """Say what in the log of an application its code cannot read; the exit code is 1 if there is anything.

    The log is read only, and stays as it is: the application may be running, and a copy may lie where nobody may write.

    Parameters
    ----------
    app
        The application, as module:name of a Runtime or of a function that returns one.
    deep
        Read every event, and not only the list of their types; and have SQLite hold its indexes against its tables.
    """
    runtime = load_app(app)
    require_log(runtime)
    screen = Screen()
    found = asyncio.run(_report(screen, runtime, deep=deep))
    if found:
        raise Problem(f"{found} {'thing' if found == 1 else 'things'} in the log cannot be read")
    screen.say(f"{runtime.store.describe()}: every {'event' if deep else 'type of event'} can be read")


async def _report(screen: Screen, runtime: Runtime, *, deep: bool) -> int:
    found = 0
    async for line in unreadable(runtime, deep=deep):
        screen.say(line)
        found += 1
    return found


def schema(app: str, /) -> None:
    """Print the JSON Schema of an application's commands and events.

    Parameters
    ----------
    app
        The application, as module:name of a Runtime or of a function that returns one.
    """
    _print(json_schema_of(load_app(app).catalog))


def asyncapi(app: str, /, *, title: str = "", version: str = "1.0.0") -> None:
    """Print the AsyncAPI 3.0 document of an application: what its streams receive and send.

    Parameters
    ----------
    app
        The application, as module:name of a Runtime or of a function that returns one.
    title
        The application's name in the document. [default: that of its module]
    version
        The application's version in the document.
    """
    runtime = load_app(app)
    _print(asyncapi_of(runtime.catalog, title=title or app.partition(":")[0], version=version))


def graph(app: str, /) -> None:
    """Print an application's sagas, aggregates and projections as Mermaid diagrams on a Markdown page.

    Parameters
    ----------
    app
        The application, as module:name of a Runtime or of a function that returns one.
    """
    Screen().say(graphs(load_app(app)))


def _print(document: Document) -> None:
    Screen().say(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
