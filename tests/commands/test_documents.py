"""`actorium schema` and `asyncapi`: documents about an application."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.command_line import output

from actorium.catalog import Catalog
from actorium.documents.schemas import asyncapi, json_schema
from actorium.examples.evolution import v3


def references(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        if isinstance(document.get("$ref"), str):
            yield document["$ref"]
        for value in document.values():
            yield from references(value)
    elif isinstance(document, list):
        for value in document:
            yield from references(value)


def found_at(document: Any, reference: str) -> Any:
    assert reference.startswith("#/")
    for part in reference[2:].split("/"):
        document = document[part]
    return document


@pytest.mark.parametrize("app", ["shop_app:three", "actorium.examples.orders.orchestration:orchestrated"])
@pytest.mark.parametrize("command", ["schema", "asyncapi"])
def test_the_commands_print_complete_documents(
    shop: Path, capsys: pytest.CaptureFixture[str], command: str, app: str
) -> None:
    code, out, err = output(capsys, command, app)
    assert (code, err) == (0, "")
    document = json.loads(out)
    for reference in references(document):
        assert found_at(document, reference)


def test_the_schema_contains_every_command_and_event_with_its_version() -> None:
    document = json_schema(Catalog([v3.Order]))
    messages = {name: schema for name, schema in document["$defs"].items() if "x-kind" in schema}
    assert {name: schema["x-kind"] for name, schema in messages.items()} == {
        "PlaceOrder": "command",
        "AddLine": "command",
        "Ship": "command",
        "OrderPlaced": "event",
        "LineAdded": "event",
        "Viewed": "event",
        "Shipped": "event",
    }
    assert messages["OrderPlaced"]["x-schema-version"] == 3
    assert messages["AddLine"]["required"] == ["to", "item", "hellers"]
    assert {reference["$ref"] for reference in document["anyOf"]} == {f"#/$defs/{name}" for name in messages}


def test_the_asyncapi_document_shows_what_each_stream_receives_and_sends() -> None:
    document = asyncapi(Catalog([v3.Order]), title="Orders", version="3.0")
    assert document["asyncapi"] == "3.0.0"
    assert document["info"] == {"title": "Orders", "version": "3.0"}
    assert set(document["channels"]) == {"Order"}
    assert document["channels"]["Order"]["address"] == "Order/{id}"
    operations = {
        (operation["action"], found_at(document, found_at(document, message["$ref"])["$ref"])["name"])
        for operation in document["operations"].values()
        for message in operation["messages"]
    }
    assert operations == {
        ("receive", "PlaceOrder"),
        ("receive", "AddLine"),
        ("receive", "Ship"),
        ("send", "OrderPlaced"),
        ("send", "LineAdded"),
        ("send", "Viewed"),
        ("send", "Shipped"),
    }
    assert document["components"]["messages"]["Shipped"]["x-schema-version"] == 2
    # What AsyncAPI 3.0 asks of the document beyond its parts being there.
    components = document["components"]
    for key in [*document["channels"], *document["operations"], *components["messages"], *components["schemas"]]:
        assert re.fullmatch(r"[\w.-]+", key)
    for operation in document["operations"].values():
        channel = operation["channel"]["$ref"]
        assert set(operation) == {"action", "channel", "messages"}
        assert all(message["$ref"].startswith(f"{channel}/messages/") for message in operation["messages"])
    for message in components["messages"].values():
        assert found_at(document, message["payload"]["$ref"])["type"] == "object"
