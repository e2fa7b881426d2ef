"""`actorium backup`, `restore` and `drill`: beside a running application, and when something is in the way."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.backups import fill as fill_log
from support.backups import require_same_start
from support.children import Child
from support.command_line import output
from support.postgres import new_log
from support.runs_on import ON_SQLITE
from support.troubled_disks import fill, small_disk

from actorium.backup import BackupFolder

ROUNDS = 3
Logs = Callable[[str], str]


@pytest.fixture(params=[ON_SQLITE, "postgresql"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a new log."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/log.db"
        return
    with new_log() as url:
        yield url


@pytest.fixture
def logs(new_log_url: Logs) -> Logs:
    """Returns the URLs of logs by their names."""
    return new_log_url


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("here")
def test_backups_beside_an_application_under_load_are_the_log(
    log: str, logs: Logs, capsys: pytest.CaptureFixture[str]
) -> None:
    child = Child(log, 0)
    ends = [0]
    highest = 0
    try:
        for n in range(ROUNDS):
            while highest <= ends[-1]:
                child.run_until_acknowledged(len(child.acks) + 100)
                highest = max(position for _, position in child.acks.values())
            code, out, err = output(capsys, "backup", log, "backup")
            assert code == 0, err
            ends.append(BackupFolder("backup").read().end)
            assert f"backup holds {ends[-1]:,} events" in out
            assert ends[-1] >= highest  # every event that was acknowledged before
            assert output(capsys, "restore", "backup", logs(f"restored {n}"))[0] == 0
            asyncio.run(require_same_start(log, logs(f"restored {n}"), ends[-1]))
        code, out, err = output(capsys, "drill", "backup", "--live", log, "--json", "report.json")
        assert code == 0, err
        assert "restored, and every one can be read" in out
    finally:
        child.end(signal.SIGKILL)
    assert ends == sorted(set(ends))
    report = json.loads(Path("report.json").read_text(encoding="utf-8"))
    assert (report["events"], report["problems"]) == (ends[-1], [])
    assert report["live_log_ahead"] >= 0
    assert report["chain"] == BackupFolder("backup").read().chain


@pytest.mark.usefixtures("shop")
def test_a_drill_finds_what_the_application_cannot_read(orders: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert output(capsys, "backup", orders, "backup")[0] == 0
    code, out, err = output(capsys, "drill", "backup", "--app", "shop_app:one", "--live", orders)
    assert (code, err) == (0, "")
    assert "the live log holds the same events, and 0 more events" in out
    assert output(capsys, "drill", "backup", "--app", "shop_app:three")[0] == 0
    asyncio.run(fill_log(orders, 0, 1))
    assert output(capsys, "backup", orders, "backup")[0] == 0
    code, out, err = output(capsys, "drill", "backup", "--app", "shop_app:one")
    assert code == 1
    assert "Counted (schema version 1" in out
    assert "1 problem in the restored log" in err


@pytest.mark.usefixtures("here")
def test_a_drill_finds_another_live_log(logs: Logs, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(fill_log(logs("log"), 0, 3))
    asyncio.run(fill_log(logs("other"), 1, 3))
    assert output(capsys, "backup", logs("log"), "backup")[0] == 0
    code, out, err = output(capsys, "drill", "backup", "--live", logs("other"))
    assert code == 1
    assert "differs from" in out
    code, _, err = output(capsys, "drill", "backup", "--live", logs("nowhere"))
    assert (code, "there is no log" in err) == (2, True)


@pytest.mark.usefixtures("here")
def test_a_damaged_backup_is_not_restored(logs: Logs, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(fill_log(logs("log"), 0, 3))
    assert output(capsys, "backup", logs("log"), "backup")[0] == 0
    [segment] = Path("backup").glob("events-*")
    segment.write_bytes(segment.read_bytes()[:-1])
    for command in (["restore", "backup", logs("restored")], ["drill", "backup"]):
        code, _, err = output(capsys, *command)
        assert code == 1
        assert "is damaged: its content does not match its hash; it holds the events 1 to 9" in err
    assert output(capsys, "export", logs("restored"))[0] == 2  # there is none


@pytest.mark.about("memory", "it names it")
@pytest.mark.usefixtures("here")
def test_wrong_usage_ends_with_2_and_advice(logs: Logs, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(fill_log(logs("log"), 0, 3))
    assert output(capsys, "backup", logs("log"), "backup")[0] == 0
    for command, message in [
        (["backup", logs("nowhere"), "b"], "there is no log"),
        (["backup", "memory://", "b"], "no other process can read the log"),
        (["restore", "nowhere", logs("restored")], "there is no backup in nowhere"),
        (["restore", "backup", logs("log")], "is not empty: name a new log for the restore"),
        (["restore", "backup", logs("restored"), "--to-position", "10"], "position 10 is not in the backup"),
        (
            ["restore", "backup", logs("restored"), "--to-position", "1", "--to-time", "2026-11-30"],
            "--to-position and --to-time cannot be combined",
        ),
    ]:
        code, _, err = output(capsys, *command)
        assert (code, message in err) == (2, True), err
    assert output(capsys, "export", logs("restored"))[0] == 2  # there is none


@pytest.mark.usefixtures("here")
def test_a_time_has_an_offset_or_is_utc(logs: Logs, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(fill_log(logs("log"), 0, 300))  # 300 events each at 00:00:00, 00:01:40 and 00:03:20
    assert output(capsys, "backup", logs("log"), "backup")[0] == 0
    for n, time in enumerate(["1970-01-01T00:01:40", "1970-01-01T01:01:40+01:00", "1970-01-01T00:03:19"]):
        code, out, err = output(capsys, "restore", "backup", logs(str(n)), "--to-time", time)
        assert code == 0, err
        assert "600 events restored" in out


@pytest.mark.usefixtures("here")
def test_a_full_disk_leaves_the_backup_as_it_was(
    logs: Logs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(fill_log(logs("log"), 0, 100))
    with small_disk(tmp_path / "disk") as disk:
        filler = fill(disk, free_bytes=0)
        code, _, err = output(capsys, "backup", logs("log"), str(disk / "backup"))
        assert (code, "No space left on device; there is no backup yet" in err) == (1, True), err
        filler.unlink()
        assert output(capsys, "backup", logs("log"), str(disk / "backup"))[0] == 0
        asyncio.run(fill_log(logs("log"), 100, 5_000))
        filler = fill(disk, free_bytes=8_192)
        code, _, err = output(capsys, "backup", logs("log"), str(disk / "backup"))
        assert (code, "No space left on device; the backup holds 300 events" in err) == (1, True), err
        assert output(capsys, "drill", str(disk / "backup"), "--live", logs("log"))[0] == 0
        filler.unlink()
        assert output(capsys, "backup", logs("log"), str(disk / "backup"))[0] == 0
        assert BackupFolder(disk / "backup").read().end == 15_300


@pytest.mark.usefixtures("here")
def test_ctrl_c_leaves_the_backup_as_it_was(logs: Logs, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(fill_log(logs("log"), 0, 100))
    assert output(capsys, "backup", logs("log"), "backup")[0] == 0
    asyncio.run(fill_log(logs("log"), 100, 20_000))
    command = [sys.executable, "-m", "actorium", "backup", logs("log"), "backup"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "backing up: " in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        err = process.stderr.read()
    assert process.returncode == 130, err
    assert "interrupted: the backup holds 300 events; run the command again to continue" in err
    assert "Traceback" not in err
    assert not [*Path("backup").glob("*.part")]
    assert output(capsys, "drill", "backup", "--live", logs("log"))[0] == 0
    assert output(capsys, "backup", logs("log"), "backup")[0] == 0
    assert BackupFolder("backup").read().end == 60_300
