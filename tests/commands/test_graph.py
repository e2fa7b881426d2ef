"""`actorium graph`: an application's sagas, aggregates and projections, drawn in Mermaid."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from actorium import (
    Aggregate,
    Command,
    Event,
    IdempotencyKey,
    Outlet,
    Projection,
    Reader,
    Rejected,
    Runtime,
    Saga,
    Transaction,
    decide,
    evolve,
    on,
    on_rejected,
    query,
    starts,
    step,
)
from actorium.documents.graphs import aggregate_graph, diagrams, page, projection_graph, saga_graph
from actorium.examples.orders.choreography import choreographed
from actorium.examples.orders.credit import customers_and_orders
from actorium.examples.orders.orchestration import Fulfilment, orchestrated
from actorium.types import CloudEvent
from actorium_cli import run


class Ask(Command):
    what: str


class Look(Command):
    """Changes nothing."""


class Asked(Event):
    what: str


class Forgotten(Event):
    what: str


class Desk(Aggregate):
    @decide
    def ask(self, command: Ask) -> list[Asked]:
        return [Asked(command.what)]

    @decide
    def look(self, command: Look) -> None:
        return None

    @evolve
    def asked(self, event: Asked) -> None:
        pass

    @evolve
    def forgotten(self, event: Forgotten) -> None:
        pass


class Questions(Projection):
    """All questions."""

    schema = "CREATE TABLE questions (what TEXT)"

    @on
    def more(self, event: Asked | Forgotten, tx: Transaction) -> None:
        tx.execute("INSERT INTO questions VALUES (?)", event.what)

    @query
    async def count(self, db: Reader) -> int:
        row = await db.fetch_one("SELECT count(*) FROM questions")
        return row[0] if row else 0


class Answering(Saga):
    @starts
    def asked(self, event: Asked) -> None: ...

    @step(until=Forgotten, timeout_s=60.0)
    def wait(self) -> Ask:
        return Ask("desk", "again")

    @wait.undo
    def give_up(self) -> Ask:
        return Ask("desk", "never mind")

    @step(undo=None)
    async def call(self, key: IdempotencyKey) -> None: ...

    @step
    def close(self) -> Ask:
        return Ask("desk", "done")


class Free(Saga):
    @starts
    def asked(self, event: Asked) -> "list[Ask] | None": ...

    @on(correlate="what")
    def forgotten(self, event: Forgotten) -> Ask:
        return Ask("desk", "why")

    @on_rejected
    def refused(self, command: Ask, refusal: Rejected) -> None: ...


async def sink(event: CloudEvent) -> None: ...


def office() -> Runtime:
    outlet = Outlet("others", types=[Asked], sink=sink, source='/a"b<c>', start="now")
    return Runtime([Desk, Questions, Answering, Free, outlet], store="memory://")


def test_a_saga_shows_its_steps_and_its_undos() -> None:
    lines = [line.strip() for line in saga_graph(Fulfilment)]
    assert lines[:3] == ["flowchart TD", 'event_OrderPlaced(["OrderPlaced"])', "event_OrderPlaced --> step_accept"]
    down = [line for line in lines if line.startswith("step_") and " --> " in line]
    assert down == [
        "step_accept --> step_pay",
        "step_pay --> step_reserve",
        "step_reserve --> step_ship",
        "step_ship --> step_confirm",
        'step_confirm --> completed(["completed"])',
    ]
    back = [line for line in lines if "-.->" in line]
    assert back == [
        "step_accept -.-> undone",
        "undo_accept -.-> undone",
        "step_pay -.-> undo_accept",
        "undo_pay -.-> undo_accept",
        "step_reserve -.-> undo_pay",
        "undo_reserve -.-> undo_pay",
        "step_ship -.-> undo_reserve",
        "step_confirm -.-> failed",
    ]
    assert 'step_ship{{"ship<br/>ArrangeShipment<br/>cannot be undone"}}' in lines
    assert 'undo_pay["refund<br/>Refund"]' in lines


def test_a_step_shows_its_timeout_and_that_it_may_be_half_done() -> None:
    lines = [line.strip() for line in saga_graph(Answering)]
    assert 'step_wait["wait<br/>Ask<br/>until Forgotten<br/>within 60 s"]' in lines
    assert 'step_wait -.->|"may have run"| undo_wait' in lines
    assert 'step_call["call<br/>external effect"]' in lines


def test_a_saga_without_steps_shows_its_handlers() -> None:
    assert [line.strip() for line in saga_graph(Free)][1:] == [
        'event_Asked(["Asked"])',
        'event_Asked --> on_asked["asked<br/>list[Ask] | None"]',
        'event_Forgotten(["Forgotten"])',
        'event_Forgotten --> on_forgotten["forgotten<br/>Ask"]',
        'refused_Ask(["Ask rejected"])',
        'refused_Ask --> on_refused["refused"]',
    ]


def test_an_aggregate_shows_the_events_of_its_commands() -> None:
    assert [line.strip() for line in aggregate_graph(Desk)] == [
        "flowchart LR",
        'command_Ask[/"Ask"/]',
        'command_Ask -->|"ask"| event_Asked(["Asked"])',
        'command_Look[/"Look"/]',
        'command_Look -->|"look"| nothing(["nothing"])',
        'event_Forgotten(["Forgotten"])',
    ]


def test_a_projection_shows_its_events_and_its_queries() -> None:
    assert [line.strip() for line in projection_graph(Questions)] == [
        "flowchart LR",
        'projection[("Questions v1")]',
        'event_Asked(["Asked"]) -->|"more"| projection',
        'event_Forgotten(["Forgotten"]) -->|"more"| projection',
        'projection --> query_count[/"count"/]',
    ]


@pytest.mark.parametrize("app", [office, orchestrated, choreographed, customers_and_orders])
def test_every_diagram_is_well_formed(app: "type[Runtime]") -> None:
    text = page(diagrams(app()))
    drawn = re.findall(r"^```mermaid\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(drawn) == text.count("## ") > 3
    for diagram in drawn:
        first, *lines = diagram.splitlines()
        assert first in ("flowchart TD", "flowchart LR")
        ends = {
            end.strip() for line in lines for end in re.findall(r"^  (\w+) |> (\w+)$|\| (\w+)$", line) for end in end
        }
        defined = set(re.findall(r"\b(\w+)(?=[\[({>][\[({/\"])", diagram)) | set(re.findall(r"(\w+)>\"", diagram))
        defined |= set(re.findall(r"(\w+)\[\"", diagram))
        assert ends - {""} <= defined, diagram
        for line in lines:
            assert line.count('"') % 2 == 0, line


def test_the_page_lists_everything_in_order() -> None:
    assert re.findall(r"^## (.*)$", page(diagrams(office())), re.MULTILINE) == [
        "Saga Answering",
        "Saga Free",
        "Aggregate Desk",
        "Projection Questions",
        "Outlet others",
    ]
    assert 'event_Asked(["Asked"]) --> outlet>"/a#quot;b#lt;c#gt;"]' in page(diagrams(office()))


def test_the_command_prints_the_page() -> None:
    app = "actorium.examples.orders.choreography:choreographed"
    command = [sys.executable, "-m", "actorium", "graph", app]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == page(diagrams(choreographed()))


def test_a_missing_application_is_reported(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["graph", "nowhere.app:runtime"]) == 2
    assert "there is no module 'nowhere'" in capsys.readouterr().err
