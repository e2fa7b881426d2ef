"""`actorium drill --app`: the projections are replayed on the restored log and compared with those of the live one."""

import asyncio
import json
from pathlib import Path

import pytest
from support.command_line import output
from support.correcting import DAY, PARTS, Bookings, open_account
from support.tables import run_on

from actorium import Runtime
from actorium.corrections import Selection
from actorium.examples.bank.domain import Credit
from actorium.examples.bank.projections import Balances
from actorium.types import Processor

WRONG = "bank.account/a/2"
DRILL = ("drill", "backup", "--app", "support.correcting_app:runtime", "--live")


async def _caught_up(runtime: Runtime) -> None:
    followers: list[Processor] = [runtime.processors[one] for one in (Balances, Bookings)]
    for one in followers:
        await one.checkpoint.reached(runtime.statistics().position)


async def _book(url: str) -> None:
    async with Runtime(PARTS, store=url) as runtime:
        for account in ("a", "b"):
            await open_account(runtime, account, 1_000)
        await _caught_up(runtime)


async def _book_more(url: str) -> None:
    """Book something after the backup, and let a projection skip an event."""
    async with Runtime(PARTS, store=url) as runtime:
        await runtime.send(Credit("b", 5, DAY, "cash"))
        await runtime.corrections.open(Selection(events=[WRONG]), by="ann", reason="a test", id="c-1")
        await runtime.corrections.plan("c-1", by="ann", skip=[Bookings])
        await runtime.corrections.approve("c-1", by="bob")
        await runtime.corrections.apply("c-1")
        await _caught_up(runtime)


@pytest.fixture
def live(log_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """The log of a bank, and its backup in the current directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BANK_LOG", log_url)
    asyncio.run(_book(log_url))
    assert output(capsys, "backup", log_url, "backup")[0] == 0
    return log_url


@pytest.mark.about("sqlite", "a drill restores to a file, and compares the rows of logs of one kind")
def test_replayed_projections_have_the_rows_of_the_live_log(live: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = output(capsys, *DRILL, live)
    assert (code, err) == (0, "")
    assert "Bookings was replayed to position 4, and its rows are those of the live log" in out
    asyncio.run(_book_more(live))
    code, out, err = output(capsys, *DRILL, live, "--json", "report.json")
    assert (code, err) == (0, "")
    report = json.loads(Path("report.json").read_text())
    assert [(one["projection"], one["is_compared"]) for one in report["projections"]] == [
        ("bank_balances", True),
        ("Bookings", True),
    ]
    assert report["projections"][0]["position"] > report["events"]


@pytest.mark.about("sqlite", "a drill restores to a file, and compares the rows of logs of one kind")
def test_a_difference_is_found(live: str, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(run_on(live, "UPDATE bank_balances__v2__balances SET balance = 7 WHERE account = 'a'"))
    code, out, _ = output(capsys, *DRILL, live)
    assert code == 1
    assert "bank_balances: balances has 2 rows in the live log, and a replay to position 4 gives others" in out
    asyncio.run(run_on(live, "DELETE FROM bank_balances__v2__balances"))
    assert "has 0 rows in the live log, and a replay to position 4 gives 2 rows" in output(capsys, *DRILL, live)[1]


def test_without_a_live_log_the_handlers_must_work(
    live: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    drill = DRILL[:-1]
    code, out, _ = output(capsys, *drill)
    assert code == 0
    assert "Bookings was replayed to position 4\n" in out
    monkeypatch.setattr(Balances.__definition__, "_schema", "CREATE TABLE other (account TEXT)")
    code, out, _ = output(capsys, *drill)
    assert code == 1
    assert "bank_balances: its handler fails at position 1" in out
