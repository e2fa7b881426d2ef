"""`actorium simulate`: what it finds, runs, prints and writes, and its exit codes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from actorium.simulation.reports.report import CampaignReport
from actorium_cli import run

SUMS = Path(__file__).resolve().parents[1] / "support" / "small_scenarios.py"

IDLE = """
from actorium.simulation import simulation
from simulated import Sum

@simulation(seeds=1)
async def idle(world):
    world.runtime([Sum])
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with a simulation that passes, and one that breaks its invariant."""
    path = tmp_path / "simulated.py"
    path.write_text(SUMS.read_text(encoding="utf-8"), encoding="utf-8")
    return path


def simulate(*words: object) -> int:
    return run(["simulate", *map(str, words)])


def test_passing_seeds_end_with_0_and_a_report(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(file, "--only", "holding", "--seeds", 3, "--rate", 0.2) == 0
    out = capsys.readouterr().out
    assert re.search(r"3 seeds in .* per minute, in 1 process, with store memory", out)
    assert "12 commands" in out
    assert "every invariant held" in out


def test_hostile_faults_are_optional_and_named_in_the_commands(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(file, "--only", "broken", "--hostile", "--seeds", 1) == 1
    out = capsys.readouterr().out
    assert "--only broken --hostile --replay 0" in out


def test_a_folder_or_file_selects_all_simulations_in_it(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for target in (file, file.parent):
        assert simulate(target, "--seeds", 1) == 1
        out, err = capsys.readouterr()
        assert out.index("holding") < out.index("broken")
        assert "an invariant broke in broken" in err


def test_a_failure_is_reported_with_commands_that_reproduce_it(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(file, "--only", "broken") == 1
    out = capsys.readouterr().out
    assert "VIOLATED with seed 0: nothing is added" in out
    assert re.search(r"expected  0 to the end\n    found     1\n  seed 0 → 1 command \(Add a.*\), no fault", out)
    (replay, story) = re.findall(r"actorium simulate (.*)", out)
    for words in (replay, story):
        assert simulate(*words.split()) == 1
        steps = capsys.readouterr().out
        assert "VIOLATED: nothing is added" in steps
        assert re.search(r"^  .*node1 commit Sum<a> v0 \+ Added at 1$", steps, re.MULTILINE)
        assert re.search(r"^! .*VIOLATED", steps, re.MULTILINE)


def test_the_report_is_written_as_json_and_as_a_page(file: Path, tmp_path: Path) -> None:
    json, html = tmp_path / "report.json", tmp_path / "report.html"
    assert simulate(file, "--seeds", 2, "--json", json, "--html", html) == 1
    report = msgspec.json.decode(json.read_bytes(), type=CampaignReport)
    assert report.version == 1
    holding, broken = report.simulations
    assert (holding.name, holding.seeds, holding.failure) == ("holding", 2, None)
    assert broken.failure is not None
    assert (broken.failure.seed, broken.failure.found.expected, broken.failure.found.actual) == (0, "0 to the end", "1")
    assert broken.failure.trace
    page = html.read_text(encoding="utf-8")
    assert "Broken: nothing is added" in page
    assert "every invariant held" in page


def test_a_report_on_standard_output_is_the_only_output(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(file, "--only", "holding", "--seeds", 2, "--json", "-") == 0
    printed = capsys.readouterr()
    assert msgspec.json.decode(printed.out, type=CampaignReport).simulations[0].seeds == 2
    assert "every invariant held" in printed.err


@pytest.mark.parametrize("options", [[], ["--rate", 0.01, "--store", "sqlite", "--steps-max", 4_000]])
def test_the_printed_replay_commands_work(
    file: Path, capsys: pytest.CaptureFixture[str], options: list[object]
) -> None:
    assert simulate(file, "--only", "broken", "--seeds", 1, "--shrink-s", 0, *options) == 1
    out = capsys.readouterr().out
    assert "stopped early: it may not be minimal" in out
    for words in re.findall(r"actorium simulate (.*)", out):
        assert simulate(*words.split()) == 1
        assert "VIOLATED: nothing is added" in capsys.readouterr().out


def test_the_step_limit_can_be_set(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(file, "--only", "holding", "--replay", 0, "--steps-max", 10) == 1
    assert "was not over after 10 steps" in capsys.readouterr().out
    assert simulate(file, "--only", "holding", "--seeds", 1, "--steps-max", 10, "--jobs", 2) == 1
    assert "--steps-max 10 --replay 0" in capsys.readouterr().out


def test_a_hanging_run_has_shown_its_trace(file: Path) -> None:
    dying = file.with_name("dying.py")
    text = file.read_text(encoding="utf-8").replace("return Added(command.amount)", "return leave(command.amount)")
    leave = "import os\n\ndef leave(amount):\n    os._exit(7)\n"
    dying.write_text(f"{leave}\n{text}", encoding="utf-8")
    command = [sys.executable, "-m", "actorium", "simulate", str(dying), "--only", "holding", "--replay", "0"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 7
    assert "node1" in run.stdout


def test_several_processes_give_the_same_result(file: Path, tmp_path: Path) -> None:
    reports = []
    for jobs in (1, 2):
        json = tmp_path / f"{jobs}.json"
        assert simulate(file, "--only", "holding", "--seeds", 4, "--rate", 0.1, "--jobs", jobs, "--json", json) == 0
        (one,) = msgspec.json.decode(json.read_bytes(), type=CampaignReport).simulations
        reports.append((one.seeds, one.steps, one.events, one.faults))
    assert reports[0] == reports[1]


def test_every_fault_and_crash_is_tried(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = file.with_name("one.py")
    one.write_text(file.read_text(encoding="utf-8").replace('("a", "a", "b", "b")', '("a",)'), encoding="utf-8")
    assert simulate(one, "--only", "holding", "--exhaustive") == 0
    out = capsys.readouterr().out
    assert re.search(r"(\d+) of \1 runs with at most one fault \(100%\)", out)
    assert simulate(one, "--only", "broken", "--exhaustive") == 1
    out = capsys.readouterr().out
    (again,) = re.findall(r"replay story:  actorium simulate (.*)", out)
    assert simulate(*again.split()) == 1


def test_exhaustive_runs_only_the_simulations_made_for_it(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = (
        "@simulation(exhaustive=True)\nasync def small(world: World) -> None:\n"
        "    await world.runtime([Sum]).send(Add('a', 1))\n"
    )
    file.write_text(f"{file.read_text(encoding='utf-8')}\n\n{small}", encoding="utf-8")
    assert simulate(file, "--exhaustive") == 0
    assert re.findall(r"^(\w+) \(", capsys.readouterr().out, re.MULTILINE) == ["small"]
    assert simulate(file, "--seeds", 1) == 1
    assert re.findall(r"^(\w+) \(", capsys.readouterr().out, re.MULTILINE) == ["holding", "broken"]
    assert simulate(file, "--only", "small", "--seeds", 1) == 0
    assert re.findall(r"^(\w+) \(", capsys.readouterr().out, re.MULTILINE) == ["small"]


def test_the_first_seed_and_the_duration_can_be_set(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = file.with_name("report.json")
    assert simulate(file, "--only", "holding", "--from", 7, "--minutes", 0.000_1, "--json", report) == 0
    (found,) = msgspec.json.decode(report.read_bytes(), type=CampaignReport).simulations
    assert (found.first_seed, found.seeds) == (7, 1)


def test_the_hash_order_is_the_same_in_every_process(file: Path) -> None:
    names = file.with_name("names.py")
    names.write_text(
        "from actorium.simulation import simulation\nfrom simulated import Add, Sum\n\n@simulation(seeds=1)\n"
        "async def names(world):\n    sums = world.runtime([Sum])\n"
        "    for name in {f'name {number}' for number in range(9)}:\n        await sums.send(Add(name, 1))\n",
        encoding="utf-8",
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONHASHSEED"}
    command = [sys.executable, "-m", "actorium", "simulate", str(names), "--replay", "1"]
    runs = {subprocess.run(command, env=environment, capture_output=True, check=True).stdout for _ in range(3)}
    assert len(runs) == 1


def test_the_audit_names_calls_that_ask_the_machine(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(file, "--only", "holding", "--audit") == 0
    clock = file.with_name("clock.py")
    text = file.read_text(encoding="utf-8").replace("return Added(command.amount)", "return Added(time.time_ns() % 2)")
    clock.write_text(f"import time\n{text}", encoding="utf-8")
    assert simulate(clock, "--only", "holding", "--audit") == 1
    assert re.search(r"clock\.py:\d+: time\.time_ns, \d+ times", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none.py"], "there is no file or folder none.py"),
        (["nowhere"], "there is no file, folder or module nowhere"),
        (["notes.txt"], "notes.txt is not a Python file"),
        (["plain.py"], "there is no simulation in plain.py: mark an `async def scenario(world)` with @simulation()"),
        (["empty"], "there is no simulation in the folder empty"),
        (["torn.py"], "torn.py cannot be imported: ModuleNotFoundError: No module named 'nothing_of_the_kind'"),
        (
            ["simulated.py", "--only", "other"],
            "no simulation 'other' in simulated.py; it has holding, broken",
        ),
        (["simulated.py", "--replay", "1"], "holding, broken: choose one to replay with --only"),
        (["simulated.py", "--only", "broken", "--story", "hello"], "not a complete story token of this version"),
        (["simulated.py", "--replay", "1", "--exhaustive"], "--replay and --exhaustive cannot be combined"),
        (["simulated.py", "--json", "--seeds", "2"], "It is an option, not the name of a file"),
        (["simulated.py", "--audit", "--json", "a.json"], "--json needs a run over seeds: leave out --audit"),
        (
            ["simulated.py", "--only", "broken", "--replay", "1", "--seeds", "2", "--jobs", "2"],
            "leave out --seeds and --jobs",
        ),
        (["simulated.py", "--exhaustive", "--minutes", "1"], "leave out --minutes: not used with --exhaustive"),
        (["simulated.py", "--html", "nowhere/page.html"], "cannot write to"),
        (["simulated.py", "--json", "empty"], "is a directory"),
        (["idle.py"], "no command was sent and no event written: nothing was tried"),
        (["simulated.py", "--seeds", "many"], "Invalid value"),
        (["simulated.py", "--store", "tape"], "Invalid value"),
    ],
)
def test_wrong_usage_ends_with_2_and_advice(
    words: list[str], message: str, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(file.parent)
    for name, text in {
        "notes.txt": "",
        "plain.py": "x = 1\n",
        "torn.py": "import nothing_of_the_kind\n",
        "idle.py": IDLE,
    }.items():
        Path(name).write_text(text, encoding="utf-8")
    Path("empty").mkdir()
    assert simulate(*words) == 2
    out, err = capsys.readouterr()
    assert message in " ".join((out + err).replace("│", "").split())


def test_ctrl_c_ends_with_130_and_the_results_so_far(file: Path) -> None:
    command = [sys.executable, "-m", "actorium", "simulate", str(file), "--only", "holding", "--seeds", "400"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            if "100 of 400 seeds" in line:
                break
        process.send_signal(signal.SIGINT)
        out, err = process.stdout.read(), process.stderr.read()
    assert process.returncode == 130, out + err
    assert re.search(r"1\d\d seeds in", out)
    assert "every invariant held in the runs that had ended" in err
    assert "Traceback" not in err
