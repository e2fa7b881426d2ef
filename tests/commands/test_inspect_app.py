"""`actorium check`, `schema` and `asyncapi`: an application and its log, looked at from outside."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.transfers import Account, Ask, Desk, Transfer
from support.troubled_disks import immutable

from actorium import ConfigurationError, Runtime
from actorium.commands.app import run
from actorium.examples.evolution import v1, v3
from actorium.inspection import load_app
from actorium.runtime.catalog import Catalog
from actorium.schemas import asyncapi, json_schema

APP = """
from actorium import Runtime
from actorium.examples.evolution import v1, v2, v3

LOG = "sqlite:///orders.db"
one = Runtime([v1.Order], store=LOG)

def three() -> Runtime:
    return Runtime([v3.Order], store=LOG)

def needs(something: str) -> Runtime: ...

def broken() -> Runtime:
    return {}["no such setting"]

async def later() -> Runtime: ...

class Held:
    runtime = one

number = 7
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory with an application in it and the log of two orders."""
    (tmp_path / "shop_app.py").write_text(APP, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    async def write() -> None:
        async with Runtime([v1.Order], store="sqlite:///orders.db") as runtime:
            await runtime.send(v1.PlaceOrder("o-1", "Alice", "teapot", 12.34))
            for _ in range(3):
                await runtime.send(v1.View("o-1", "Bob"))

    asyncio.run(write())
    yield tmp_path
    sys.modules.pop("shop_app", None)


def change(shop: Path, *statements: str) -> None:
    db = sqlite3.connect(shop / "orders.db")
    with db:
        for statement in statements:
            db.execute(statement)
    db.close()


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


# --- finding an application -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["one", "three", "Held.runtime"])
def test_an_application_is_a_runtime_or_a_function_that_returns_one(shop: Path, name: str) -> None:
    assert isinstance(load_app(f"shop_app:{name}"), Runtime)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("shop_app", "write module:name"),
        (":one", "write module:name"),
        ("nowhere:app", "there is no module 'nowhere'"),
        ("shop_app.deeper:app", "there is no module 'shop_app.deeper'"),
        ("shop_app:two", "shop_app has no 'two'"),
        ("shop_app:number", "is int: name a Runtime"),
        ("shop_app:needs", "cannot be called without arguments"),
        ("shop_app:Held", "is Held: name a Runtime"),
        ("shop_app:later", "is async: name a function that returns its Runtime without waiting"),
        ("shop_app:broken", "failed: KeyError: 'no such setting' (shop_app.py, line 14, in broken)"),
    ],
)
def test_what_is_no_application_is_said(shop: Path, reference: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        load_app(reference)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "import nowhere_found",
            "ModuleNotFoundError: No module named 'nowhere_found' (failing_app.py, line 1, in <module>)",
        ),
        ("\n1 / 0", "ZeroDivisionError: division by zero (failing_app.py, line 2, in <module>)"),
        ("x = (1", "SyntaxError: '(' was never closed (failing_app.py, line 1)"),
    ],
)
@pytest.mark.parametrize(
    "command", [["check", "failing_app:runtime"], ["graph", "failing_app:runtime"], ["simulate", "failing_app.py"]]
)
def test_a_module_that_cannot_be_imported_is_said_with_the_line_that_fails(
    shop: Path, capsys: pytest.CaptureFixture[str], command: list[str], code: str, message: str
) -> None:
    (shop / "failing_app.py").write_text(code, encoding="utf-8")
    name = command[1].partition(":")[0]
    assert output(capsys, *command) == (2, "", f"{name} cannot be imported: {message}\n")


def test_what_lies_in_the_current_directory_is_found_from_a_file_elsewhere(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (shop / "deeper").mkdir()
    (shop / "deeper" / "no_simulation.py").write_text("import shop_app\n", encoding="utf-8")
    code, out, err = output(capsys, "simulate", "deeper/no_simulation.py")
    assert (code, out) == (2, "")
    assert "there is no simulation in deeper/no_simulation.py" in err


def test_the_program_is_a_module_too() -> None:
    run = [
        subprocess.run([sys.executable, "-m", name, "version"], capture_output=True, text=True)
        for name in ("actorium", "actorium.cli")
    ]
    assert run[0].stdout == run[1].stdout != ""


# --- check ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deep", [[], ["--deep"]])
@pytest.mark.parametrize("app", ["one", "three"])
def test_a_log_that_can_be_read_is_said_to_be(
    shop: Path, capsys: pytest.CaptureFixture[str], app: str, deep: list[str]
) -> None:
    code, out, err = output(capsys, "check", f"shop_app:{app}", *deep)
    assert (code, err) == (0, "")
    assert f"every {'event' if deep else 'type of event'} can be read" in out


def test_shapes_that_nobody_reads_are_listed_with_the_mend(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(
        shop,
        "UPDATE event_types SET schema_version = 9 WHERE name = 'Placed'",
        "UPDATE event_types SET name = 'Seen' WHERE name = 'Viewed'",
    )
    code, out, err = output(capsys, "check", "shop_app:one")
    assert code == 1
    assert out.splitlines() == [
        "Placed (schema version 9, 1 events): it is of schema version 9, Placed reads 1: run the code that wrote it, "
        "or newer",
        "Seen (schema version 1, 3 events): no registered class reads this event type: register the aggregate that "
        "evolves it, or name it in the class that it became, with "
        "@upcast(1, type='Seen')",
    ]
    assert "2 things in the log cannot be read" in err


SAGAS = """
from support.transfers import Account, Desk
from actorium import Runtime

def runtime() -> Runtime:
    return Runtime([Account, Desk], store="sqlite:///transfers.db")
"""


def test_a_saga_class_that_was_forgotten_is_named(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "sagas_app.py").write_text(SAGAS, encoding="utf-8")

    async def write() -> None:
        async with Runtime([Account, Desk, Transfer], store="sqlite:///transfers.db") as runtime:
            await runtime.send(Ask("desk", "alice", "bob"))
            await runtime.saga(Transfer, "desk@1", ended_within_s=10)
            assert [saga.id async for saga in runtime.sagas()] == ["desk@1"]

    asyncio.run(write())
    capsys.readouterr()
    code, out, _ = output(capsys, "check", "sagas_app:runtime")
    assert (code, len(out.splitlines())) == (1, 1)
    assert "Transfer (none is live) is no saga of this runtime" in out


def test_a_deep_check_finds_every_damaged_event_and_goes_on_behind_it(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(shop, "UPDATE events SET payload = replace(payload, 'Bob', 'Eve') WHERE position IN (2, 4)")
    assert output(capsys, "check", "shop_app:one")[0] == 0
    code, out, err = output(capsys, "check", "shop_app:one", "--deep")
    assert code == 1
    assert [line.partition(":")[0] for line in out.splitlines()] == [
        "Viewed at Order<o-1> version 2",
        "Viewed at Order<o-1> version 4",
    ]
    assert "2 things in the log cannot be read" in err


def test_a_deep_check_ends_where_events_were_taken_out(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(shop, "DELETE FROM events WHERE position = 2")
    code, out, _ = output(capsys, "check", "shop_app:one", "--deep")
    assert code == 1
    assert "position 3 follows position 1 in the log" in out
    assert len(out.splitlines()) == 1


@pytest.mark.parametrize("deep", [[], ["--deep"]])
def test_a_check_changes_nothing_and_needs_no_right_to_write(
    shop: Path, capsys: pytest.CaptureFixture[str], deep: list[str]
) -> None:
    before = {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in shop.glob("orders.db*")}
    with immutable(shop / "orders.db"), immutable(shop):
        assert output(capsys, "check", "shop_app:one", *deep)[0] == 0
    assert output(capsys, "check", "shop_app:one", *deep)[0] == 0
    assert {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in shop.glob("orders.db*")} == before


@pytest.mark.parametrize("deep", [[], ["--deep"]])
@pytest.mark.asyncio
async def test_a_log_is_checked_beside_the_application_that_runs_on_it(
    shop: Path, capsys: pytest.CaptureFixture[str], deep: list[str]
) -> None:
    async with Runtime([v1.Order], store="sqlite:///orders.db") as runtime:
        await runtime.send(v1.View("o-1", "Eve"))
        code, _, err = await asyncio.to_thread(output, capsys, "check", "shop_app:three", *deep)
        assert (code, err) == (0, "")
        await runtime.send(v1.View("o-1", "Eve"))


@pytest.mark.parametrize("is_empty", [False, True])
def test_a_check_makes_no_log_where_there_is_none(
    shop: Path, capsys: pytest.CaptureFixture[str], is_empty: bool
) -> None:
    for file in shop.glob("orders.db*"):
        file.unlink()
    if is_empty:
        (shop / "orders.db").touch()
    before = sorted(shop.iterdir())
    code, out, err = output(capsys, "check", "shop_app:one")
    assert (code, out) == (2, "")
    assert "there is no log yet" in err
    assert sorted(path for path in shop.iterdir() if path.name != "__pycache__") == [
        path for path in before if path.name != "__pycache__"
    ]
    assert not is_empty or (shop / "orders.db").stat().st_size == 0


def test_a_check_of_no_application_is_an_error_in_one_line(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = output(capsys, "check", "shop_app:two")
    assert (code, out) == (2, "")
    assert err.strip() == "'shop_app:two': shop_app has no 'two'"


# --- documents ------------------------------------------------------------------------------------------------------


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
def test_the_commands_print_whole_documents(
    shop: Path, capsys: pytest.CaptureFixture[str], command: str, app: str
) -> None:
    code, out, err = output(capsys, command, app)
    assert (code, err) == (0, "")
    document = json.loads(out)
    for reference in references(document):
        assert found_at(document, reference)


def test_the_schema_holds_every_command_and_event_with_its_version() -> None:
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


def test_the_asyncapi_document_says_what_each_stream_receives_and_sends() -> None:
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
