"""`actorium what-if`: what would be different with other events, or with other code."""

import asyncio
import json
from pathlib import Path

import pytest
from support.command_line import output
from support.correcting import bank, open_account, transfer

APP = "support.correcting_app:runtime"


@pytest.fixture
def log(log_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:

    async def write() -> None:
        async with bank(log_url) as runtime:
            await open_account(runtime, "a", 1_000)
            await open_account(runtime, "b", 1_000)
            await transfer(runtime, "t-1", "a", "b", 300)

    asyncio.run(write())
    capsys.readouterr()
    monkeypatch.setenv("BANK_LOG", log_url)
    return log_url


def test_it_is_a_gate_before_a_deployment(log: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert output(capsys, "what-if", APP)[0] == 0
    assert output(capsys, "what-if", APP, "--app", "support.changed_banks:refactored")[0] == 0
    html = tmp_path / "report.html"
    code, out, err = output(
        capsys,
        *("what-if", APP, "--app", "support.changed_banks:projection_bug", "--json", "-", "--html", str(html)),
    )
    assert code == 1
    assert "difference not allowed" in err
    assert json.loads(out)["counts"] == {"row": 1}
    assert html.read_text(encoding="utf-8").startswith("<!doctype html>")
    allowed = ("--allow", "row Bookings.*")
    assert output(capsys, "what-if", APP, "--app", "support.changed_banks:projection_bug", *allowed)[0] == 0


def test_events_can_be_left_out_changed_and_added(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = output(capsys, "what-if", APP, "--leave-out", "bank.account/a/2")
    assert code == 1
    assert "refused: insufficient funds" in out
    assert output(capsys, "what-if", APP, "--change", 'bank.account/a/2={"amount": 999}')[0] == 1
    added = '{"to": "a", "amount": 5, "booked_on": "1993-01-01", "operation": "cash"}'
    assert output(capsys, "what-if", APP, "--add", f"Debit={added}")[0] == 1


def test_wrong_use_is_explained(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert output(capsys, "what-if", APP, "--app", APP, "--leave-out", "x")[0] == 2
    assert output(capsys, "what-if", APP, "--change", "x=1")[0] == 2
    assert output(capsys, "what-if", APP, "--add", "Nothing={}")[0] == 2
    assert output(capsys, "what-if", APP, "--add", "Debit={}")[0] == 2
    assert output(capsys, "what-if", APP, "--leave-out", "x/y/1")[0] == 1
