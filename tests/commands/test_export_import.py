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
from contextlib import closing
from pathlib import Path

import pytest
from support.backups import fill
from support.command_line import output

COMMANDS, EVENTS = 2_000, 2  # more bytes than a pipe holds


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log, bank.db, in the current directory."""
    monkeypatch.chdir(tmp_path)
    asyncio.run(fill("sqlite:///bank.db", 0, COMMANDS, EVENTS))


def actorium(*words: str) -> list[str]:
    return [sys.executable, "-m", "actorium", *words]


def test_a_log_goes_through_a_file(log: None, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = output(capsys, "export", "sqlite:///bank.db", "--out", "bank.jsonl")
    assert (code, out.splitlines()[-1]) == (0, "4,000 events exported")
    assert not Path("bank.jsonl.part").exists()
    code, out, _ = output(capsys, "import", "bank.jsonl", "sqlite:///copy.db", "--expect", "4000")
    assert (code, out) == (0, "4,000 events read, 4,000 written, 0 in the log already\n")
    code, out, err = output(capsys, "import", "bank.jsonl", "sqlite:///copy.db", "--expect", "5000", "--json", "-")
    assert code == 1
    assert '"written": 0' in out
    assert "the file holds 4,000 events, not 5,000" in " ".join(err.split())


def test_a_log_goes_through_a_pipe(log: None) -> None:
    words = actorium("export", "sqlite:///bank.db", "--stream", "Counter/c7", "--format", "cloudevents")
    exporting = subprocess.run(words, capture_output=True, check=True)
    words = actorium("import", "-", "sqlite:///copy.db")
    done = subprocess.run(words, input=exporting.stdout, capture_output=True, text=False, check=True)
    assert b"2 events read, 2 written" in done.stdout


def test_a_backup_goes_through_a_pipe_and_one_that_is_cut_off_is_refused(
    log: None, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = subprocess.run(actorium("backup", "sqlite:///bank.db", "-"), capture_output=True, check=True)
    assert b"4,000 events backed up" in archive.stderr
    words = actorium("restore", "-", "sqlite:///restored.db")
    done = subprocess.run(words, input=archive.stdout, capture_output=True, check=True)
    assert b"4,000 events restored" in done.stdout
    for url in ("bank", "restored"):
        assert output(capsys, "export", f"sqlite:///{url}.db", "--out", f"{url}.jsonl")[0] == 0
    assert Path("bank.jsonl").read_bytes() == Path("restored.jsonl").read_bytes()
    words = actorium("restore", "-", "sqlite:///other.db")
    for size in (0, 5_000, 30_000):
        assert subprocess.run(words, input=archive.stdout[:size], capture_output=True).returncode in (1, 2)
    assert not Path("other.db").exists()


def test_a_reader_that_leaves_is_an_exit_code_without_a_traceback(log: None) -> None:
    with subprocess.Popen(
        actorium("export", "sqlite:///bank.db"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
        assert process.wait(60) == 1
    assert b"the reader of standard output has left" in b" ".join(said.split())
    assert b"Traceback" not in said


def test_a_full_disk_leaves_no_file(log: None) -> None:
    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    words = actorium("export", "sqlite:///bank.db", "--out", "bank.jsonl")
    done = subprocess.run(words, capture_output=True, text=True, preexec_fn=limited)
    assert done.returncode == 1
    assert "nothing was exported" in " ".join(done.stderr.split())
    assert [path.name for path in Path().glob("*.jsonl*")] == []


def test_an_import_is_interrupted_and_continued(log: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert output(capsys, "export", "sqlite:///bank.db", "--out", "bank.jsonl")[0] == 0
    text = Path("bank.jsonl").read_bytes()
    words = actorium("import", "-", "sqlite:///copy.db")
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(text[: len(text) * 3 // 4])
        process.stdin.flush()
        while not _holds_events(tmp_path / "copy.db"):
            assert process.poll() is None
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGINT)
        process.stdin.close()
        said = process.stderr.read()
        assert process.wait(60) == 130
    assert b"run the command again to continue" in b" ".join(said.split())
    code, out, _ = output(capsys, "import", "bank.jsonl", "sqlite:///copy.db")
    assert code == 0
    assert " written, 0 in" not in out
    assert output(capsys, "export", "sqlite:///copy.db", "--out", "copy.jsonl")[0] == 0
    assert Path("copy.jsonl").read_bytes() == text


def _holds_events(db: Path) -> bool:
    try:
        with closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as connection:
            return bool(connection.execute("SELECT count(*) FROM events").fetchone()[0])
    except sqlite3.OperationalError:
        return False  # not yet


def test_an_import_from_the_future_is_told(log: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert output(capsys, "export", "sqlite:///bank.db", "--to-position", "2", "--out", "two.jsonl")[0] == 0
    assert "later than this machine's clock" not in output(capsys, "import", "two.jsonl", "sqlite:///now.db")[2]
    lines = [json.loads(line) for line in Path("two.jsonl").read_text().splitlines()]
    lines = [{**line, "time": "9999-01-01T00:00:00Z"} for line in lines]
    Path("two.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    code, _, err = output(capsys, "import", "two.jsonl", "sqlite:///later.db")
    assert code == 0
    assert "the log now ends at 9999-01-01T00:00:00+00:00, which is later than" in " ".join(err.split())


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["export", "sqlite:///nothing.db"], 2, "there is no log"),
        (["export", "memory://"], 2, "no other process can read"),
        (["export", "sqlite:///bank.db", "--stream", "c1"], 2, "write <stream type>/<stream id>"),
        (["export", "sqlite:///bank.db", "--out", "no/such/place"], 2, "cannot write to"),
        (["export", "sqlite:///bank.db", "--from-position", "0"], 2, "the first position is 1"),
        (["export", "sqlite:///bank.db", "--from-position", "9", "--to-position", "8"], 2, "comes before"),
        (["export", "sqlite:///bank.db", "--format", "cloudevents", "--source", ""], 2, "--source is empty"),
        (["export", "sqlite:///bank.db", "--out", "x" * 252], 1, "File name too long; nothing was exported"),
        (["import", "wrong.jsonl", "memory://"], 2, "nothing would be left of the import"),
        (["restore", "backup", "memory://"], 2, "nothing would be left of the restored log"),
        (["import", "nothing.jsonl", "sqlite:///copy.db"], 2, "there is no file"),
        (["import", "wrong.jsonl", "sqlite:///copy.db"], 1, "wrong.jsonl, line 2"),
    ],
)
def test_what_cannot_be_done_is_explained(
    log: None, words: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("wrong.jsonl").write_text("\nnothing\n")
    if "backup" in words:
        assert output(capsys, "backup", "sqlite:///bank.db", "backup")[0] == 0
    found, _, err = output(capsys, *words)
    assert (found, message in " ".join(err.split())) == (code, True), err
