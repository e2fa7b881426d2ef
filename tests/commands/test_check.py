"""`actorium check`: lists what an application cannot read in its log."""

import asyncio
import importlib
from collections.abc import Callable
from pathlib import Path

import pytest
from support.command_line import output
from support.tables import run_on
from support.transfers import Account, Ask, Deposit, Desk, Transfer
from support.troubled_disks import immutable

from actorium import Runtime
from actorium.commands import check as check_command
from actorium.examples.evolution import v1
from actorium.sagas.model.recording import issued_command
from actorium.sagas.model.submissions import SUBMISSION, CommandSubmitted
from actorium.store.chain import CHAIN, SEGMENT_EVENTS
from actorium.store.event_store import Append, AppendBatch, SaveCheckpoint
from actorium.store.events import EncodedEvent, Metadata, as_json
from actorium.store.names import StreamName
from actorium.store.urls import open_store


def change(log: str, *statements: str) -> None:
    asyncio.run(run_on(log, *statements))


@pytest.mark.parametrize("deep", [[], ["--deep"]])
@pytest.mark.parametrize("app", ["one", "three"])
def test_a_readable_log_is_reported_as_readable(
    shop: Path, capsys: pytest.CaptureFixture[str], app: str, deep: list[str]
) -> None:
    code, out, err = output(capsys, "check", f"shop_app:{app}", *deep)
    assert (code, err) == (0, "")
    assert f"every {'event' if deep else 'event type'} can be read" in out


def test_a_deep_check_of_a_long_log_says_how_far_it_is(
    shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_command, "_SHORT_LOG", 3)
    assert output(capsys, "check", "shop_app:one", "--deep")[1].splitlines()[0] == "  reading: 4 of 4"
    assert "reading" not in output(capsys, "check", "shop_app:one")[1]
    monkeypatch.setattr(check_command, "_SHORT_LOG", 4)
    assert "reading" not in output(capsys, "check", "shop_app:one", "--deep")[1]


@pytest.mark.about("sqlite", "it changes the table of event types, from which a server reads no events")
def test_unreadable_event_types_are_listed_with_the_fix(
    orders: str, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(
        orders,
        "UPDATE event_types SET schema_version = 9 WHERE name = 'Placed'",
        "UPDATE event_types SET name = 'Seen' WHERE name = 'Viewed'",
    )
    code, out, err = output(capsys, "check", "shop_app:one")
    assert code == 1
    assert out.splitlines() == [
        "Placed (schema version 9, 1 event): it has schema version 9, but Placed reads 1: run the code that wrote it, "
        "or newer code",
        "Seen (schema version 1, 3 events): no registered class reads this event type: register the aggregate that "
        "evolves it, or, if it was renamed, add @upcast(1, type='Seen') to the new class",
    ]
    assert "2 items in the log cannot be read" in err


def test_fields_that_changed_under_one_schema_version_are_listed(
    shop: Path, orders: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = Path(v1.__file__).read_text(encoding="utf-8").replace("by: str", "name: str").replace(".by", ".name")
    app = source + f"\n\nfrom actorium import Runtime\napp = Runtime([Order], store={orders!r})\n"
    (shop / "renamed_app.py").write_text(app, encoding="utf-8")
    code, out, err = output(capsys, "check", "renamed_app:app")
    assert (code, len(out.splitlines())) == (1, 1)
    assert "Viewed (schema version 1, 3 events, first in a stream of Order): Viewed at Order<o-1> version 2" in out
    assert "missing required field `name`" in out
    assert "set schema_version = 2 in Viewed and add @upcast(1)" in out
    assert "1 item in the log cannot be read" in err


def test_a_deep_check_finds_a_lost_field_that_only_later_events_have(
    shop: Path, orders: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(shop))
    source = Path(v1.__file__).read_text(encoding="utf-8")
    app = f"\n\nfrom actorium import Runtime\napp = Runtime([Order], store={orders!r})\n"
    later = source.replace("by: str", 'by: str\n    device: str = ""')
    later = later.replace("Viewed(command.by)", 'Viewed("Eve", "tv")')
    (shop / "later_app.py").write_text(later + app, encoding="utf-8")
    (shop / "today_app.py").write_text(source + app, encoding="utf-8")

    async def view() -> None:
        module = importlib.import_module("later_app")
        async with module.app as runtime:
            await runtime.send(module.View("o-1", "Eve"))

    asyncio.run(view())
    capsys.readouterr()
    assert output(capsys, "check", "today_app:app")[0] == 0
    code, out, _ = output(capsys, "check", "today_app:app", "--deep")
    assert (code, len(out.splitlines())) == (1, 1)
    assert "Viewed at Order<o-1> version 5: it was stored with `device`, which Viewed does not have" in out


@pytest.fixture
def transfers(new_log_url: Callable[[str], str]) -> str:
    """The URL of another log."""
    return new_log_url("transfers")


SAGAS = """
from support.transfers import Account, Desk
from actorium import Runtime
from actorium.commands import check as check_command

def runtime() -> Runtime:
    return Runtime([Account, Desk], store="URL")
"""


def test_a_missing_saga_class_is_named(shop: Path, transfers: str, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "sagas_app.py").write_text(SAGAS.replace("URL", transfers), encoding="utf-8")

    async def write() -> None:
        async with Runtime([Account, Desk, Transfer], store=transfers) as runtime:
            await runtime.send(Ask("desk", "alice", "bob"))
            await runtime.sagas.get(Transfer, "Desk/desk/1", ended_within_s=10)
            assert [saga.id async for saga in runtime.sagas.list()] == ["Desk/desk/1"]

    asyncio.run(write())
    capsys.readouterr()
    code, out, _ = output(capsys, "check", "sagas_app:runtime")
    assert (code, len(out.splitlines())) == (1, 1)
    assert "Transfer (none is live) is not a saga of this runtime" in out


def test_a_deep_check_finds_every_damaged_event_and_continues_after_it(
    orders: str, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(orders, "UPDATE events SET payload = replace(payload, 'Bob', 'Eve') WHERE position IN (2, 4)")
    assert output(capsys, "check", "shop_app:one")[0] == 0
    code, out, err = output(capsys, "check", "shop_app:one", "--deep")
    assert code == 1
    assert [line.partition(":")[0] for line in out.splitlines()] == [
        "Viewed at Order<o-1> version 2",
        "Viewed at Order<o-1> version 4",
    ]
    assert "2 items in the log cannot be read" in err


def test_a_deep_check_of_a_damaged_log_says_how_far_it_is(
    orders: str, shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_command, "_SHORT_LOG", 3)
    change(orders, "UPDATE events SET payload = '[]'")
    assert "  reading: 4 of 4" in output(capsys, "check", "shop_app:one", "--deep")[1].splitlines()


@pytest.mark.parametrize(
    ("position", "words"),
    [
        (2**63 - 1, "position 9223372036854775807 follows position 3 in the log"),
        (2**40, "position 1099511627776 follows position 3 in the log"),
        (6, "position 6 follows position 3 in the log"),
        (-5, "the log has events below position 1 (1, the lowest at -5)"),
        (0, "the log has events below position 1 (1, the lowest at 0)"),
    ],
)
def test_a_deep_check_reports_a_position_out_of_place_at_once(
    orders: str, shop: Path, capsys: pytest.CaptureFixture[str], position: int, words: str
) -> None:
    change(orders, f"UPDATE events SET position = {position} WHERE position = 4")
    code, out, _ = output(capsys, "check", "shop_app:one", "--deep")
    assert code == 1
    assert words in out
    assert len(out.splitlines()) <= 3  # what else is wrong if the last event is elsewhere


def test_a_deep_check_ends_where_events_were_removed(
    orders: str, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(orders, "DELETE FROM events WHERE position = 2")
    code, out, _ = output(capsys, "check", "shop_app:one", "--deep")
    assert code == 1
    assert "position 3 follows position 1 in the log" in out
    assert out.count(" in the log: ") == 1


@pytest.mark.about("sqlite", "it looks at the file")
@pytest.mark.parametrize("deep", [[], ["--deep"]])
def test_a_check_changes_nothing_and_needs_no_write_permission(
    shop: Path, capsys: pytest.CaptureFixture[str], deep: list[str]
) -> None:
    before = {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in shop.glob("orders.db*")}
    with immutable(shop / "orders.db"), immutable(shop):
        assert output(capsys, "check", "shop_app:one", *deep)[0] == 0
    assert output(capsys, "check", "shop_app:one", *deep)[0] == 0
    assert {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in shop.glob("orders.db*")} == before


@pytest.mark.parametrize("deep", [[], ["--deep"]])
@pytest.mark.asyncio
async def test_a_log_is_checked_while_its_application_runs(
    shop: Path, orders: str, capsys: pytest.CaptureFixture[str], deep: list[str]
) -> None:
    async with Runtime([v1.Order], store=orders) as runtime:
        await runtime.send(v1.View("o-1", "Eve"))
        code, _, err = await asyncio.to_thread(output, capsys, "check", "shop_app:three", *deep)
        assert (code, err) == (0, "")
        await runtime.send(v1.View("o-1", "Eve"))


@pytest.mark.about("sqlite", "it looks at the file")
@pytest.mark.parametrize("is_empty", [False, True])
def test_a_check_creates_no_log(shop: Path, capsys: pytest.CaptureFixture[str], is_empty: bool) -> None:
    for file in shop.glob("orders.db*"):
        file.unlink()
    if is_empty:
        (shop / "orders.db").touch()
    before = sorted(shop.iterdir())
    code, out, err = output(capsys, "check", "shop_app:one")
    assert (code, out) == (2, "")
    assert "there is no log" in err
    assert sorted(path for path in shop.iterdir() if path.name != "__pycache__") == [
        path for path in before if path.name != "__pycache__"
    ]
    assert not is_empty or (shop / "orders.db").stat().st_size == 0


def test_a_check_without_an_application_is_a_one_line_error(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = output(capsys, "check", "shop_app:two")
    assert (code, out) == (2, "")
    assert err.strip() == "'shop_app:two': shop_app has no 'two'"


def test_a_due_time_beyond_the_calendar_is_reported(
    shop: Path, transfers: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (shop / "timers_app.py").write_text(SAGAS.replace("URL", transfers), encoding="utf-8")
    submitted = CommandSubmitted(issued_command(Deposit("bob", 1)), 10**22)
    event = EncodedEvent("command.submitted", 1, as_json(submitted), as_json(Metadata("submit far")))

    async def write() -> None:
        store = open_store(transfers)
        await store.open()
        await store.append(AppendBatch(1, [Append(StreamName(SUBMISSION, "far"), 0, (event,))]))
        await store.close()

    async def serve() -> None:
        async with Runtime([Account, Desk], store=transfers):
            pass

    asyncio.run(write())
    code, out, _ = output(capsys, "check", "timers_app:runtime", "--deep")
    assert (code, len(out.splitlines())) == (1, 1)
    assert "is due after the year 9999" in out
    asyncio.run(serve())  # it opens all the same
    capsys.readouterr()
    code, out, _ = output(capsys, "check", "timers_app:runtime")
    assert (code, len(out.splitlines())) == (1, 1)
    assert out.startswith("actorium.submission<far>")


def test_a_deep_check_compares_the_events_with_the_stored_chain(
    shop: Path, orders: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async def end_the_chain_at(position: int) -> None:
        store = open_store(orders)
        await store.open()
        await store.save([SaveCheckpoint(CHAIN, position)])
        await store.close()

    asyncio.run(end_the_chain_at(SEGMENT_EVENTS))
    assert output(capsys, "check", "shop_app:one")[0] == 0
    code, out, _ = output(capsys, "check", "shop_app:one", "--deep")
    assert code == 1
    assert "before the end of the stored chain: events were removed" in out
