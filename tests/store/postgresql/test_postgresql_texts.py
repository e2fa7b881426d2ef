"""NUL, which PostgreSQL's text cannot hold, stops nobody: ids may not have it, and messages lose it."""

import msgspec
import pytest
from support.transfers import Account, Open

from actorium import Runtime
from actorium.errors import InvalidCommand
from actorium.store.event_store import Append, AppendBatch, SaveCheckpoint
from actorium.store.events import EncodedEvent
from actorium.store.names import StreamName
from actorium.store.postgresql import PostgreSQLStore
from actorium.store.tables.own_rows import ReadSagas, SagaChange
from actorium.testing.contract_words import ALICE, BOB, append, dead_letter, linked, read, versions


@pytest.mark.asyncio
async def test_an_id_with_nul_is_refused_on_every_store(url: str) -> None:
    for store in (url, "memory://"):
        async with Runtime([Account], store=store) as runtime:
            with pytest.raises(InvalidCommand, match="`to` must be the aggregate's id"):
                await runtime.send(Open("a\0b"))
            with pytest.raises(InvalidCommand, match="none of them NUL"):
                await runtime.get(Account, "a\0b")
            with pytest.raises(InvalidCommand, match="none of them NUL"):
                await runtime.send(Open("a"), command_id="c\0")
            await runtime.send(Open("a"))


@pytest.mark.asyncio
async def test_a_flow_whose_id_has_nul_is_kept_in_the_metadata_only(opened: PostgreSQLStore) -> None:
    batch = AppendBatch(1, [append(ALICE, 0), linked(BOB, 0, correlation_id="f\0"), linked(BOB, 1, correlation_id="f")])
    assert (await opened.append(batch)).outcomes == [1, 2, 3]
    assert await versions(opened, BOB) == [1, 2]
    assert [one.position for one in await opened.read_linked("correlation_id", "f", 0, 9)] == [3]
    assert await opened.damage() == []


@pytest.mark.asyncio
async def test_messages_with_nul_are_stored_with_its_symbol(opened: PostgreSQLStore) -> None:
    letter = msgspec.structs.replace(dead_letter(1), error="ValueError: \0", traceback="\0")
    saga = SagaChange("Transfer", "a", "failed", "debit", "no\0", 1, 1)
    assert await opened.save([SaveCheckpoint("p", 1, parked=[letter], changes=[saga])]) == {}
    assert [(one.error, one.traceback) for one in await opened.dead_letters("p")] == [("ValueError: ␀", "␀")]
    assert [one.reason for one in await opened.read_rows(ReadSagas(9))] == ["no␀"]


@pytest.mark.asyncio
async def test_texts_that_contain_the_separator_are_kept_apart(opened: PostgreSQLStore) -> None:
    ids = ["a\x1fb", "\x1f", "a", "\x1f0\x1f", "\x1f1\x1fc", ""]
    appends = [append(StreamName("Account", id), 0, 2, command=f"c{id}\x1f") for id in ids]
    odd = EncodedEvent("\x1f1", 1, b'"\x1f2\x1f"', b'{"causation_id":"a\\u001fb"}')
    appends.append(Append(StreamName("\x1f", ""), 0, (odd,)))
    assert (await opened.append(AppendBatch(1, appends))).outcomes == [1, 3, 5, 7, 9, 11, 13]
    for id in ids:
        assert await versions(opened, StreamName("Account", id)) == [1, 2]
        key = f"c{id}\x1f"
        record = (await opened.find_commands([key])).get(key)
        assert record is not None
        assert record.stream.id == id
    (found,) = await opened.read_linked("causation_id", "a\x1fb", 0, 9)
    assert await read(opened, StreamName("\x1f", "")) == [found]
    assert (found.stream, found.type, found.payload, found.metadata) == (
        StreamName("\x1f", ""),
        odd.type,
        odd.payload,
        odd.metadata,
    )


@pytest.mark.asyncio
async def test_an_empty_text_alone_in_its_batch_is_kept(opened: PostgreSQLStore) -> None:
    stream = StreamName("", "")
    assert (await opened.append(AppendBatch(1, [Append(stream, 0, (EncodedEvent("", 1, b"", b""),))]))).outcomes == [1]
    (found,) = await opened.read_log(0, 9)
    assert (found.stream, found.type, found.payload, found.metadata) == (stream, "", b"", b"")
