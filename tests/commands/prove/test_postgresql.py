"""`actorium prove postgresql`: faults on real processes lose nothing, and a loss would be found."""

import asyncio
import json
from pathlib import Path

import pytest
from support.postgres import new_log, with_options

from actorium import Runtime
from actorium.examples.bank.faults.audit import audit_bank
from actorium.examples.bank.faults.findings import WANTED_S, FaultFindings
from actorium.examples.bank.faults.load import PARTS, open_account, work
from actorium.examples.bank.faults.rounds import KINDS
from actorium.examples.bank.generate import generate
from actorium_cli import run


def test_each_kind_of_fault_loses_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "report.json"
    assert run(["prove", "postgresql", "--rounds", str(len(KINDS)), "--json", str(report)]) == 0
    printed = capsys.readouterr()
    assert "acknowledged commands found, 0 lost, 0 duplicated, 0 gaps; every saga ended" in printed.out
    counts = json.loads(report.read_text())
    assert counts["outages_s"].keys() == set(KINDS)
    assert counts["takeovers"] >= 2
    assert counts["sagas"] > 0
    assert counts["events"] > counts["acknowledged"] > 0


def test_what_is_wanted_is_measured() -> None:
    assert WANTED_S.keys() <= set(KINDS)


def test_all_balances_are_right_although_the_server_is_killed_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "transactions.csv"
    generate(file, rows=1_000)
    assert run(["prove", "postgresql", "--data", str(file)]) == 0
    printed = capsys.readouterr()
    assert "1,000 booked, 0 bad; the server was killed 2 times" in printed.out
    assert printed.out.endswith("all balances equal the sums\n")


def test_a_loss_is_found() -> None:
    async def lose(url: str) -> FaultFindings:
        acknowledged = {"open-99": 3}  # as if somebody had been told so
        async with Runtime(PARTS, store=url) as runtime:
            for account in map(str, range(20)):
                await open_account(runtime, account)
            for number in range(8):
                ack = await work(runtime, number)
                acknowledged[ack.command_id] = ack.position
        acknowledged["w0"] += 1
        found = FaultFindings()
        await audit_bank(url, acknowledged, found)
        return found

    with new_log() as url:
        found = asyncio.run(lose(with_options(url, standby="wait")))
    assert (found.lost, found.moved, found.duplicated, found.gaps, found.wrong_balances) == (2, 1, 0, 0, 0)
    assert "open-99 was acknowledged at position 3 and is not there" in found.examples
    assert found.unfinished == 0
    assert found.sagas == 2


@pytest.mark.parametrize("wrong", ["lost", "duplicated", "gaps", "moved", "wrong_balances", "unfinished", "strays"])
def test_any_finding_breaks_the_promises(wrong: str) -> None:
    assert FaultFindings().holds
    assert not FaultFindings(**{wrong: 1}).holds  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--url", "sqlite:///bank.db"], "is not the URL of one PostgreSQL server"),
        (["--url", "postgresql://db1,db2/bank"], "is not the URL of one PostgreSQL server"),
        (["--data", "nowhere.csv"], "there is no file nowhere.csv"),
        (["--data", __file__, "--url", "postgresql://db/bank"], "so it needs one of its own: leave out --url"),
    ],
)
def test_wrong_usage_is_answered_with_advice(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["prove", "postgresql", *arguments]) == 2
    assert message in capsys.readouterr().err
