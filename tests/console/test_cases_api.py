"""The API of cases: who may correct, in whose name, and what a viewer sees of it."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from support.consoles import client_of, console_of
from support.correcting import PARTS, Outside, open_account

from actorium import Runtime
from actorium.console.masking import HIDDEN
from actorium.examples.bank.domain import Account

pytestmark = pytest.mark.asyncio

CORA, DAN, ANN, VIC = "correct-token-of-16", "another-token-of-16", "operate-token-of-16", "viewer-token-of-16"
WRONG = "bank.account/a/2"


@pytest_asyncio.fixture
async def runtime(log_url: str) -> AsyncIterator[Runtime]:
    async with Runtime(PARTS, store=log_url) as runtime:
        await open_account(runtime, "a", 1_000)
        yield runtime


async def test_a_case_needs_the_role_to_correct_and_two_people(runtime: Runtime) -> None:
    console = console_of(runtime)
    opening = {"id": "c-1", "reason": "a typing error", "selection": {"events": [WRONG]}}
    async with client_of(console, ANN) as ann:
        assert (await ann.post("cases/open", 403, **opening))["error"] == "NotAllowed"
    async with client_of(console, CORA) as cora, client_of(console, DAN) as dan:
        acted = await cora.post("cases/open", **opening)
        assert (acted["case"]["opened_by"], acted["recorded_as"]) == ("cora", "actorium.operator/cora/1")
        planned = await cora.post("cases/plan", id="c-1", reason="as the receipt says", right={WRONG: {"amount": 900}})
        assert planned["case"]["status"] == "planned"
        tried = await cora.post("cases/dry-run", id="c-1", reason="to see")
        assert tried["differences"]["counts"]["state"] == 1
        refused = await cora.post("cases/approve", 409, id="c-1", reason="it is right")
        assert refused["error"] == "Rejected"
        assert (await cora.post("cases/approve", 403, id="c-1", reason="r", by="dan"))["error"] == "NotAllowed"
        await dan.post("cases/approve", id="c-1", reason="it is right")
        applied = await dan.post("cases/apply", id="c-1", reason="now")
        assert applied["case"]["outcomes"][0]["error"] == ""
        await dan.post("cases/close", id="c-1", reason="done")
    assert (await runtime.get(Account, "a")).balance == 900
    async with client_of(console, VIC) as vic:
        recorded = [one["payload"] for one in (await vic.get("actions"))["events"]]
        assert [one["action"] for one in recorded if "action" in one][::-1] == [
            f"cases.{step}" for step in ("open", "plan", "dry-run", "approve", "approve", "apply", "close")
        ]
        (error,) = (one["error"] for one in recorded if one.get("error"))
        assert error.startswith("Rejected: a second person must approve the case")


async def test_a_viewer_reads_cases_without_the_values_that_are_hidden(runtime: Runtime) -> None:
    console = console_of(runtime)
    async with client_of(console, CORA) as cora, client_of(console, VIC) as vic:
        for id in ("c-1", "c-2"):
            selection = {"stream_type": "bank.account", "stream_id": "a", "types": ["bank.credited"]}
            await cora.post("cases/open", id=id, reason="a typing error", selection=selection)
        await cora.post("cases/plan", id="c-1", reason="r", right={WRONG: {"amount": 900}})
        page = await vic.get("cases", limit=1)
        assert ([one["id"] for one in page["cases"]], page["after"]) == (["c-1"], "c-1")
        page = await vic.get("cases", after="c-1")
        assert ([one["id"] for one in page["cases"]], page["after"]) == (["c-2"], "")
        assert [one["id"] for one in (await vic.get("cases", status="planned"))["cases"]] == ["c-1"]
        case = await vic.get("case", id="c-1")
        assert case["is_masked"]
        assert case["corrections"][0]["right"]["amount"] == HIDDEN
        report = await vic.get("case/report", id="c-1")
        assert "900" not in str(report["steps"])
        assert (await vic.get("case/impact", id="c-1"))["counts"]["selected events"] == 1
        found = await vic.get("impact", types=["bank.credited"], since="1993-01-01T00:00:00+00:00")
        assert [one["name"] for one in found["projections"]] == ["bank_balances", "Bookings"]
        await vic.get("case", 404, id="c-9")


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ({"stream_type": "bank.account"}, "give both"),
        ({"since": "yesterday"}, "since: "),
        ({"since": "1993-01-01T00:00:00"}, "no time zone"),
        ({"headers": ["x"]}, "is not name=value"),
        ({}, "whole log"),
    ],
)
async def test_a_selection_that_makes_no_sense_is_refused(
    runtime: Runtime, selection: dict[str, object], message: str
) -> None:
    async with client_of(console_of(runtime), CORA) as cora:
        problem = await cora.post("cases/open", 422, id="c-1", reason="r", selection=selection)
        assert message in problem["message"]


async def test_what_a_plan_cannot_name_is_refused_and_recorded(runtime: Runtime) -> None:
    async with client_of(console_of(runtime), CORA) as cora:
        await cora.post("cases/open", id="c-1", reason="r", selection={"events": [WRONG]})
        unknown = {WRONG: {"type": "nothing", "fields": {"to": "a"}}}
        await cora.post("cases/plan", 422, id="c-1", reason="r", commands=unknown)
        wrong = {WRONG: {"type": "Debit", "fields": {"to": "a"}}}
        await cora.post("cases/plan", 422, id="c-1", reason="r", commands=wrong)
        problem = await cora.post("cases/plan", 422, id="c-1", reason="r", skip=["outlet nothing"])
        assert "outlet nothing" in problem["message"]
        problem = await cora.post("cases/settle", 404, id="c-1", reason="r", saga_type="x", saga_id="y", action="leave")
        assert "no sagas of the type" in problem["message"]


async def test_a_reaction_that_a_plan_names_is_refused_if_it_cannot_run_again(log_url: str) -> None:
    outside = Outside()
    async with Runtime([*PARTS, *outside.parts()], store=log_url) as runtime:
        await open_account(runtime, "a", 1_000)
        async with client_of(console_of(runtime), CORA) as cora:
            await cora.post("cases/open", id="c-1", reason="r", selection={"events": [WRONG]})
            planned = await cora.post("cases/plan", id="c-1", reason="r", rerun=["thank"])
            assert (planned["case"]["reruns"], planned["case"]["rerun"]) == ({"thank": [WRONG]}, {})
            problem = await cora.post("cases/plan", 422, id="c-1", reason="r", rerun=["outlet bank"])
            assert "is not a projection" in problem["message"]
