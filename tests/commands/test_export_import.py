"""`actorium export` and `import`: files and pipes, and what happens when one breaks or the command is stopped."""

import asyncio
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest
from support.backups import fill
from support.command_line import output
from support.tables import run_on

NAMES_MEMORY = pytest.mark.about("memory", "it names it")
COMMANDS, EVENTS = 2_000, 2  # more bytes than a pipe holds


@pytest.fixture
def log(new_log_url: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Returns the URLs of logs by their names; one of them, bank, has events."""
    monkeypatch.chdir(tmp_path)
    asyncio.run(fill(new_log_url("bank"), 0, COMMANDS, EVENTS))
    return new_log_url


def actorium(*words: str) -> list[str]:
    return [sys.executable, "-m", "actorium", *words]


def test_a_log_goes_through_a_file(log: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = output(capsys, "export", log("bank"), "--out", "bank.jsonl")
    assert (code, out.splitlines()[-1]) == (0, "4,000 events exported")
    assert not Path("bank.jsonl.part").exists()
    code, out, _ = output(capsys, "import", "bank.jsonl", log("copy"), "--expect", "4000")
    assert (code, out) == (0, "4,000 events read, 4,000 written, 0 in the log already\n")
    code, out, err = output(capsys, "import", "bank.jsonl", log("copy"), "--expect", "5000", "--json", "-")
    assert code == 1
    assert '"written": 0' in out
    assert "the file holds 4,000 events, not 5,000" in " ".join(err.split())


def test_a_log_goes_through_a_pipe(log: Callable[[str], str]) -> None:
    words = actorium("export", log("bank"), "--stream", "Counter/c7", "--format", "cloudevents")
    exporting = subprocess.run(words, capture_output=True, check=True)
    words = actorium("import", "-", log("copy"))
    done = subprocess.run(words, input=exporting.stdout, capture_output=True, text=False, check=True)
    assert b"2 events read, 2 written" in done.stdout


def test_a_backup_goes_through_a_pipe_and_one_that_is_cut_off_is_refused(
    log: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    archive = subprocess.run(actorium("backup", log("bank"), "-"), capture_output=True, check=True)
    assert b"4,000 events backed up" in archive.stderr
    words = actorium("restore", "-", log("restored"))
    done = subprocess.run(words, input=archive.stdout, capture_output=True, check=True)
    assert b"4,000 events restored" in done.stdout
    for url in ("bank", "restored"):
        assert output(capsys, "export", log(url), "--out", f"{url}.jsonl")[0] == 0
    assert Path("bank.jsonl").read_bytes() == Path("restored.jsonl").read_bytes()
    words = actorium("restore", "-", log("other"))
    for size in (0, 5_000, 30_000):
        assert subprocess.run(words, input=archive.stdout[:size], capture_output=True).returncode in (1, 2)
    assert output(capsys, "export", log("other"))[0] == 2  # there is none


def test_a_reader_that_leaves_is_an_exit_code_without_a_traceback(log: Callable[[str], str]) -> None:
    with subprocess.Popen(actorium("export", log("bank")), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
        assert process.wait(60) == 1
    assert b"the reader of standard output has left" in b" ".join(said.split())
    assert b"Traceback" not in said


def test_a_full_disk_leaves_no_file(log: Callable[[str], str]) -> None:
    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    words = actorium("export", log("bank"), "--out", "bank.jsonl")
    done = subprocess.run(words, capture_output=True, text=True, preexec_fn=limited)
    assert done.returncode == 1
    assert "nothing was exported" in " ".join(done.stderr.split())
    assert [path.name for path in Path().glob("*.jsonl*")] == []


def test_an_import_is_interrupted_and_continued(log: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    assert output(capsys, "export", log("bank"), "--out", "bank.jsonl")[0] == 0
    text = Path("bank.jsonl").read_bytes()
    words = actorium("import", "-", log("copy"))
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(text[: len(text) * 3 // 4])
        process.stdin.flush()
        while not _holds_events(log("copy")):
            assert process.poll() is None
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGINT)
        process.stdin.close()
        said = process.stderr.read()
        assert process.wait(60) == 130
    assert b"run the command again to continue" in b" ".join(said.split())
    code, out, _ = output(capsys, "import", "bank.jsonl", log("copy"))
    assert code == 0
    assert " written, 0 in" not in out
    assert output(capsys, "export", log("copy"), "--out", "copy.jsonl")[0] == 0
    assert Path("copy.jsonl").read_bytes() == text


def _holds_events(url: str) -> bool:
    try:
        return asyncio.run(run_on(url, "SELECT count(*) FROM events")) > [(0,)]
    except (sqlite3.OperationalError, asyncpg.UndefinedTableError):
        return False  # not yet


def test_an_import_from_the_future_is_told(log: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    assert output(capsys, "export", log("bank"), "--to-position", "2", "--out", "two.jsonl")[0] == 0
    assert "later than this machine's clock" not in output(capsys, "import", "two.jsonl", log("now"))[2]
    lines = [json.loads(line) for line in Path("two.jsonl").read_text().splitlines()]
    lines = [{**line, "time": "9999-01-01T00:00:00Z"} for line in lines]
    Path("two.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    code, _, err = output(capsys, "import", "two.jsonl", log("later"))
    assert code == 0
    assert "the log now ends at 9999-01-01T00:00:00+00:00, which is later than" in " ".join(err.split())


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["export", "LOG nothing"], 2, "there is no log"),
        pytest.param(["export", "memory://"], 2, "no other process can read", marks=NAMES_MEMORY),
        (["export", "LOG bank", "--stream", "c1"], 2, "write <stream type>/<stream id>"),
        (["export", "LOG bank", "--out", "no/such/place"], 2, "cannot write to"),
        (["export", "LOG bank", "--from-position", "0"], 2, "the first position is 1"),
        (["export", "LOG bank", "--from-position", "9", "--to-position", "8"], 2, "comes before"),
        (["export", "LOG bank", "--format", "cloudevents", "--source", ""], 2, "--source is empty"),
        (["export", "LOG bank", "--out", "x" * 252], 1, "File name too long; nothing was exported"),
        pytest.param(
            ["import", "wrong.jsonl", "memory://"], 2, "nothing would be left of the import", marks=NAMES_MEMORY
        ),
        pytest.param(
            ["restore", "backup", "memory://"], 2, "nothing would be left of the restored log", marks=NAMES_MEMORY
        ),
        (["import", "nothing.jsonl", "LOG copy"], 2, "there is no file"),
        (["import", "wrong.jsonl", "LOG copy"], 1, "wrong.jsonl, line 2"),
    ],
)
def test_what_cannot_be_done_is_explained(
    log: Callable[[str], str], words: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("wrong.jsonl").write_text("\nnothing\n")
    if "backup" in words:
        assert output(capsys, "backup", log("bank"), "backup")[0] == 0
    words = [log(word.removeprefix("LOG ")) if word.startswith("LOG ") else word for word in words]
    found, _, err = output(capsys, *words)
    assert (found, message in " ".join(err.split())) == (code, True), err
