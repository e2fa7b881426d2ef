"""`actorium cases`: a case of a running application from its command line, from the wrong events to the report."""

import getpass
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.command_line import output
from support.correcting import PARTS, Bookings, Outside, open_account
from support.served import Served, served
from support.shop_parts import Order, PlaceOrder, customers

from actorium import Runtime, Settings
from actorium.examples.bank.domain import Account
from actorium.services import Service

WRONG = "bank.account/a/2"
WHY = ("--reason", "a test")


@pytest.fixture
def bank(log_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A running bank with two accounts."""
    monkeypatch.chdir(tmp_path)
    with served(Runtime(PARTS, store=log_url)) as bank:
        for account in ("a", "b"):
            bank.do(open_account(bank.runtime, account, 1_000))
        yield bank


def test_a_wrong_amount_is_corrected_from_the_command_line(bank: Served, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = output(
        capsys, "cases", "open", "c-1", "--event", WRONG, "--at", bank.at, "--reason", "a typing error"
    )
    me = getpass.getuser()
    assert (code, out) == (0, f"c-1 is open: 1 event, opened by {me}: a typing error\n")
    assert "1  selected events" in output(capsys, "cases", "impact", "c-1", "--at", bank.at)[1]
    code, out, _ = output(
        capsys, "cases", "plan", "c-1", "--right", f'{WRONG}={{"amount": 900}}', "--at", bank.at, *WHY
    )
    assert (code, out.splitlines()[1]) == (0, "  1 correction planned")
    code, out, _ = output(capsys, "cases", "dry-run", "c-1", "--at", bank.at, *WHY)
    assert code == 0
    assert "state bank.account<a>" in out
    code, _, err = output(capsys, "cases", "approve", "c-1", "--at", bank.at, *WHY)
    assert code == 1
    assert "a second person must approve the case" in " ".join(err.split())
    assert output(capsys, "cases", "apply", "c-1", "--at", bank.at, *WHY)[0] == 1
    assert output(capsys, "cases", "approve", "c-1", "--by", "bob", "--at", bank.at, *WHY)[0] == 0
    code, out, _ = output(capsys, "cases", "apply", "c-1", "--at", bank.at, *WHY)
    assert (code, out.splitlines()[-1]) == (0, "  1 corrected, 0 refused")
    assert bank.do(bank.runtime.get(Account, "a")).balance == 900
    assert output(capsys, "cases", "close", "c-1", "--at", bank.at, *WHY)[0] == 0
    code, out, _ = output(capsys, "cases", "report", "c-1", "--at", bank.at, "--json", "-", "--html", "case.html")
    found = json.loads(out)
    assert (code, found["status"], found["approved_by"], found["outcomes"][0]["error"]) == (0, "closed", "bob", "")
    assert "a typing error" in Path("case.html").read_text()
    code, out, _ = output(capsys, "events", "tail", "--type", "operator.acted", "--count", "50", "--at", bank.at)
    assert "cases.apply" in out


def test_a_running_application_shows_what_its_events_touched_in_other_services(
    log_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    service = Service("orders", bus=f"memory://{tmp_path}")
    with served(Runtime([Order, customers()], store=log_url, service=service)) as orders:
        orders.do(orders.runtime.send(PlaceOrder("o-1", "ann", 5)))
        code, out, _ = output(capsys, "impact", "--event", "Order/o-1/1", "--at", orders.at)
        assert (code, "1  selected events" in out) == (0, True)
        away = "service customers did not answer: it is not on the bus, or does not know the question"
        assert out.splitlines()[-1] == away
        found = json.loads(output(capsys, "impact", "--event", "Order/o-1/1", "--at", orders.at, "--json", "-")[1])
        assert [(one["name"], one["counts"]) for one in found["services"]] == [("customers", {})]
        assert output(capsys, "cases", "open", "c-1", "--event", "Order/o-1/1", "--at", orders.at, *WHY)[0] == 0
        assert output(capsys, "cases", "impact", "c-1", "--at", orders.at)[1].splitlines()[-1] == away
    code, _, err = output(capsys, "impact", "--event", "Order/o-1/1", "--at", log_url)
    assert (code, "cannot be reached" in err) == (1, True)


def test_many_events_come_from_files_and_a_plan_has_every_kind_of_entry(
    bank: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("ids").write_text(f"{WRONG}\nbank.account/b/2\n")
    Path("impact.json").write_text(
        json.dumps({"events": [{"id": WRONG, "cause": ""}, {"id": "bank.account/b/2", "cause": WRONG}]})
    )
    assert "1 event," in output(capsys, "cases", "open", "c-0", "--events", "impact.json", "--at", bank.at, *WHY)[1]
    assert "2 events," in output(capsys, "cases", "open", "c-1", "--events", "ids", "--hold", "--at", bank.at, *WHY)[1]
    command = {"type": "Credit", "to": "b", "amount": 5, "booked_on": "1993-01-01", "operation": "cash"}
    plan = {"right": {WRONG: None}, "commands": {"bank.account/b/2": command}, "repair": ["Bookings"]}
    Path("plan.json").write_text(json.dumps(plan))
    code, out, _ = output(
        capsys,
        "cases",
        "plan",
        "c-1",
        "--file",
        "plan.json",
        "--skip",
        "projection bank_balances",
        "--at",
        bank.at,
        *WHY,
    )
    assert code == 0
    assert out.splitlines()[1:] == [
        "  2 corrections planned",
        "  projection bank_balances skips 2 events",
        "  bank_balances will be repaired",
        "  Bookings will be repaired",
    ]
    assert output(capsys, "cases", "approve", "c-1", "--by", "bob", "--at", bank.at, *WHY)[0] == 0
    assert output(capsys, "cases", "apply", "c-1", "--at", bank.at, *WHY)[0] == 0
    assert bank.do(bank.runtime.query(Bookings.of, "b")) == (2, 1_005)
    assert "c-1  applied  2" in output(capsys, "cases", "list", "--status", "applied", "--at", bank.at)[1]
    assert output(capsys, "cases", "cancel", "c-0", "--at", bank.at, *WHY)[0] == 0


async def thanked(runtime: Runtime, thank: Any) -> None:
    """Wait until the reaction has handled what is in the log."""
    await runtime.processors[thank].checkpoint.reached(runtime.statistics().position)


def test_a_reaction_runs_again_and_its_failure_is_an_exit_code(
    log_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    outside = Outside()
    parts = [*PARTS, *outside.parts()]
    with served(Runtime(parts, store=log_url, settings=Settings(second_approver=False))) as bank:
        bank.do(open_account(bank.runtime, "a", 1_000))
        bank.do(thanked(bank.runtime, parts[-1]))
        assert output(capsys, "cases", "open", "c-1", "--event", WRONG, "--at", bank.at, *WHY)[0] == 0
        Path("plan.json").write_text(json.dumps({"rerun": ["thank"]}))
        for plan in (["--file", "plan.json"], ["--rerun", "thank"]):
            code, out, _ = output(capsys, "cases", "plan", "c-1", *plan, "--at", bank.at, *WHY)
            assert (code, out.splitlines()[1]) == (0, "  thank will run again for 1 event")
        assert output(capsys, "cases", "approve", "c-1", "--at", bank.at, *WHY)[0] == 0
        outside.away = True
        code, out, err = output(capsys, "cases", "apply", "c-1", "--at", bank.at, *WHY)
        assert (code, out.splitlines()[1]) == (1, "  thank ran again for 0 of 1 event, 1 failed")
        assert "1 reaction failed again" in " ".join(err.split())
        assert "nobody is there" in " ".join(output(capsys, "cases", "report", "c-1", "--at", bank.at)[2].split())
        outside.away = False
        code, out, _ = output(capsys, "cases", "apply", "c-1", "--at", bank.at, *WHY)
        assert (code, out.splitlines()[1]) == (0, "  thank ran again for 1 of 1 event")
        assert outside.thanked[1:] == ["correction/c-1/rerun/thank:bank.account:a:2:0"]
        assert "thank: ran again for 1 event" in output(capsys, "cases", "report", "c-1", "--at", bank.at)[1]


def test_a_refused_correction_is_an_exit_code(bank: Served, capsys: pytest.CaptureFixture[str]) -> None:
    assert output(capsys, "cases", "open", "c-1", "--event", WRONG, "--at", bank.at, *WHY)[0] == 0
    debit = json.dumps({"type": "Debit", "to": "a", "amount": 9_999, "booked_on": "1993-01-01", "operation": "cash"})
    assert output(capsys, "cases", "plan", "c-1", "--command", f"{WRONG}={debit}", "--at", bank.at, *WHY)[0] == 0
    assert output(capsys, "cases", "approve", "c-1", "--by", "bob", "--at", bank.at, *WHY)[0] == 0
    code, _, err = output(capsys, "cases", "apply", "c-1", "--at", bank.at, *WHY)
    assert code == 1
    assert "1 correction refused" in " ".join(err.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["plan", "c-1", "--right", WRONG], 'write NAME={"field": value}'),
        (["plan", "c-1", "--command", f'{WRONG}={{"to": "a"}}'], "needs its stored name"),
        (["plan", "c-1", "--file", "nothing.json"], "No such file"),
        (["open", "c-1", "--events", "nothing.json"], "No such file"),
        (["open", "c-1", "--where", "m:f"], "--where cannot be asked of a running application"),
    ],
)
def test_a_wrong_option_is_wrong_use(
    bank: Served, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    code, _, err = output(capsys, "cases", *words, "--at", bank.at, *WHY)
    assert code == 2
    assert message in " ".join(err.split())


def test_cases_of_a_stopped_application_are_listed_and_shown(
    bank: Served, log_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert output(capsys, "cases", "open", "c-1", "--event", WRONG, "--at", bank.at, *WHY)[0] == 0
    bank.stop()
    code, out, _ = output(capsys, "cases", "list", "--at", log_url)
    assert code == 0
    assert "c-1  open    1" in out
    assert "c-1 is open" in output(capsys, "cases", "show", "c-1", "--at", log_url)[1]
    assert output(capsys, "cases", "show", "c-2", "--at", log_url)[0] == 1
    assert output(capsys, "cases", "close", "c-1", "--at", log_url, *WHY)[0] == 1
    code, _, err = output(capsys, "cases", "report", "c-1", "--at", log_url)
    assert code == 1
    assert "needs the running application" in " ".join(err.split())
