"""The commands for a running application, through its control socket, and for its log when it is stopped."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.backups import reader
from support.command_line import output
from support.served import Served, served_shop
from support.shop import Faults, PlaceOrder, place, until
from support.stores import whole_log

from actorium import Runtime
from actorium.store.events import EncodedRecord

ACTIONS = [
    ["sagas", "retry", "Checkout", "o-1"],
    ["submissions", "cancel", "a"],
    ["processors", "pause", "projection Income version 1"],
]


async def submissions_written(runtime: Runtime) -> None:
    """Wait until the list of submissions includes all of them."""
    [one async for one in runtime.submissions.list()]


async def events_of(url: str) -> list[EncodedRecord]:
    """Read a log."""
    store = reader(url)
    await store.open(read_only=True)
    try:
        return await whole_log(store)
    finally:
        await store.close()


@pytest.fixture
def shop(log_url: str) -> Iterator[Served]:
    """A running shop with two stuck sagas."""
    with served_shop(log_url) as shop:
        shop.do(place(shop.runtime, "o-1", "o-2"))
        for order in ("o-1", "o-2"):
            shop.do(until(shop.runtime, order, "failed"))
        yield shop


@pytest.fixture
def stopped(log_url: str) -> str:
    """The log of a shop that was stopped with a stuck saga."""
    with served_shop(log_url) as shop:
        shop.do(place(shop.runtime, "o-1"))
        shop.do(until(shop.runtime, "o-1", "failed"))
    return log_url


def test_a_stuck_saga_is_found_shown_and_retried_while_the_application_runs(
    shop: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = output(capsys, "sagas", "list", "--at", shop.at, "--status", "failed", "--prefix", "o-1")
    assert (code, err) == (0, "")
    assert "o-1" in out
    assert "o-2" not in out
    code, out, _ = output(capsys, "sagas", "show", "Checkout", "o-1", "--at", shop.at)
    assert code == 0
    assert "Checkout<o-1> is failed at ship" in out
    Faults.warehouse = False
    code, out, _ = output(capsys, "sagas", "retry", "Checkout", "o-1", "--at", shop.at, "--reason", "paper is back")
    assert (code, out.splitlines()[-1]) == (0, "1 done")
    shop.do(until(shop.runtime, "o-1", "completed"))


def test_all_stuck_sagas_are_acted_on_at_once_and_what_fails_is_listed(
    shop: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = output(capsys, "sagas", "skip", "Checkout", "--all-stuck", "--at", shop.at, "--reason", "by hand")
    assert (code, out.splitlines()[-1]) == (0, "2 done")
    words = ("sagas", "complete", "Checkout", "o-1", "nobody", "--at", shop.at, "--reason", "by hand", "--json", "-")
    code, out, err = output(capsys, *words)
    assert code == 1
    assert "nobody: NotFound" in " ".join(err.split()).replace("Checkout<nobody>", "nobody")
    assert [bool(one["error"]) for one in json.loads(out)["outcomes"]] == [True, True]
    assert output(capsys, "sagas", "skip", "Checkout", "--at", shop.at, "--reason", "x")[0] == 2


def test_submissions_are_listed_run_and_cancelled(shop: Served, capsys: pytest.CaptureFixture[str]) -> None:
    for id in ("a", "b"):
        shop.do(shop.runtime.submit(PlaceOrder(f"p-{id}", "alice", 1), after_s=1_000, command_id=id))
    shop.do(submissions_written(shop.runtime))
    code, out, _ = output(capsys, "submissions", "list", "--at", shop.at, "--status", "waiting", "--limit", "1")
    assert (code, out.splitlines()[-1]) == (0, "more: --after a")
    assert output(capsys, "submissions", "run-now", "a", "--at", shop.at, "--reason", "soon")[0] == 0
    assert output(capsys, "submissions", "cancel", "b", "--at", shop.at, "--reason", "no")[0] == 0
    assert output(capsys, "submissions", "cancel", "b", "--at", shop.at, "--reason", "no")[0] == 1


def test_processors_are_listed_paused_resumed_and_rebuilt(shop: Served, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = output(capsys, "processors", "list", "--at", shop.at, "--json", "-")
    assert code == 0
    (income,) = (one["name"] for one in json.loads(out)["processors"] if one["kind"] == "projection")
    for action in ("pause", "resume", "reset"):
        assert output(capsys, "processors", action, income, "--at", shop.at, "--reason", "a test")[0] == 0
    code, out, _ = output(capsys, "processors", "rebuild", income, "--at", shop.at, "--reason", "a test")
    assert (code, out.splitlines()[0]) == (0, "1 done")
    code, _, err = output(capsys, "processors", "pause", "nobody", "--at", shop.at, "--reason", "a test")
    assert code == 1
    assert "no processor 'nobody'" in " ".join(err.split())


def test_streams_states_events_and_causes_are_shown(shop: Served, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = output(capsys, "stream", "show", "Order", "o-1", "--at", shop.at)
    assert code == 0
    assert 'customer: "" -> "alice"' in out
    code, out, _ = output(capsys, "state", "Order", "o-1", "--at", shop.at, "--json", "-")
    assert json.loads(out)["state"]["amount"] == 30
    code, out, _ = output(capsys, "events", "tail", "--at", shop.at, "--type", "OrderPlaced")
    assert out.count("OrderPlaced") == 2
    code, out, _ = output(capsys, "causes", "Order/o-1/1", "--at", shop.at)
    assert code == 0
    assert out.splitlines()[0] == "OrderPlaced  Order/o-1/1  <- this event"
    assert "    Paid  Wallet/alice/1" in out
    assert output(capsys, "causes", "Order/o-1/9", "--at", shop.at)[0] == 1


def test_the_status_says_whether_it_runs_and_is_ready(shop: Served, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = output(capsys, "status", "--at", shop.at)
    assert code == 0
    assert out.startswith("running, the log ends at ")
    assert "2 failed" in out


def test_a_stopped_applications_log_is_read_and_the_command_says_so(
    stopped: str, capsys: pytest.CaptureFixture[str]
) -> None:
    reads = [
        ["status"],
        ["sagas", "list", "--status", "failed"],
        ["submissions", "list"],
        ["events", "tail"],
        ["stream", "show", "Order", "o-1"],
        ["causes", "Order/o-1/1"],
    ]
    for words in reads:
        code, out, err = output(capsys, *words, "--at", stopped)
        assert code == 0, words
        assert "this is read from the log" in " ".join(err.split())
        assert out
    assert "o-1" in output(capsys, "sagas", "list", "--at", stopped)[1]


@pytest.mark.parametrize("words", ACTIONS, ids=lambda words: words[0])
def test_an_action_on_a_stopped_application_changes_nothing_and_says_what_to_do(
    stopped: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = asyncio.run(events_of(stopped))
    code, _, err = output(capsys, *words, "--at", stopped, "--reason", "a test")
    assert code == 1
    at_file = "Start the application, with control_socket(runtime)"
    advice = at_file if stopped.startswith("sqlite") else "cannot be reached: give the URL of its console"
    assert advice in " ".join(err.split())
    assert asyncio.run(events_of(stopped)) == before


@pytest.mark.parametrize(
    "words", [["state", "Order", "o-1"], ["sagas", "show", "Checkout", "o-1"], ["processors", "list"]]
)
def test_what_needs_the_code_of_a_stopped_application_says_so(
    stopped: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = output(capsys, *words, "--at", stopped)
    assert code == 1
    assert "needs the running application" in " ".join(err.split())


@pytest.mark.about("sqlite", "it finds the control socket beside the file")
def test_a_dead_letter_of_a_running_application_is_retried_and_discarded_through_its_socket(
    shop: Served, log_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    app = "from support.shop import PARTS\nfrom actorium import Runtime\nruntime = Runtime(PARTS, store=URL)\n".replace(
        "URL", repr(log_url)
    )
    (tmp_path / "served_app.py").write_text(app)
    monkeypatch.syspath_prepend(str(tmp_path))
    words = ("--processor", "mail", "--position", "1", "--reason", "no customer")
    assert output(capsys, "dead-letters", "discard", "--at", "served_app:runtime", *words)[0] == 0
    again = ("dead-letters", "retry", "--at", "served_app:runtime", "--processor", "mail", "--reason", "a test")
    code, _, err = output(capsys, *again)
    assert code == 1
    assert "failed again" in err
    Faults.mail = False
    assert output(capsys, *again)[0] == 0
    code, out, _ = output(capsys, *again)
    assert (code, out) == (0, "no dead letters\n")


def test_a_missing_file_is_wrong_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert output(capsys, "status", "--at", str(tmp_path / "nothing.db"))[0] == 2
