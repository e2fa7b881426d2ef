"""`actorium bench`: its options, its output, and its advice on wrong usage."""

import runpy
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from support.reports import ENVIRONMENT, report, result, save

from actorium.benchmarks.report import load
from actorium_cli import run


def bench(*arguments: str) -> int:
    return run(["bench", *arguments])


def said(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    captured = capsys.readouterr()
    return " ".join(captured.out.split()), " ".join(captured.err.split())


def test_list_prints_the_scenarios(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench("--list") == 0
    out, _ = said(capsys)
    assert "one-caller actorium memory full normal postgresql What rate does one caller that waits" in out
    assert "pykka pykka memory" in out


def test_a_measurement_writes_a_report_a_page_and_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [tmp_path / name for name in ("report.json", "report.html", "report.md")]
    options = [
        word
        for option, file in zip(("--json", "--html", "--markdown"), files, strict=True)
        for word in (option, str(file))
    ]
    assert bench("--quick", "--only", "flush", "--rounds", "1", *options) == 0
    assert len(load(files[0]).results[0].runs) == 1
    assert "<h1>" in files[1].read_text(encoding="utf-8")
    assert "| flush | SQLite FULL |" in files[2].read_text(encoding="utf-8")
    assert "flush full" in said(capsys)[0]


def test_a_report_on_standard_output_is_the_only_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(report(result([100])), tmp_path / "report.json")
    assert bench("--show", str(tmp_path / "report.json"), "--json", "-") == 0
    out, err = capsys.readouterr()
    (tmp_path / "again.json").write_text(out, encoding="utf-8")
    assert load(tmp_path / "again.json") == load(tmp_path / "report.json")
    assert "100-callers full 100 commands/s" in " ".join(err.split())


def test_a_report_is_shown_and_compared_without_measuring(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(report(result([100, 101, 102])), tmp_path / "old.json")
    save(report(result([200, 201, 202])), tmp_path / "new.json")
    assert bench("--show", str(tmp_path / "new.json"), "--compare", str(tmp_path / "old.json")) == 0
    assert "100-callers full 101 commands/s 201 commands/s 1.99 faster 1 faster and 0 slower of 1" in said(capsys)[0]


def test_a_wrong_figure_ends_it_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(report(result([100], failures=["5 events were acknowledged: 1 are lost"])), tmp_path / "wrong.json")
    assert bench("--show", str(tmp_path / "wrong.json")) == 1
    out, err = said(capsys)
    assert "WRONG 100-callers on full: 5 events were acknowledged: 1 are lost" in out
    assert "its figures do not count" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stopped_by_a_signal_it_ends_with_130(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(job: object, folder: Path) -> None:
        signal.raise_signal(number)

    monkeypatch.setattr("actorium.benchmarks.suite.run_job", measure)
    assert bench("--only", "flush", "--json", str(tmp_path / "report.json")) == 130
    assert load(tmp_path / "report.json").interrupted


def test_a_report_that_cannot_be_written_is_still_on_the_screen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(report(result([100])), tmp_path / "report.json")
    full, other = Path("/dev/full"), tmp_path / "report.md"
    if not full.exists():
        pytest.skip("this system has no full device")
    assert bench("--show", str(tmp_path / "report.json"), "--json", str(full), "--markdown", str(other)) == 1
    out, err = said(capsys)
    assert "100-callers full 100 commands/s" in out
    assert "cannot write /dev/full: No space left on device" in err
    assert "100-callers" in other.read_text(encoding="utf-8")


def test_the_comparison_with_alternatives_is_printed_last(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    peer = result([10], "eventsourcing", subject="eventsourcing")
    save(report(result([100]), peer, result([300], store="memory")), tmp_path / "report.json")
    assert bench("--show", str(tmp_path / "report.json")) == 0
    _, _, last = said(capsys)[0].partition("Compared with the alternatives")
    assert "SQLite FULL: acknowledged commands survive a power cut" in last
    assert "actorium, 100 callers 100 eventsourcing, one caller 10.0 10×" in last
    assert "memory: nothing survives the process actorium, 100 callers 300" in last


def test_reports_with_nothing_in_common_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(report(result([100])), tmp_path / "old.json")
    save(report(result([100], "one-hot")), tmp_path / "new.json")
    assert bench("--show", str(tmp_path / "new.json"), "--compare", str(tmp_path / "old.json")) == 0
    assert "no scenario was measured on the same store both times" in said(capsys)[0]


def test_databases_in_memory_give_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench("--show", _saved(tmp_path, "tmpfs")) == 0
    assert "durable figures mean nothing" in said(capsys)[0]
    assert bench("--show", _saved(tmp_path, "ext4")) == 0
    assert "durable figures mean nothing" not in said(capsys)[0]


def _saved(folder: Path, file_system: str) -> str:
    path = folder / f"{file_system}.json"
    save(report(environment=msgspec.structs.replace(ENVIRONMENT, folder_file_system=file_system)), path)
    return str(path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "warm"], "no scenario name contains 'warm'; the scenarios are one-caller, "),
        (
            ["--only", "pykka", "--stores", "full"],
            "cannot run on full; `actorium bench --list` shows which scenarios can",
        ),
        (["--only"], "--only needs one or more values: add them, or leave it out"),
        (["--stores", "--quick"], "--stores needs one or more values"),
        (["--only", "flush", "--postgresql", "postgresql://db/x"], "names a server for --stores postgresql: add it"),
        (["--only", "flush", "--profile", "file"], "cannot create file: File exists; name another folder with"),
        (["--only", "flush", "--profile", "trees", "--rounds", "3"], "leave out --rounds"),
        (["--show", "none.json"], "cannot read none.json"),
        (["--show", "none.json", "--quick", "--only", "x"], "measures nothing: leave out --quick and --only"),
        (["--only", "flush", "--compare", "none.json"], "cannot read none.json"),
        (["--only", "flush", "--json", "no/such/place.json"], "cannot write to"),
        (["--only", "flush", "--html", "."], "is a directory: name a file for the report"),
        (["--only", "flush", "--folder", "nowhere"], "cannot write to nowhere: name an existing folder"),
    ],
)
def test_wrong_usage_is_answered_with_advice(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert bench(*arguments) == 2
    assert message in said(capsys)[1]


def test_a_missing_library_is_named_with_its_extra() -> None:
    code = "import sys; sys.modules['hdrh'] = None; from actorium_cli import run; sys.exit(run(['bench']))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 2
    assert "`actorium bench` needs hdrh" in ended.stderr


def test_the_module_is_the_same_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--list"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("actorium.benchmarks", run_name="__main__")
    assert ended.value.code == 0
    assert "one-caller" in said(capsys)[0]
