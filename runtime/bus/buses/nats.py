"""`NatsBus`: messages over NATS, and streams in its JetStream.

Invariants: each connection is a client of its own, made by one task, which makes the next when it ends; subscriptions
last longer than connections and are made again on each; what a connection had not sent when it broke is lost, and the
watcher is told.

The client reports the end of a connection only after it has closed it, which can take long or fail. So its state is
checked from time to time, too.

A slow receiver loses messages on the side of the client; the client says so only to its error callback, which passes it
on to the watcher.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import DiscardPolicy, Header, RetentionPolicy, StorageType, StreamConfig

from actorium.runtime.bus.bus import (
    ENTRIES_PER_READ,
    BusMessage,
    BusWatcher,
    Entry,
    StreamEnds,
    Take,
)
from actorium.runtime.errors import ServiceUnavailable, WrongSequence
from actorium.runtime.waits import end
from actorium.store.errors import ConfigurationError
from actorium.store.log import logger
from actorium.store.raised import error_text, let_through

log = logger("actorium.services")

T = TypeVar("T")

_DEFAULT_LARGEST = 1_048_576
_FIRST_CONNECT_S = 2.0
_RECONNECT_S = 0.2
_CHECK_S = 0.5
_PING_S = 5
_FLUSH_S = 2
_REQUEST_S = 5.0
_PENDING_BYTES_MAX = 16_777_216
_READ_BYTES_MAX = 4_194_304
_WRONG_LAST_SEQUENCE = 10071
_OTHER_SETTINGS = 10058
# The status of the message behind the last entry of a batch, and of one that found no entry.
_END_OF_BATCH, _NO_ENTRY = "204", "404"
_DENIED = ("authorization", "authentication", "permissions violation for connect")


class _Connection(Client):
    """A client that does not try to send over a connection that has ended: that fails, and leaves it half closed."""

    def _process_disconnect(self) -> None:
        super()._process_disconnect()
        self._pending.clear()
        self._pending_data_size = 0


class NatsSubscription:
    """A subscription, which is made on every connection."""

    def __init__(self, bus: NatsBus, subject: str, group: str, take: Take) -> None:
        self.subject = subject
        self.group = group
        self._bus = bus
        self._take = take
        self._live: Any = None

    async def make(self, client: Client) -> None:
        """Subscribe on a new connection."""
        self._live = await client.subscribe(
            self.subject, self.group, self._received, pending_bytes_limit=_PENDING_BYTES_MAX
        )

    async def _received(self, message: Msg) -> None:
        self._take(BusMessage(message.subject, message.data, message.reply))

    async def cancel(self) -> None:
        """Receive nothing more, after what the server had sent already."""
        self._bus.subscriptions.pop(self, None)
        try:
            await self._live.drain()
        except (AttributeError, nats.errors.Error, OSError):  # not connected, so there is nothing to cancel
            pass


class NatsBus:
    """A bus on NATS servers.

    servers: their URLs, such as `nats://user:password@host:4222` or `tls://host`.
    fsync: whether the servers write entries of streams to the disk before they confirm them (`sync_interval: always`).
        A client cannot find out, so it is warned about unless it is said here.
    replicas: how many servers of a cluster hold each stream that this bus creates.
    options: passed to `nats.connect`: `user_credentials`, `nkeys_seed`, `tls`, `token` …
    """

    def __init__(self, *servers: str, fsync: bool = False, replicas: int = 1, **options: Any) -> None:
        self._servers = [*servers]
        self._fsync = fsync
        self._replicas = replicas
        self._options: Mapping[str, Any] = options
        self._name = ""
        self._watcher: BusWatcher | None = None
        self._client: Client | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._broke: asyncio.Future[bool] | None = None
        self._tried: asyncio.Future[bool] | None = None
        self._refusal: ConfigurationError | None = None
        self._warned = False
        self.subscriptions: dict[NatsSubscription, None] = {}

    async def open(self, name: str, watcher: BusWatcher) -> None:
        """Connect; return after two seconds if no server answers, and go on trying."""
        self._name, self._watcher = name, watcher
        loop = asyncio.get_running_loop()
        self._tried = loop.create_future()
        self._keeper = loop.create_task(self._keep_connected(), name=f"actorium bus of {name}")
        await asyncio.wait((self._tried, self._keeper), timeout=_FIRST_CONNECT_S, return_when=asyncio.FIRST_COMPLETED)
        if self._refusal is not None:
            await self.close()
            raise self._refusal

    async def close(self) -> None:
        """Send what was published, then disconnect."""
        if self._client is not None and self._client.is_connected:
            try:
                await _sent(self._client)
            except (nats.errors.Error, OSError):
                pass
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait((self._keeper,))

    @property
    def is_connected(self) -> bool:
        """Whether a server is connected."""
        return self._client is not None and self._client.is_connected

    @property
    def largest_message(self) -> int:
        """The server's `max_payload`."""
        return self._client.max_payload if self._client is not None else _DEFAULT_LARGEST

    async def publish(self, subject: str, data: bytes, reply: str = "") -> None:
        """Send a message."""
        try:
            await self._connected().publish(subject, data, reply)
        except (nats.errors.Error, OSError) as error:
            raise self._unavailable(error) from error

    async def subscribe(self, subject: str, take: Take, *, group: str = "") -> NatsSubscription:
        """Call `take` with each message to a subject."""
        one = NatsSubscription(self, subject, group, take)
        self.subscriptions[one] = None
        if self.is_connected:
            try:
                client = self._connected()
                await one.make(client)
                await _sent(client)  # the server has it now: what others send from now on arrives
            except (nats.errors.Error, OSError):
                pass  # it is made again with the next connection
        return one

    # --- streams --------------------------------------------------------------------------------------------------

    async def append(self, stream: str, data: bytes, *, after: int) -> int:
        """Append an entry with the sequence number that JetStream must be at."""
        self._warn_once(stream)
        if after == 0:
            await self._create(stream)
        headers = {str(Header.EXPECTED_LAST_SEQUENCE.value): str(after)}
        answer = await self._while_connected(
            lambda client: client.request(stream, data, timeout=_REQUEST_S, headers=headers)
        )
        said = json.loads(answer.data)
        trouble = said.get("error")
        if trouble is None:
            return int(said["seq"])
        if trouble.get("err_code") == _WRONG_LAST_SEQUENCE:
            raise WrongSequence(f"the stream {stream} does not end at {after}: read its end again")
        raise ServiceUnavailable(f"JetStream did not accept an entry of {stream}: {trouble.get('description')}")

    async def _create(self, stream: str) -> None:
        """Create a stream, unless it exists; an operator may have created it with other settings."""
        config = StreamConfig(
            name=_stream_name(stream),
            subjects=[stream],
            storage=StorageType.FILE,
            retention=RetentionPolicy.LIMITS,
            discard=DiscardPolicy.NEW,
            num_replicas=self._replicas,
            allow_direct=True,
            deny_delete=True,
        )
        try:
            await self._while_connected(lambda client: client.jetstream(timeout=_REQUEST_S).add_stream(config))
        except nats.js.errors.BadRequestError as refusal:
            if refusal.err_code != _OTHER_SETTINGS:
                raise self._unavailable(refusal) from refusal

    async def ends(self, stream: str) -> StreamEnds:
        """Return the first and last sequence number of a stream."""
        name = _stream_name(stream)
        try:
            info = await self._while_connected(lambda client: client.jetstream(timeout=_REQUEST_S).stream_info(name))
        except nats.js.errors.NotFoundError:
            return StreamEnds(0, 0)
        last = info.state.last_seq
        return StreamEnds(info.state.first_seq if info.state.messages else min(last + 1, last * 2), last)

    async def read(self, stream: str, after: int, limit: int = ENTRIES_PER_READ) -> list[Entry]:
        """Return the entries after a sequence number, with one request."""
        return await self._while_connected(lambda client: self._read(client, stream, after, limit))

    async def _read(self, client: Client, stream: str, after: int, limit: int) -> list[Entry]:
        inbox = client.new_inbox()
        wanted = json.dumps({"seq": after + 1, "batch": limit, "max_bytes": _READ_BYTES_MAX}).encode()
        entries: list[Entry] = []
        answers = await client.subscribe(inbox)
        try:
            await client.publish(f"$JS.API.DIRECT.GET.{_stream_name(stream)}", wanted, inbox)
            while True:
                message = await answers.next_msg(_REQUEST_S)
                headers = message.headers or {}
                status = headers.get("Status")
                if status is None:
                    entries.append(Entry(int(headers["Nats-Sequence"]), message.data))
                elif status in (_END_OF_BATCH, _NO_ENTRY):
                    return entries
                else:
                    return await self._read_refused(stream, status, headers)
        finally:
            await answers.unsubscribe()

    async def _read_refused(self, stream: str, status: str, headers: Mapping[str, str]) -> list[Entry]:
        if status == "503" and (await self.ends(stream)).last == 0:
            return []  # it does not exist yet
        said = headers.get("Description", "no answer")
        raise ServiceUnavailable(
            f"JetStream does not let {stream} be read ({status} {said}): its stream needs allow_direct, and the server "
            "version 2.11 or newer"
        )

    def describe(self) -> str:
        """Return the addresses without user names and passwords."""
        return ",".join(f"{scheme}://{rest.rpartition('@')[2]}" for scheme, _, rest in map(_split, self._servers))

    # --- the connection -------------------------------------------------------------------------------------------

    def _connected(self) -> Client:
        client = self._client
        if client is None or not client.is_connected:
            raise ServiceUnavailable(f"the bus {self.describe()} is not connected")
        return client

    async def _while_connected(self, request: Callable[[Client], Awaitable[T]]) -> T:
        """Return the answer to a request; raise ServiceUnavailable when its connection ends, or for no answer."""
        asking = asyncio.ensure_future(request(self._connected()))
        asking.add_done_callback(lambda done: done.cancelled() or done.exception())
        assert self._broke is not None, "a connection ends sometime"
        try:
            await asyncio.wait((asking, self._broke), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not asking.done():
                asking.cancel()
        if not asking.done():
            raise ServiceUnavailable(f"the connection to the bus {self.describe()} broke before it answered")
        try:
            return asking.result()
        except (nats.js.errors.NotFoundError, nats.js.errors.BadRequestError):
            raise
        except (nats.errors.Error, OSError) as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> ServiceUnavailable:
        return ServiceUnavailable(f"the bus {self.describe()} did not answer: {error_text(error)}")

    async def _keep_connected(self) -> None:
        """Connect, and connect again whenever the connection has ended, until cancelled."""
        loop = asyncio.get_running_loop()
        logged = ""  # an outage is logged once, not at each attempt
        while True:
            client = _Connection()
            self._broke = broke = loop.create_future()
            try:
                await self._connect(client)
                await self._subscribe_all(client)
                self._client = client
                log.info("bus_connected", bus=self.describe(), service=self._name)
                logged = ""
                end(self._tried)
                assert self._watcher is not None, "a bus is opened with a watcher"
                self._watcher.connected()
                while client.is_connected:
                    await asyncio.wait((broke,), timeout=_CHECK_S)
                log.warning("bus_disconnected", bus=self.describe(), service=self._name)
                self._watcher.disconnected()
            except BaseException as raised:
                let_through(raised)
                if _is_denied(raised) and self._tried is not None and not self._tried.done():
                    self._refusal = ConfigurationError(
                        f"the bus {self.describe()} refused {self._name}: {raised}; correct the user, the password or "
                        "the credentials in its URL, or the server's permissions"
                    )
                    return
                if error_text(raised) != logged:
                    logged = error_text(raised)
                    log.warning("bus_unavailable", bus=self.describe(), service=self._name, error=logged)
            finally:
                end(broke)
                await _leave(client)
            await asyncio.sleep(_RECONNECT_S)

    async def _subscribe_all(self, client: Client) -> None:
        """Make every subscription on a new connection, also those that are added meanwhile."""
        made: set[NatsSubscription] = set()
        while missing := [one for one in self.subscriptions if one not in made]:
            for one in missing:
                await one.make(client)
            made.update(missing)
            await _sent(client)

    async def _connect(self, client: Client) -> None:
        await client.connect(
            self._servers,
            name=f"actorium {self._name}",
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            ping_interval=_PING_S,
            error_cb=self._error,
            closed_cb=self._closed,
            **self._options,
        )

    async def _closed(self) -> None:
        end(self._broke)

    async def _error(self, error: Exception) -> None:
        if isinstance(error, nats.errors.SlowConsumerError):
            said = f"messages to {error.subject} came faster than {self._name} took them"
            if self._watcher is not None:
                self._watcher.lost(said)
        elif not isinstance(error, OSError):  # those end the connection, which is logged
            log.warning("bus_error", bus=self.describe(), service=self._name, error=error_text(error))

    def _warn_once(self, stream: str) -> None:
        if self._fsync or self._warned:
            return
        self._warned = True
        log.error(
            "jetstream_may_lose_events",
            bus=self.describe(),
            stream=stream,
            reason="by default, JetStream confirms entries minutes before it writes them to the disk",
            remedy="set `sync_interval: always` in the jetstream section of nats-server's configuration, then add "
            "?fsync=yes to the URL of the bus",
        )


async def _sent(client: Client) -> None:
    """Return when the server has taken what was sent: a first ping overtakes what the client has gathered."""
    await client.flush(_FLUSH_S)
    await client.flush(_FLUSH_S)


async def _leave(client: Client) -> None:
    """Close a connection; give up when what it has not sent cannot be sent."""
    try:
        async with asyncio.timeout(_FLUSH_S):
            await client.close()
    except (nats.errors.Error, OSError):
        pass


def _split(url: str) -> tuple[str, str, str]:
    return url.partition("://")


def _stream_name(subject: str) -> str:
    return subject.replace(".", "-")


def _is_denied(error: BaseException) -> bool:
    return any(word in str(error).lower() for word in _DENIED)
