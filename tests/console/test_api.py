"""The API of a console: what operators see and do, and what stays as it was when they may not."""

import asyncio
import json
from typing import Any

import pytest
from support.consoles import client_of, console_of
from support.shop import Checkout, Faults, PlaceOrder, Repair, open_shop, place, until
from support.virtual_time import virtual

from actorium import Runtime
from actorium.console import Console, Masking
from actorium.console.api.http import BODY_BYTES_MAX
from actorium.console.log_view import SEARCHED_MAX
from actorium.console.masking import HIDDEN

OPERATE, VIEW = "operate-token-of-16", "viewer-token-of-16"


async def stuck(runtime: Runtime, *orders: str) -> None:
    await place(runtime, *orders)
    for order in orders:
        await until(runtime, order, "failed")


@virtual
async def test_a_stuck_saga_is_found_read_and_retried_until_it_completes() -> None:
    async with open_shop() as runtime, client_of(console_of(runtime), OPERATE) as client:
        await stuck(runtime, "o-1", "o-2")
        found = await client.get("sagas", status="failed", step="ship", prefix="o-1", type="Checkout")
        assert [(one["type"], one["id"], one["step"]) for one in found["sagas"]] == [("Checkout", "o-1", "ship")]
        assert len((await client.get("sagas", idle_s=60))["sagas"]) == 2
        assert (await client.get("sagas", idle_s=1e9))["sagas"] == []
        timeline = await client.get("saga", type="Checkout", id="o-1")
        assert timeline["status"] == "failed"
        assert any("stuck at ship" in line["text"] for line in timeline["history"])
        Faults.warehouse = False
        target = {"type": "Checkout", "id": "o-1"}
        report = await client.post("sagas/retry", targets=[target], reason="paper is back")
        assert report["outcomes"] == [{"target": "Checkout<o-1>", "error": ""}]
        await until(runtime, "o-1", "completed")
        assert (await client.get("overview"))["sagas"]["failed"] == 1


@virtual
async def test_actions_in_bulk_report_each_target_and_are_recorded_with_name_and_reason() -> None:
    async with open_shop() as runtime, client_of(console_of(runtime), OPERATE) as client:
        await stuck(runtime, "o-1", "o-2")
        targets = [{"type": "Checkout", "id": id} for id in ("o-1", "nobody", "o-2")]
        report = await client.post("sagas/skip", targets=targets, reason="sent by hand")
        assert [bool(one["error"]) for one in report["outcomes"]] == [False, True, False]
        assert "NotFound" in report["outcomes"][1]["error"]
        recorded = (await client.get("actions"))["events"]
        assert [one["type"] for one in recorded] == ["operator.action_ended", "operator.acted"]
        assert recorded[1]["id"] == report["recorded_as"] == "actorium.operator/ann/1"
        view = await runtime.sagas.get(Checkout, "o-1")
        assert any("by an operator: ann: sent by hand" in line.text for line in view.history)


@pytest.mark.parametrize("action", ["retry", "skip", "complete", "compensate"])
@virtual
async def test_every_action_on_sagas_needs_a_reason(action: str) -> None:
    async with open_shop() as runtime, client_of(console_of(runtime), OPERATE) as client:
        target = {"type": "Checkout", "id": "o-1"}
        problem = await client.post(f"sagas/{action}", 422, targets=[target], reason="")
        assert problem["error"] == "InvalidCommand"
        assert runtime.statistics().position == 0


@virtual
async def test_events_are_paged_in_both_directions_and_filtered() -> None:
    async with open_shop() as runtime, client_of(console_of(runtime), VIEW) as client:
        await stuck(runtime, "o-1")
        whole = (await client.get("events", limit=500))["events"]
        assert [one["position"] for one in whole] == list(range(len(whole), 0, -1))
        page = await client.get("events", limit=2)
        older = await client.get("events", limit=500, before=page["searched_to"])
        assert [*page["events"], *older["events"]] == whole
        assert (page["is_last"], older["is_last"]) == (False, True)
        forwards: list[Any] = []
        after, is_last = 0, False
        while not is_last:
            page = await client.get("events", after=after, limit=2)
            forwards += page["events"]
            after, is_last = page["searched_to"], page["is_last"]
        assert forwards == whole[::-1]
        for extra in ({}, {"after": 0}):
            found = await client.get("events", types=["Paid", "OrderPlaced"], **extra)
            assert {one["type"] for one in found["events"]} == {"Paid", "OrderPlaced"}
            assert found["is_last"]
        flow = (await client.get("events", correlation_id="place o-1"))["events"]
        assert flow[0]["type"] == "OrderPlaced"
        assert {one["type"] for one in flow} > {"OrderPlaced", "Paid"}
        middle = whole[len(whole) // 2]["recorded_at"]
        newer = (await client.get("events", since=middle, limit=500))["events"]
        older_ones = (await client.get("events", until=middle, limit=500))["events"]
        assert newer + older_ones == whole
        assert len(newer) > 0


@virtual
async def test_a_search_for_a_rare_type_ends_at_its_limit_and_says_where_to_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("actorium.console.log_view.SEARCHED_MAX", 3)
    assert SEARCHED_MAX > 3
    async with open_shop() as runtime, client_of(console_of(runtime), VIEW) as client:
        await place(runtime, "o-1")
        for number in range(10):
            await runtime.send(Repair("main"), command_id=f"r-{number}")
        pages, before, found = 0, runtime.statistics().position + 1, []
        while before > 1:
            page = await client.get("events", types=["OrderPlaced"], before=before)
            assert page["searched_to"] < before
            found += page["events"]
            pages, before = pages + 1, page["searched_to"]
        assert pages > 2
        assert [one["position"] for one in found] == [1]


@virtual
async def test_a_streams_history_shows_states_and_their_differences_page_by_page() -> None:
    shown = Masking(default="show")
    async with open_shop() as runtime, client_of(console_of(runtime, masking=shown), VIEW) as client:
        for number in range(1, 6):
            await runtime.send(PlaceOrder("o-1", "alice", number), command_id=f"p-{number}")
        page = await client.get("stream", type="Order", id="o-1", limit=2)
        assert (page["version"], [one["event"]["version"] for one in page["changes"]]) == (5, [5, 4])
        assert page["changes"][0]["before"]["amount"] == 4
        assert page["changes"][0]["differences"] == [{"path": "amount", "before": 4, "after": 5}]
        older = await client.get("stream", type="Order", id="o-1", limit=10, before_version=4)
        assert [one["event"]["version"] for one in older["changes"]] == [3, 2, 1]
        state = await client.get("state", type="Order", id="o-1", version=2)
        assert state["state"]["amount"] == 2
        await client.get("stream", 404, type="Order", id="nobody")
        await client.get("state", 404, type="Order", id="o-1", version=9)


@virtual
async def test_streams_are_found_by_type_and_start_of_id() -> None:
    async with open_shop() as runtime, client_of(console_of(runtime), VIEW) as client:
        await place(runtime, "o-1", "o-2", "p-1")
        assert "Order" in (await client.get("stream-types"))["names"]
        assert "OrderPlaced" in (await client.get("event-types"))["names"]
        assert await client.get("streams", type="Order", prefix="o-") == {"ids": ["o-1", "o-2"], "after": ""}
        first = await client.get("streams", type="Order", limit=2)
        assert first == {"ids": ["o-1", "o-2"], "after": "o-2"}
        assert await client.get("streams", type="Order", limit=2, after="o-2") == {"ids": ["p-1"], "after": ""}


@virtual
async def test_causes_are_followed_up_and_down() -> None:
    async with open_shop() as runtime, client_of(console_of(runtime), VIEW) as client:
        await stuck(runtime, "o-1")
        tree = await client.get("causes", event_id="Wallet/alice/1")
        assert next(one["type"] for one in tree["causes"]) == "OrderPlaced"
        assert tree["event"]["type"] == "Paid"
        down = await client.get("causes", event_id="Order/o-1/1")
        assert "Paid" in {one["type"] for one in down["effects"]}
        assert down["is_complete"]
        cut = await client.get("causes", event_id="Order/o-1/1", limit=1)
        assert (len(cut["effects"]), cut["is_complete"]) == (1, False)
        await client.get("causes", 404, event_id="Order/o-1/99")
        await client.get("causes", 404, event_id="nonsense")


@virtual
async def test_a_dead_letter_is_read_retried_and_another_one_discarded() -> None:
    async with open_shop() as runtime, client_of(console_of(runtime), OPERATE) as client:
        await place(runtime, "o-1", "o-2", "o-3")
        await asyncio.sleep(1)
        page = await client.get("dead-letters", limit=2)
        assert (page["total"], len(page["dead_letters"])) == (3, 2)
        rest = await client.get(
            "dead-letters", after_position=page["after_position"], after_processor=page["after_processor"]
        )
        letters = [*page["dead_letters"], *rest["dead_letters"]]
        assert [one["stream_id"] for one in letters] == ["o-1", "o-2", "o-3"]
        target = {"processor": letters[0]["processor"], "position": letters[0]["position"]}
        detail = await client.get("dead-letter", **target)
        assert "ConnectionError" in detail["traceback"]
        assert detail["event"]["type"] == "OrderPlaced"
        report = await client.post("dead-letters/retry", targets=[target], reason="try it")
        assert report["outcomes"][0]["error"] == "its handler failed again"
        Faults.mail = False
        assert not (await client.post("dead-letters/retry", targets=[target], reason="mail is back"))["outcomes"][0][
            "error"
        ]
        other = {"processor": letters[1]["processor"], "position": letters[1]["position"]}
        await client.post("dead-letters/discard", targets=[other], reason="no customer")
        assert [one["stream_id"] for one in (await client.get("dead-letters"))["dead_letters"]] == ["o-3"]
        discarded = (await client.get("dead-letters", discarded=True))["dead_letters"]
        assert [one["discarded"] for one in discarded] == ["ann: no customer"]


@virtual
async def test_submitted_commands_are_listed_run_now_and_cancelled() -> None:
    async with open_shop() as runtime, client_of(console_of(runtime), OPERATE) as client:
        for id in ("a", "b", "c"):
            await runtime.submit(PlaceOrder(f"o-{id}", "alice", 1), after_s=1_000, command_id=id)
        [one async for one in runtime.submissions.list()]
        first = await client.get("submissions", status="waiting", type="PlaceOrder", limit=2)
        assert ([one["id"] for one in first["submissions"]], first["after"]) == (["a", "b"], "b")
        timers = await client.get("timers", limit=2)
        assert [one["id"] for one in timers["timers"]] == ["a", "b"]
        assert [one["id"] for one in (await client.get("timers", after=timers["after"]))["timers"]] == ["c"]
        await client.get("timers", 422, after="nonsense")
        await client.post("submissions/run-now", ids=["a"], reason="the customer waits")
        report = await client.post("submissions/cancel", ids=["b", "nobody"], reason="a mistake")
        assert [one["error"].partition(":")[0] for one in report["outcomes"]] == ["", "NotFound"]
        await asyncio.sleep(1)
        assert (await runtime.submissions.get("a")).status == "done"
        assert (await runtime.submissions.get("b")).reason == "ann: a mistake"


@virtual
async def test_processors_are_paused_resumed_and_reset() -> None:
    async with open_shop() as runtime, client_of(console_of(runtime), OPERATE) as client:
        await stuck(runtime, "o-1")
        kinds = {one["name"]: one["kind"] for one in (await client.get("processors"))["processors"]}
        (income,) = (name for name, kind in kinds.items() if kind == "projection")
        assert set(kinds.values()) == {"projection", "reaction", "saga", "agenda"}

        async def state() -> str:
            found = (await client.get("processors"))["processors"]
            return str(next(one["state"] for one in found if one["name"] == income))

        await client.post("processors/pause", names=[income], reason="to look at it")
        assert await state() == "paused"
        await client.post("processors/resume", names=[income], reason="seen")
        report = await client.post("processors/reset", names=[income, "nobody"], reason="rebuild")
        assert [one["error"].partition(":")[0] for one in report["outcomes"]] == ["", "NotFound"]
        assert await state() in ("running", "starting")


@virtual
async def test_values_are_hidden_unless_shown_and_showing_them_is_recorded() -> None:
    masking = Masking(shown=["OrderPlaced.amount"])
    async with open_shop() as runtime, client_of(console_of(runtime, masking=masking), OPERATE) as client:
        await place(runtime, "o-1")
        event = await client.get("event", position=1)
        assert (event["payload"], event["is_masked"]) == ({"customer": HIDDEN, "amount": 30}, True)
        state = await client.get("state", type="Order", id="o-1", version=1)
        assert state["state"]["customer"] == HIDDEN
        await client.post("values/event", 422, position=1, reason="")
        shown = await client.post("values/event", position=1, reason="a complaint")
        assert (shown["payload"]["customer"], shown["is_masked"]) == ("alice", False)
        shown = await client.post("values/state", type="Order", id="o-1", version=1, reason="a complaint")
        assert shown["state"]["customer"] == "alice"
        recorded = (await client.get("actions"))["events"]
        assert [one["type"] for one in recorded] == ["operator.acted"] * 2


@virtual
async def test_the_map_settings_and_overview_describe_the_application() -> None:
    async with open_shop() as runtime, client_of(console_of(runtime), VIEW) as client:
        await place(runtime, "o-1")
        app = await client.get("map")
        assert {(one["kind"], one["name"]) for one in app["nodes"]} >= {("aggregate", "Order"), ("reaction", "mail")}
        flows = {(one["source"], one["target"]): one["event_types"] + one["commands"] for one in app["edges"]}
        assert flows["Order", "Checkout"] == ["OrderPlaced"]
        assert flows["Checkout", "Wallet"] == ["Pay"]
        assert flows["Wallet", "Income"] == ["Paid"]
        assert (await client.get("settings"))["settings"]["mailbox_limit"] == runtime.settings.mailbox_limit
        overview = await client.get("overview")
        assert overview["statistics"]["acknowledged"] >= 1
        info = await client.get("info")
        assert (info["operator"], info["role"], info["actions"], info["source"]) == ("vic", "view", True, "runtime")


@virtual
async def test_wrong_queries_and_bodies_are_refused_with_a_reason() -> None:
    async with open_shop() as runtime, client_of(console_of(runtime), OPERATE) as client:
        for path, query in (
            ("events", {"limit": 0}),
            ("events", {"limit": 501}),
            ("streams", {}),
            ("event", {"position": "x"}),
        ):
            assert (await client.get(path, 422, **query))["error"] == "InvalidCommand"
        assert "time zone" in (await client.get("events", 422, since="2026-01-01"))["message"]
        await client.get("nothing", 404)
        await client.post("sagas/retry", 422, targets=[], reason="x")
        await client.post("sagas/retry", 422, targets=[{"type": "a", "id": "b"}] * 101, reason="x")
        await client.post("sagas/retry", 422, targets=[{"type": "a", "id": "b"}], reason="x" * BODY_BYTES_MAX)
        answer = await client._http.post("/api/sagas/retry", content=b"{}", headers={"content-type": "text/plain"})
        assert answer.status_code == 422


@virtual
async def test_the_openapi_document_describes_every_route_and_its_answers() -> None:
    async with open_shop() as runtime:
        console = Console(runtime)
        async with client_of(console) as client:
            document = await client.get("openapi.json")
            described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
            health = {("GET", "/api/health/live"), ("GET", "/api/health/ready")}
            assert described == set(console.routes.all) | health
            text = json.dumps(document)
            for reference in (part.split('"')[0] for part in text.split('"$ref": "#/components/schemas/')[1:]):
                assert reference in document["components"]["schemas"]
            for route in console.routes.all.values():
                operation = document["paths"][route.path][route.method.lower()]
                names = {one["name"] for one in operation.get("parameters", [])}
                wanted = {field for field in route.wanted.__struct_fields__} if route.method == "GET" else set()
                assert names == wanted, route.path


@virtual
async def test_live_and_ready_say_why_not() -> None:
    async with open_shop() as runtime:
        async with client_of(Console(runtime, ready_lag_s=0.0)) as client:
            assert await client.get("health/live") == {"ok": True, "reasons": []}
            await stuck(runtime, "o-1")
            for processor in runtime.processors.values():
                processor.pause()
            await place(runtime, "o-2")
            await asyncio.sleep(1)
            not_ready = await client.get("health/ready", 503)
            assert any("behind the log" in reason for reason in not_ready["reasons"])
        async with client_of(Console(runtime)) as client:
            assert (await client.get("health/ready"))["ok"]
            await runtime.stop()
            assert not (await client.get("health/live", 503))["ok"]
            await client.get("overview", 503)
