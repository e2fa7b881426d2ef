"""`--json FILE`, tested for every command that reports."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.command_line import TROUBLED, output, write_troubled_log
from support.reports import report, result, save

from actorium_cli_commands import COMMANDS

# What each command is called with, its exit code there, and what its report holds at the top.
CALLS: dict[str, tuple[list[str], int, set[str]]] = {
    "check": (["shop_app:one"], 0, {"log", "deep", "unreadable"}),
    "repair": (["orders.db"], 0, {"log", "damaged"}),
    "dead-letters list": (["--at", "troubled.db"], 0, {"log", "dead_letters"}),
    "dead-letters retry": (
        ["--at", "troubled_app:runtime", "--processor", "Totals", "--reason", "a test"],
        1,
        {"processor", "handled", "parked"},
    ),
    "dead-letters discard": (
        ["--at", "troubled_app:runtime", "--processor", "Totals", "--position", "2", "--reason", "a test"],
        0,
        {"processor", "discarded", "parked"},
    ),
    "schema": (["shop_app:three"], 0, {"$schema", "anyOf", "$defs"}),
    "asyncapi": (
        ["shop_app:three"],
        0,
        {"asyncapi", "info", "defaultContentType", "channels", "operations", "components"},
    ),
    "graph": (["shop_app:three"], 0, {"diagrams"}),
    "simulate": (
        ["actorium.examples.orders.simulated", "--only", "orchestration", "--seeds", "1"],
        0,
        {"simulations"},
    ),
    "bench": (["--show", "bench.json"], 0, {"results"}),
    "prove crash": (["--kills", "1"], 0, {"seed", "took_s", "kills", "acknowledged", "lost", "duplicated", "gaps"}),
    "prove power-loss": (
        ["--states", "20", "--commands", "6", "--jobs", "1"],
        0,
        {"synchronous", "seed", "took_s", "states", "lossy", "wrong"},
    ),
    "prove bit-rot": (["--flips", "2"], 0, {"flips", "seed", "took_s", "parts"}),
    "prove tampering": (["--changes", "2"], 0, {"changes", "seed", "took_s", "kinds"}),
}
_DB = ["--at", "troubled.db"]
_ACT = [*_DB, "--reason", "a test"]
# They report on the log of the stopped application, or on nothing: `commands/live` tests them while it runs.
CALLS |= {
    "status": (_DB, 0, {"running", "ready", "overview"}),
    "events tail": (_DB, 0, {"log", "events"}),
    "causes": (["Account/alice/1", *_DB], 0, {"causes", "event", "effects", "is_complete"}),
    "stream show": (
        ["Account", "alice", *_DB],
        0,
        {"stream_type", "stream_id", "version", "changes", "why_no_states"},
    ),
    "sagas list": (_DB, 0, {"sagas", "after_type", "after_id"}),
    "nodes": (_DB, 0, {"nodes", "shards"}),
    "shards": (_DB, 0, {"nodes", "shards"}),
    "submissions list": (_DB, 0, {"submissions", "after"}),
}
CALLS["cases list"] = (_DB, 0, {"cases", "after"})
CALLS["impact"] = (["shop_app:one", "--event", "Order/o-1/1"], 0, {"counts", "head", "events", "streams"})
CALLS["what-if"] = (["shop_app:one"], 0, {"events", "commands", "differences", "counts"})
# Proofs of this kind take minutes; their own tests call them.
NO_REPORT = {"prove postgresql", "prove cluster"}
NO_REPORT |= {"copy", "demo", "new", "console", "state", "sagas show"}
# These need a backup, an export, a head or a PostgreSQL server; their own tests look at their reports.
NO_REPORT |= {"backup", "restore", "export", "import", "drill", "head", "verify", "keys new"}
NO_REPORT |= {f"sagas {action}" for action in ("retry", "skip", "complete", "compensate")}
NO_REPORT |= {"submissions cancel", "submissions run-now"}
NO_REPORT |= {f"schedules {action}" for action in ("list", "pause", "resume", "run-now")}
NO_REPORT |= {f"outlets {action}" for action in ("list", "held", "recall")} | {"services"}
NO_REPORT |= {f"cases {action}" for action in ("show", "impact", "report", "open", "plan", "dry-run", "approve")}
NO_REPORT |= {f"cases {action}" for action in ("apply", "settle", "close", "cancel")}
NO_REPORT |= {f"processors {action}" for action in ("list", "pause", "resume", "reset", "rebuild")}


def test_every_command_is_called_here_or_has_no_report() -> None:
    names = {
        name if isinstance(second, str) else f"{name} {inner}"
        for name, (_, second) in COMMANDS.items()
        for inner in ([""] if isinstance(second, str) else second)
    }
    assert names == CALLS.keys() | NO_REPORT


@pytest.fixture
def call(
    shop: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., tuple[int, str, str]]]:
    """Runs a command in a directory with two logs and a report, which is the same before each call."""
    (shop / "troubled_app.py").write_text(TROUBLED, encoding="utf-8")
    monkeypatch.syspath_prepend(shop)
    write_troubled_log("troubled_app")
    save(report(result([100])), shop / "bench.json")
    kept = tmp_path_factory.mktemp("kept")
    shutil.copytree(shop, kept, dirs_exist_ok=True)

    def carry_out(*arguments: str) -> tuple[int, str, str]:
        for file in kept.glob("*.db*"):
            shutil.copy(file, shop / file.name)
        capsys.readouterr()
        return output(capsys, *arguments)

    yield carry_out
    sys.modules.pop("troubled_app")


@pytest.mark.about("sqlite", "it puts back the files of its logs before each call")
@pytest.mark.parametrize("command", CALLS)
def test_a_report_is_one_json_document_in_a_file_or_alone_on_standard_output(
    command: str, call: Callable[..., tuple[int, str, str]], shop: Path
) -> None:
    arguments, expected, keys = CALLS[command]
    words = [*command.split(), *arguments]

    code, out, err = call(*words, "--json", "no/such/place.json")
    assert (code, out) == (2, "")
    assert "cannot write to" in err

    code, out, _ = call(*words, "--json", "-")
    assert code == expected
    alone = json.loads(out)
    assert alone.keys() >= keys

    code, text, _ = call(*words, "--json", "report.json")
    assert code == expected
    in_file = json.loads((shop / "report.json").read_text(encoding="utf-8"))
    assert in_file.keys() == alone.keys()
    assert not text.startswith("{")

    code, plain, _ = call(*words)
    assert code == expected
    if command in ("schema", "asyncapi"):  # their output for people is the document itself
        assert json.loads(plain) == alone == in_file
    elif command not in (
        "simulate",
        "prove crash",
        "prove power-loss",
        "prove bit-rot",
        "prove tampering",
    ):  # they print times
        assert plain == text
