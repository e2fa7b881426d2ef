"""The bank's commands: the demo with its kill, the import, and their error messages."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import structlog

from actorium import Runtime
from actorium.examples.bank.commands import run
from actorium.examples.bank.domain import Account
from actorium.examples.bank.generate import generate
from actorium.examples.bank.transactions import COLUMNS
from actorium.store.sqlite import SQLiteStore
from actorium_cli import run as run_actorium

pytestmark = pytest.mark.about("sqlite", "the commands of the bank have their log in a file")

BANK = [sys.executable, "-m", "actorium.examples.bank"]
GO_ON = "python -m actorium.examples.bank"


def bank(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*BANK, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200"},
    )


def number(pattern: str, text: str) -> int:
    """The first number that a pattern finds."""
    match = re.search(pattern, text)
    assert match is not None, text
    return int(match[1].replace(",", ""))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("set") / "transactions.csv"
    generate(path, rows=400)
    return path


def test_the_demo_is_killed_half_way_and_recovers_everything(tmp_path: Path) -> None:
    db = tmp_path / "bank.db"
    done = bank("demo", "--rows", 600, "--seed", 5, "--db", db)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    acknowledged = number(r"acknowledged before the kill: ([\d,]+) transactions", done.stdout)
    assert acknowledged == 300
    assert "was killed by SIGKILL" in done.stdout
    assert f"recovered: {acknowledged} of {acknowledged} acknowledged transactions" in done.stdout
    new = number(r"([\d,]+) new", done.stdout)
    assert new <= 300
    assert new + number(r"([\d,]+) already in the log", done.stdout) == 600
    assert "synchronous=FULL" in done.stdout
    assert "18 of 18 balances equal the exact sum" in done.stdout
    assert done.stdout.splitlines()[-1] == "all 300 acknowledged transactions recovered, 0 lost, 0 duplicated"
    assert db.exists()


def test_the_demo_takes_a_file_and_keeps_the_log_where_asked(file: Path) -> None:
    before = file.read_bytes()
    done = bank("demo", "--data", file, "--keep")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all 200 acknowledged transactions recovered, 0 lost, 0 duplicated" in done.stdout
    assert file.read_bytes() == before
    kept = Path(re.findall(r"kept: (.+)", done.stdout)[0])
    again = bank("import", file, "--db", kept / "bank.db")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "as before: nothing changed" in again.stdout
    for name in kept.iterdir():
        name.unlink()
    kept.rmdir()


def test_a_repeated_import_changes_nothing(file: Path, tmp_path: Path) -> None:
    first = bank("import", file, "--db", tmp_path / "bank.db")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "400 new, 0 already in the log, 0 bad; 12 accounts opened" in first.stdout
    assert "12 of 12 balances equal the exact sum" in first.stdout
    second = bank("import", file, "--db", tmp_path / "bank.db")
    assert second.returncode == 0, second.stdout + second.stderr
    assert "0 new, 400 already in the log" in second.stdout
    assert "ends at position 412, as before: nothing changed" in second.stdout


def test_bad_rows_are_skipped_or_stop_the_import(file: Path, tmp_path: Path) -> None:
    lines = file.read_text().splitlines()
    lines[100] = "nonsense"
    damaged = tmp_path / "damaged.csv"
    damaged.write_text("\n".join(lines))
    db = tmp_path / "bank.db"
    stopped = bank("import", damaged, "--db", db, "--on-bad-row", "stop")
    assert stopped.returncode == 1
    assert "line 101: 1 columns instead of 10" in stopped.stderr
    assert f"99 transactions of {damaged} are safely in the log" in stopped.stderr
    assert f"continue with: {GO_ON} import {damaged} --db {db} --on-bad-row stop" in stopped.stderr
    skipped = bank("import", damaged, "--db", db)
    assert skipped.returncode == 0, skipped.stderr
    assert "line 101: 1 columns instead of 10" in skipped.stderr
    assert "300 new, 99 already in the log, 1 bad" in skipped.stdout
    assert "12 accounts with bad rows are not compared" in skipped.stdout


def test_a_log_with_other_transactions_does_not_pass_the_check(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    lines = file.read_text().splitlines()
    one_more = lines[-1].split(",")
    one_more[0], one_more[6] = "99999999", "0.01"
    other.write_text("\n".join([*lines, ",".join(one_more)]))
    assert bank("import", other, "--db", tmp_path / "bank.db").returncode == 0
    done = bank("import", file, "--db", tmp_path / "bank.db")
    assert done.returncode == 1
    assert "11 of 12 balances equal the exact sum" in done.stdout
    assert "does the log contain transactions of another file?" in done.stderr


def test_a_file_with_inconsistent_balances_does_not_pass_the_check(file: Path, tmp_path: Path) -> None:
    lines = file.read_text().splitlines()
    last = lines[-1].split(",")
    last[7] = "999999.00"
    falsified = tmp_path / "falsified.csv"
    falsified.write_text("\n".join([*lines[:-1], ",".join(last)]))
    done = bank("import", falsified, "--db", tmp_path / "bank.db")
    assert done.returncode == 1
    assert "12 of 12 balances equal the exact sum" in done.stdout
    assert f"account {last[1]}:" in done.stderr
    assert "the bank printed 999999.00" in done.stderr


def test_ctrl_c_ends_an_import_gracefully(tmp_path: Path) -> None:
    file, db = tmp_path / "transactions.csv", tmp_path / "bank.db"
    generate(file, rows=8_000)
    command = [*BANK, "import", str(file), "--db", str(db)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            if "importing: 2,000 of 8,000" in line:
                break
        process.send_signal(signal.SIGINT)
        out, err = process.stdout.read(), process.stderr.read()
    assert process.returncode == 130, out + err
    settled = number(r"stopped by Ctrl-C\. ([\d,]+) transactions", err)
    assert 2_000 <= settled < 8_000
    assert f"continue with: {GO_ON} import {file} --db {db}" in err
    assert "Traceback" not in err
    rest = bank("import", file, "--db", db)
    assert rest.returncode == 0, rest.stderr
    assert number(r"([\d,]+) already in the log", rest.stdout) == settled


def test_ctrl_c_promises_nothing_about_a_temporary_log() -> None:
    command = [*BANK, "demo", "--rows", "8000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        is_restarted = False
        for line in process.stdout:
            is_restarted |= "Continue where the log ends" in line
            if is_restarted and "importing: " in line:
                break
        process.send_signal(signal.SIGINT)
        out, err = process.stdout.read(), process.stderr.read()
    assert process.returncode == 130, out + err
    assert "were in the log, which was temporary and has been removed;" in err
    assert f"continue with: {GO_ON} demo, from the beginning" in err


@pytest.mark.asyncio
async def test_a_log_in_use_is_left_alone_and_its_user_is_named(file: Path, tmp_path: Path) -> None:
    db = tmp_path / "bank.db"
    async with Runtime([Account], store=SQLiteStore(db)) as runtime:
        done = await asyncio.to_thread(bank, "import", file, "--db", db)
        assert runtime.statistics().position == 0
    assert done.returncode == 1
    assert f"{db} is in use by process {os.getpid()}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def in_process() -> Iterator[Callable[[Sequence[object]], int]]:
    """Runs a command line in this process, and restores structlog's configuration."""
    yield lambda arguments: run([str(argument) for argument in arguments])
    structlog.reset_defaults()


def test_an_error_is_reported_in_one_line(
    file: Path, tmp_path: Path, in_process: Callable[[Sequence[object]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.db"
    broken.write_text("this is not a database, and it is long enough to be taken for one" * 20)
    header = tmp_path / "header.csv"
    header.write_text("id,amount\n")
    empty = tmp_path / "empty.csv"
    empty.write_text(",".join(COLUMNS) + "\n")
    db = tmp_path / "bank.db"
    for arguments, message in [
        (["import", tmp_path / "none.csv", "--db", db], f"there is no file {tmp_path / 'none.csv'}"),
        (["import", tmp_path, "--db", db], f"{tmp_path} is a directory, not a file of transactions"),
        (["import", header, "--db", db], f"{header} is not a transactions file: its first line is 'id,amount'"),
        (["import", file, "--db", tmp_path / "none" / "bank.db"], f"there is no directory {tmp_path / 'none'}"),
        (["import", file, "--db", tmp_path], f"{tmp_path} is a directory: name a file for the log"),
        (["import", file, "--db", broken], f"cannot open {broken}: file is not a database"),
        (["import", file, "--db", "/proc/bank.db"], "cannot write to /proc"),
        (["demo", "--data", header], f"{header} is not a transactions file"),
        (["demo", "--data", empty], f"{empty} has 0 rows: too few to stop halfway"),
        (["demo", "--data", file, "--rows", 10], "--rows and --seed describe generated transactions"),
        (["demo", "--db", broken], f"{broken} already exists"),
    ]:
        # The store finds out that a file is not a database when it opens it.
        assert in_process(arguments) == (1 if "is not a database" in message else 2)
        assert message in capsys.readouterr().err
        assert not db.exists()


def test_without_the_extra_the_bank_says_what_to_install() -> None:
    start = "runpy.run_module('actorium.examples.bank', run_name='__main__')"
    code = f"import runpy, sys; sys.modules['cyclopts'] = None; {start}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.strip().endswith("pip install 'actorium[cli]'")
    assert "Traceback" not in done.stderr


def test_the_demo_is_a_command_of_actorium_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_actorium(["demo", "--rows", "20"]) == 0
    assert "all 10 acknowledged transactions recovered, 0 lost, 0 duplicated" in capsys.readouterr().out
