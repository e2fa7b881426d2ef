"""What the command line says about personal data: `check`, `what-if`, and the backup of a log."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest
from support.command_line import output
from support.customers import Register, Rename
from support.customers_app import runtime as shop

from actorium.errors import ConfigurationError
from actorium.personal import SQLiteKeys, personal

APP = "support.customers_app:runtime"


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The log of a shop that has forgotten Ada; a copy of the keys from before is beside it."""
    path = tmp_path / "shop.db"
    monkeypatch.setenv("SHOP_LOG", f"sqlite:///{path}")

    async def write() -> None:
        async with shop() as runtime:
            for customer, name in (("ada", "Ada Lovelace"), ("bob", "Bob Stone")):
                await runtime.send(Register(customer, personal(name)))
                await runtime.send(Rename(customer, personal(f" {name} I. ")))
            shutil.copy(f"{path}.keys", tmp_path / "old.keys")
            await runtime.forget("ada")

    asyncio.run(write())
    return path


def test_check_proves_that_forgotten_subjects_are_forgotten(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert output(capsys, "check", APP, "--deep")[0] == 0
    shutil.copy(log.parent / "old.keys", f"{log}.keys")  # somebody restored the keys
    code, out, err = output(capsys, "check", APP)
    assert code == 1
    assert f"'ada' was forgotten, but its key is back in keys in {log}.keys: forget it again" in out
    assert "1 forgotten subject can still be read" in err
    code, out, _ = output(capsys, "check", APP, "--json", "-")
    assert (code, len(json.loads(out)["not_forgotten"])) == (1, 1)

    async def forget_again() -> None:
        async with shop() as runtime:
            await runtime.forget("ada")

    asyncio.run(forget_again())
    assert output(capsys, "check", APP)[0] == 0


def test_what_if_reads_values_and_makes_no_keys(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = Path(f"{log}.keys").read_bytes()
    code, out, _ = output(capsys, "what-if", APP, "--app", APP, "--json", "-")
    assert (code, json.loads(out)["counts"]) == (0, {})
    code, out, _ = output(capsys, "what-if", APP, "--leave-out", "Customer/bob/2")
    assert code == 1
    assert "Bob" not in out
    assert Path(f"{log}.keys").read_bytes() == before


def test_an_application_without_its_keys_does_not_start(log: Path) -> None:
    Path(f"{log}.keys").unlink()

    async def start() -> None:
        async with shop():
            raise AssertionError("it started")

    with pytest.raises(
        ConfigurationError, match=r"personal data in (Registered|Renamed|LetterWritten), but there are no keys in"
    ):
        asyncio.run(start())
    SQLiteKeys(f"{log}.keys").prepare()

    async def run() -> None:
        async with shop() as runtime:
            await runtime.send(Register("eve", personal("Eve")))

    asyncio.run(run())
