"""`actorium impact`: what some events of a log touched."""

import asyncio
import json
from pathlib import Path

import pytest
from support.command_line import output
from support.correcting import bank, open_account, transfer


def test_the_command_reports_what_was_touched(log_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def write() -> None:
        async with bank(log_url) as runtime:
            await open_account(runtime, "a", 1_000)
            await open_account(runtime, "b", 1_000)
            await transfer(runtime, "t-1", "a", "b", 300)

    asyncio.run(write())
    capsys.readouterr()
    app = "support.correcting_app:runtime"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BANK_LOG", log_url)
        html = tmp_path / "impact.html"
        code, out, err = output(
            capsys, "impact", app, "--event", "bank.transfer/t-1/1", "--json", "-", "--html", str(html)
        )
        assert code == 0, err
        assert json.loads(out)["counts"]["sagas"] == 1
        assert "caused events" in err
        assert html.read_text(encoding="utf-8").startswith("<!doctype html>")
        assert output(capsys, "impact", app)[0] == 2
        assert output(capsys, "impact", "--event", "bank.transfer/t-1/1")[0] == 2
        assert output(capsys, "impact", app, "--at", "bank.db", "--event", "bank.transfer/t-1/1")[0] == 2
        assert output(capsys, "impact", "--at", "bank.db", "--html", str(html), "--event", "a/b/1")[0] == 2
        assert output(capsys, "impact", app, "--stream", "a")[0] == 2
        assert output(capsys, "impact", app, "--header", "a")[0] == 2
        assert output(capsys, "impact", app, "--where", "a")[0] == 2
        code, out, _ = output(
            capsys, "impact", app, "--stream", "bank.account/a", "--where", "support.correcting_app:is_first"
        )
        assert code == 0
        assert "1  selected events" in out
