"""`Messages`: messages between the nodes of a log, as notifications of the database.

A notification holds less than 8,000 bytes, so a message is cut up. The pieces of one message are sent by one statement,
and the server delivers them together and in order. A connection that breaks loses what was on its way.

Invariant: one statement is on its way at a time, and what is told meanwhile, to any node, goes into the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from zlib import crc32

import msgspec

from actorium.store.log import logger
from actorium.store.postgresql.connections.prompt_call import prompt_call
from actorium.store.postgresql.connections.sessions import Connection, Session
from actorium.store.raised import error_text
from actorium.store.writers.prompt_future import PromptFuture

log = logger("actorium.store")

PIECE_BYTES = 7_900
_TELL = (
    "SELECT pg_notify(channel, piece) "
    "FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS pieces (channel, piece, n) ORDER BY n"
)
_LISTEN_AGAIN_S = 0.1


class _Batch(msgspec.Struct, eq=False):
    """The messages that one statement sends: their pieces, each with its channel, and those who wait for it."""

    channels: list[str] = []
    pieces: list[str] = []
    waiting: list[asyncio.Future[None]] = []


class Messages:
    """Sends messages to other nodes, and receives those of this node, on two connections."""

    def __init__(self, sending: Session, hearing: Session, *, schema: str) -> None:
        self._sending = sending
        self._hearing = hearing
        self._prefix = f"actorium_{crc32(schema.encode()):08x}_"
        self._count = 0
        self._next: _Batch | None = None
        self._is_telling = False
        self._parts: dict[int, list[str]] = {}  # by the process id of the sending connection
        self._lost = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None
        hearing.on_closed = self._lost.set

    async def tell(self, node: int, message: bytes) -> None:
        """Send a message to a node."""
        self._count += 1
        texts = cut(message.decode())
        batch = self._next
        if batch is None:
            batch = self._next = _Batch()
        # The number makes every piece different: the server drops a notification that repeats another.
        batch.pieces += (f"{self._count}/{n}/{len(texts)}/{text}" for n, text in enumerate(texts))
        batch.channels += [f"{self._prefix}{node}"] * len(texts)
        told: PromptFuture[None] = PromptFuture(asyncio.get_running_loop())
        batch.waiting.append(told)
        if not self._is_telling:
            self._is_telling = True
            prompt_call(self._tell_all())
        await told

    async def _tell_all(self) -> None:
        """Send what is waiting until nothing is; without a task, which would cost two more iterations of the loop."""
        while (batch := self._next) is not None:
            self._next = None
            error: BaseException | None = None
            try:
                await self._sending.run_to_end(lambda c: c.execute(_TELL, batch.channels, batch.pieces))
            except BaseException as raised:
                error = raised
            for told in batch.waiting:
                if told.done():
                    continue
                if error is None:
                    told.set_result(None)
                elif isinstance(error, asyncio.CancelledError):
                    told.cancel()
                else:
                    told.set_exception(error)
        self._is_telling = False

    async def hear(self, node: int, receive: Callable[[bytes], None], missed: Callable[[], None]) -> None:
        """Call `receive` with each message to a node; when the connection breaks, listen again and call `missed`."""
        channel = f"{self._prefix}{node}"

        def heard(connection: object, pid: int, channel: str, payload: object) -> None:
            self._take(pid, str(payload), receive)

        async def listen(connection: Connection) -> None:
            await connection.add_listener(channel, heard)

        await self._hearing.run(listen)
        self._listening = asyncio.get_running_loop().create_task(self._listen_again(listen, missed))

    async def _listen_again(self, listen: Callable[[Connection], Awaitable[None]], missed: Callable[[], None]) -> None:
        logged: set[type[BaseException]] = set()
        while True:
            await self._lost.wait()
            self._lost.clear()
            self._parts.clear()
            try:
                await self._hearing.run(listen)
                missed()
                logged.clear()
            except Exception as error:
                if type(error) not in logged:
                    logged.add(type(error))
                    log.warning("store.messages_not_heard", error=error_text(error))
                self._lost.set()
                await asyncio.sleep(_LISTEN_AGAIN_S)

    def _take(self, pid: int, piece: str, receive: Callable[[bytes], None]) -> None:
        _, place, count, text = piece.split("/", 3)
        if place == "0":
            self._parts[pid] = []
        parts = self._parts.get(pid)
        if parts is None or len(parts) != int(place):
            return  # its beginning was lost
        parts.append(text)
        if len(parts) == int(count):
            del self._parts[pid]
            receive("".join(parts).encode())

    async def close(self) -> None:
        """Send and receive nothing any more."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        await asyncio.gather(self._sending.close(), self._hearing.close())


def cut(text: str) -> list[str]:
    """Return a text in pieces that fit into notifications; an empty text is one piece."""
    if len(text) <= PIECE_BYTES and (text.isascii() or len(text.encode()) <= PIECE_BYTES):
        return [text]
    pieces, begin = [], 0
    while begin < len(text):
        end = begin + PIECE_BYTES
        while len(text[begin:end].encode()) > PIECE_BYTES:
            end = begin + (end - begin) * 3 // 4
        pieces.append(text[begin:end])
        begin = end
    return pieces
