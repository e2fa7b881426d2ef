"""`actorium schema`, `asyncapi` and `graph`: documents about an application, made from its code alone."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from actorium.commands.json_report import STANDARD_STREAM, JsonFile, screen_beside, write_json
from actorium.commands.target import Target
from actorium.documents.graphs import diagrams, page
from actorium.documents.schemas import asyncapi as asyncapi_of
from actorium.documents.schemas import json_schema as json_schema_of
from actorium.user_code.targets import load_app


def schema(app: Target, /, *, json: JsonFile = STANDARD_STREAM) -> None:
    """Print the JSON Schema of the application's commands and events."""
    write_json(json_schema_of(load_app(app).catalog), json or STANDARD_STREAM)


def asyncapi(
    app: Target,
    /,
    *,
    title: Annotated[str, Parameter(show_default=False)] = "",
    version: str = "1.0.0",
    json: JsonFile = STANDARD_STREAM,
) -> None:
    """Print the AsyncAPI 3.0 document of the application.

    It says which commands the application's streams receive, and which events they send.

    Parameters
    ----------
    title
        The application's name in the document. [default: the module's name]
    version
        The application's version in the document.
    """
    runtime = load_app(app)
    document = asyncapi_of(runtime.catalog, title=title or app.partition(":")[0], version=version)
    write_json(document, json or STANDARD_STREAM)


def graph(app: Target, /, *, json: JsonFile = None) -> None:
    """Print Mermaid diagrams of the application's sagas, aggregates and projections.

    The output is a Markdown page, which most code hosts render as diagrams. The JSON report has each diagram
    separately.
    """
    found = diagrams(load_app(app))
    screen_beside(json).say(page(found))
    if json is not None:
        write_json({"diagrams": found}, json)
