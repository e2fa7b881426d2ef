"""Events leave a log as text and come back: the same log, whatever is cut short, and nothing twice."""

import asyncio
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.backups import fill, quiet, reader
from support.postgres import new_log
from support.runs_on import ON_SQLITE
from support.stores import whole_log

from actorium.backup.event_lines import Form
from actorium.backup.exporting import Wanted, export_events
from actorium.backup.importing import Imported, WrongLine, import_events
from actorium.store.names import StreamName
from actorium.store.urls import open_store

COMMANDS, EVENTS = 400, 3


@pytest.fixture(params=[ON_SQLITE, "postgresql"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a log with some commands."""
    if request.param == "postgresql":
        with new_log() as url:
            asyncio.run(fill(url, 0, COMMANDS, EVENTS))
            yield url
        return
    url = f"sqlite:///{tmp_path}/log.db"
    asyncio.run(fill(url, 0, COMMANDS, EVENTS))
    yield url


@pytest.fixture
def small(new_log_url: Callable[[str], str]) -> str:
    """The URL of a log with three commands of two events each."""
    url = new_log_url("small")
    asyncio.run(fill(url, 0, 3, 2))
    return url


def exported(url: str, form: Form = "jsonl", **wanted: Any) -> bytes:
    async def run() -> bytes:
        store, out = reader(url), io.BytesIO()
        await store.open(read_only=True)
        try:
            await export_events(store, out, Wanted(**wanted), form, "/test", quiet)
        finally:
            await store.close()
        return out.getvalue()

    return asyncio.run(run())


def imported(text: bytes, url: str, **options: str) -> Imported:
    async def run() -> Imported:
        store = open_store(url)
        await store.open()
        try:
            return await import_events(store, io.BytesIO(text), quiet, **options)
        finally:
            await store.close()

    return asyncio.run(run())


def content(url: str) -> Any:
    async def run() -> Any:
        store = reader(url)
        await store.open(read_only=True)
        try:
            records = await whole_log(store)
            ids = [f"c{n}" for n in range(COMMANDS)]
            return records, await store.find_commands(ids)
        finally:
            await store.close()

    return asyncio.run(run())


@pytest.mark.parametrize("form", ["jsonl", "cloudevents", "cloudevents-batch"])
def test_an_import_of_an_export_is_the_same_log(log: str, form: Form, log_url: str) -> None:
    text, copy = exported(log, form), log_url
    assert imported(text, copy) == Imported(COMMANDS * EVENTS, COMMANDS * EVENTS)
    assert content(copy) == content(log)
    assert imported(text, copy) == Imported(COMMANDS * EVENTS, 0)


@pytest.mark.parametrize("lines", [1, 7, 600, 1_199])
def test_an_import_that_was_cut_short_continues(lines: int, new_log_url: Callable[[str], str]) -> None:
    log, copy = new_log_url("log"), new_log_url("copy")
    asyncio.run(fill(log, 0, COMMANDS, EVENTS))
    text = exported(log)
    part = b"".join(text.splitlines(keepends=True)[:lines])
    if lines % EVENTS:  # inside a command
        with pytest.raises(WrongLine, match="has 3 events"):
            imported(part, copy)
    else:
        imported(part, copy)
    whole = imported(text, copy)
    assert whole.read == COMMANDS * EVENTS
    assert content(copy) == content(log)


def test_only_the_wanted_events_are_exported(small: str, log_url: str) -> None:
    def ids(text: bytes) -> list[tuple[str, int]]:
        return [(one["stream_id"], one["version"]) for one in map(json.loads, text.splitlines())]

    assert ids(exported(small, from_position=2, to_position=3)) == [("c0", 2), ("c1", 1)]
    assert ids(exported(small, streams=[StreamName("Counter", "c1")])) == [("c1", 1), ("c1", 2)]
    assert ids(exported(small, types=["Other"])) == []
    part = exported(small, streams=[StreamName("Counter", "c1")])
    assert imported(part, log_url) == Imported(2, 2)
    assert imported(exported(small), log_url) == Imported(6, 4)
    assert json.loads(exported(small, "cloudevents-batch", types=["Other"])) == []


def line(**more: Any) -> bytes:
    fields = {"stream_type": "A", "stream_id": "a", "version": 1, "time": "2026-01-01T00:00:00Z", "type": "T"}
    return json.dumps({**fields, "payload": {}, "metadata": {}, **more}).encode() + b"\n"


GOOD = line()


@pytest.mark.parametrize(
    ("text", "number", "why"),
    [
        (GOOD + b"no json\n", 2, "malformed"),
        (GOOD + GOOD[:30], 2, "cut off"),
        (GOOD + GOOD[:-1], 2, "cut off"),
        (GOOD + b"\n" + line(version=3), 3, "ends at version 1 in the log, so 2 must come before version 3"),
        (line(version=2), 1, "ends at version 0"),
        (GOOD + line(payload={"other": 1}), 2, "has other events from version 1 on"),
        (line(time="2026-01-01T00:00:00"), 1, "no time zone"),
        (line(version=0), 1, "version"),
        (line(stream_id=""), 1, "must be a string of 1 to 512"),
        (GOOD + line(stream_id="x" * 513), 2, "must be a string of 1 to 512"),
        (line(stream_id="a\0b"), 1, "none of them NUL"),
        (line(stream_type=""), 1, "its stream type is ''"),
        (line(type="T" * 201), 1, "1 to 200 bytes"),
        (line(version=2**63), 1, "version"),
        (line(schema_version=2**63), 1, "schema_version"),
        (line(schema_version=-1), 1, "schema_version"),
        (line(fingerprint=2**63, metadata={"command_id": "x"}), 1, "fingerprint"),
        (GOOD + line(version=2, payload="@").replace(b'"@"', b"[" * 5_000 + b"]" * 5_000), 2, "nested too deeply"),
        (GOOD + line(version=3), 2, "2 must come before version 3"),
        (line(payload=[1]), 1, "not a JSON object"),
        (line(events=2, fingerprint=1, metadata={"command_id": "x"}), 1, "has 2 events"),
        (line(fingerprint=1, metadata={"command_id": "x"}) + line(stream_id="b", fingerprint=1,
            metadata={"command_id": "x"}), 2, "x"),
        (b"[{", 1, "cut off"),
        (b'[{"specversion": "1.0"}]', 1, "event 1 of the batch"),
        (b'{"specversion": "0.3", "id": "1", "source": "s", "type": "t"}\n', 1, "not 1.0"),
    ],
)  # fmt: skip
def test_a_wrong_line_is_named_and_the_lines_before_it_are_imported(
    text: bytes, number: int, why: str, log_url: str
) -> None:
    with pytest.raises(WrongLine, match=why) as raised:
        imported(text, log_url)
    assert raised.value.line == number
    if number > 1:
        assert imported(text.splitlines(keepends=True)[0], log_url) == Imported(1, 0)


def test_cloud_events_of_another_system_are_imported_once(log_url: str) -> None:
    event = {"specversion": "1.0", "source": "/shop", "type": "shop.order", "time": "2026-01-01T00:00:00+01:00"}
    texts = [json.dumps({**event, "id": str(n), "subject": f"o-{n % 2}", "data": {"n": n}}) for n in (1, 2, 3, 1)]
    text = "\n".join(texts).encode() + b"\n"
    with pytest.raises(WrongLine, match="give --stream-type"):
        imported(text, log_url)
    assert imported(text, log_url, stream_type="Order") == Imported(4, 3)
    assert imported(text, log_url, stream_type="Order") == Imported(4, 0)
    records, _ = content(log_url)
    assert [(str(one.stream), one.version) for one in records] == [
        ("Order<o-1>", 1),
        ("Order<o-0>", 1),
        ("Order<o-1>", 2),
    ]
    assert json.loads(records[0].metadata)["command_id"] == "/shop#1"


def test_events_that_are_older_than_the_end_of_the_log_get_its_time(log_url: str) -> None:
    first = line(time="2026-01-02T00:00:00Z")
    older = line(stream_id="b", time="2026-01-01T00:00:00Z") + line(stream_id="c", time="2026-01-03T00:00:00Z")
    assert imported(first, log_url).moved == 0
    assert imported(older, log_url) == Imported(2, 2, 1)
    assert imported(older, log_url) == Imported(2, 0, 0)
    times = [one.recorded_us // 86_400_000_000 for one in content(log_url)[0]]
    assert times[0] == times[1] == times[2] - 1
