"""What the command line says about personal data: `check`, `what-if`, and the backup of a log."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.command_line import output
from support.customers import Register, Rename
from support.customers_app import runtime as shop
from support.postgres import schema_of
from support.tables import run_on

from actorium.errors import ConfigurationError
from actorium.personal import SQLiteKeys, personal

APP = "support.customers_app:runtime"


def keys_beside(log: str) -> Path:
    """Return the file of the keys of a log in a file."""
    return Path(f"{log.removeprefix('sqlite:///')}.keys")


async def keys_of(log: str) -> list[tuple[Any, ...]]:
    """Return the rows of the keys, past the key store."""
    if log.startswith("sqlite"):
        return await run_on(f"sqlite:///{keys_beside(log)}", "SELECT * FROM keys ORDER BY id")
    return await run_on(log, f'SELECT * FROM "{schema_of(log)}_keys".keys ORDER BY id')


@pytest.fixture
def log(log_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The log of a shop that has forgotten Ada; for a file, a copy of the keys from before is in the directory."""
    monkeypatch.setenv("SHOP_LOG", log_url)

    async def write() -> None:
        async with shop() as runtime:
            for customer, name in (("ada", "Ada Lovelace"), ("bob", "Bob Stone")):
                await runtime.send(Register(customer, personal(name)))
                await runtime.send(Rename(customer, personal(f" {name} I. ")))
            if log_url.startswith("sqlite"):
                shutil.copy(keys_beside(log_url), tmp_path / "old.keys")
            await runtime.forget("ada")

    asyncio.run(write())
    return log_url


@pytest.mark.about("sqlite", "it copies the file of the keys")
def test_check_proves_that_forgotten_subjects_are_forgotten(
    log: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert output(capsys, "check", APP, "--deep")[0] == 0
    shutil.copy(tmp_path / "old.keys", keys_beside(log))  # somebody restored the keys
    code, out, err = output(capsys, "check", APP)
    assert code == 1
    assert f"'ada' was forgotten, but its key is back in keys in {keys_beside(log)}: forget it again" in out
    assert "1 forgotten subject can still be read" in err
    code, out, _ = output(capsys, "check", APP, "--json", "-")
    assert (code, len(json.loads(out)["not_forgotten"])) == (1, 1)

    async def forget_again() -> None:
        async with shop() as runtime:
            await runtime.forget("ada")

    asyncio.run(forget_again())
    assert output(capsys, "check", APP)[0] == 0


def test_what_if_reads_values_and_makes_no_keys(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = asyncio.run(keys_of(log))
    code, out, _ = output(capsys, "what-if", APP, "--app", APP, "--json", "-")
    assert (code, json.loads(out)["counts"]) == (0, {})
    code, out, _ = output(capsys, "what-if", APP, "--leave-out", "Customer/bob/2")
    assert code == 1
    assert "Bob" not in out
    assert asyncio.run(keys_of(log)) == before


@pytest.mark.about("sqlite", "it removes the file of the keys")
def test_an_application_without_its_keys_does_not_start(log: str) -> None:
    keys_beside(log).unlink()

    async def start() -> None:
        async with shop():
            raise AssertionError("it started")

    with pytest.raises(
        ConfigurationError, match=r"personal data in (Registered|Renamed|LetterWritten), but there are no keys in"
    ):
        asyncio.run(start())
    SQLiteKeys(keys_beside(log)).prepare()

    async def run() -> None:
        async with shop() as runtime:
            await runtime.send(Register("eve", personal("Eve")))

    asyncio.run(run())
