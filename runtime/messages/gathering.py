"""`FrameSender`: gathers the messages for one peer, and sends them in frames.

Invariants: one frame is on its way at a time, and what is added meanwhile goes into the next; messages keep their
order; a frame is at most `max_bytes` long, and `gathered_bytes` if it holds several messages. The queue has no limit of
its own: `Window` limits the commands in it, and there are no more replies than commands.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from actorium.runtime.messages.frames import FRAME_BYTES_MAX, frame_bytes, frame_of
from actorium.runtime.waits import end
from actorium.store.log import logger
from actorium.store.raised import error_text, let_through

log = logger("actorium.runtime")


class FrameSender:
    """Sends messages to one peer.

    sender: the name of this process, the sender of its frames.
    send: sends one frame, and returns when the next may be sent. If it raises, the frame counts as lost: its commands
        are sent again, and its replies are asked for again.
    max_bytes: the largest frame.
    gathered_bytes: how large a frame becomes by gathering, at most; a larger message is a frame of its own.
    """

    def __init__(
        self,
        sender: str,
        send: Callable[[bytes], Awaitable[None]],
        *,
        max_bytes: int = FRAME_BYTES_MAX,
        gathered_bytes: int | None = None,
    ) -> None:
        self._sender = sender
        self._send = send
        self._gathered_bytes = gathered_bytes
        self._empty_bytes = frame_bytes(sender, ())
        self.limit_frames(max_bytes)
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0  # of these, with their separators
        self._wake: asyncio.Future[bool] | None = None
        self._empty: asyncio.Future[bool] | None = None
        self._is_sending = False
        self.frames = self.messages = self.lost = 0

    def limit_frames(self, max_bytes: int) -> None:
        """Set the size of the largest frame from now on."""
        self._max_bytes = max_bytes
        self.largest_message = max_bytes - self._empty_bytes
        """The number of bytes that one encoded message may have."""

    def add(self, message: bytes) -> None:
        """Send an encoded message with the next frame."""
        assert len(message) <= self.largest_message, "a message is larger than a frame"
        self._waiting.append(message)
        self._waiting_bytes += len(message) + 1
        wake = self._wake
        if wake is not None:
            self._wake = None
            end(wake)

    async def sent(self) -> None:
        """Return when everything that was added is sent, while `run` runs."""
        while self._waiting or self._is_sending:
            self._empty = self._empty or asyncio.get_running_loop().create_future()
            await asyncio.shield(self._empty)

    async def run(self) -> None:
        """Send frames until cancelled."""
        logged: set[type[BaseException]] = set()
        while True:
            if not self._waiting:
                self._is_sending = False
                end(self._empty)
                self._empty = None
                self._wake = asyncio.get_running_loop().create_future()
                await self._wake
            messages = self._next()
            self._is_sending = True
            self.frames += 1
            self.messages += len(messages)
            try:
                await self._send(frame_of(self._sender, messages))
                if logged:
                    logged.clear()
            except BaseException as raised:
                let_through(raised)
                self.lost += 1
                if type(raised) not in logged:
                    logged.add(type(raised))
                    log.warning("frame_lost", messages=len(messages), error=error_text(raised))
                await asyncio.sleep(0)  # the messages behind it must not fail in a loop that never yields

    def _next(self) -> list[bytes]:
        waiting = self._waiting
        limit = self._max_bytes if self._gathered_bytes is None else self._gathered_bytes
        if self._empty_bytes + self._waiting_bytes <= limit:
            messages = list(waiting)
            waiting.clear()
        else:
            # The first goes out even if the limit fell after it was added: `send` says why it cannot.
            messages = [waiting.popleft()]
            size = self._empty_bytes + len(messages[0])
            while waiting and (size := size + len(waiting[0]) + 1) <= limit:
                messages.append(waiting.popleft())
        self._waiting_bytes -= sum(map(len, messages)) + len(messages)
        return messages
