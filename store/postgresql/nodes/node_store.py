"""`PostgreSQLNodeStore`: a log in PostgreSQL that one runtime opens alone, or several nodes with `join`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import TypeVar

from actorium.store.errors import ActoriumError, Fenced, StoreInUse
from actorium.store.events import EncodedRecord
from actorium.store.personal.keys import KeyStore
from actorium.store.postgresql import reading
from actorium.store.postgresql.adapter import PostgreSQLStore
from actorium.store.postgresql.connections.failures import unavailable
from actorium.store.postgresql.connections.keys import PostgreSQLKeys
from actorium.store.postgresql.connections.sessions import Connection, Session
from actorium.store.postgresql.nodes import membership
from actorium.store.postgresql.nodes.membership import Obstacle
from actorium.store.postgresql.nodes.messages import Messages
from actorium.store.postgresql.ownership import Ownership
from actorium.store.shared import Members, Placement

T = TypeVar("T")

_LOOK_AGAIN_S = 0.1
# A connection that broke comes back within a look; only a process that ended stays away for two.
_LOOKS_WITHOUT_SESSION = 2
_LEASES_TO_WAIT = 2


class PostgreSQLNodeStore(PostgreSQLStore):
    """A `ClusterStore`; its parameters are those of `PostgreSQLStore`."""

    _placing: Session | None = None
    _messages: Messages | None = None
    _about_nodes: Mapping[int, str] = {}

    @property
    def personal_keys(self) -> KeyStore:
        """The keys of personal data: in the schema `<schema>_keys`."""
        return PostgreSQLKeys(self._uri, schema=f"{self._options.schema}_keys")

    @property
    def lease_s(self) -> float:
        """How long a node that shows no sign of life keeps what it owns, in seconds."""
        return self._options.lease_s

    async def join(self, name: str, code: str = "", about: str = "") -> int:
        """Open the log as one of several nodes, as `ClusterStore.join` does."""

        async def enter(session: Session) -> Ownership:
            return await self._entered(session, name, code, about)

        await self._open_with(enter)
        connector, schema = self._connector, self._options.schema
        self._placing = Session(connector.for_role("nodes"))
        sending, hearing = Session(connector.for_role("wire")), Session(connector.for_role("wire"))
        self._messages = Messages(sending, hearing, schema=schema)
        return self._require_lease().require().node

    async def _entered(self, session: Session, name: str, code: str, about: str) -> Ownership:
        loop = asyncio.get_running_loop()
        until = loop.time() + _LEASES_TO_WAIT * self._options.lease_s
        looks: dict[int, int] = {}
        while True:
            found = await session.run(lambda c: membership.obstacles(c, name))
            looks = {one.id: looks.get(one.id, 0) + 1 for one in found if not one.has_session}
            if all(_is_gone(one, looks.get(one.id, 0)) for one in found):
                node = (name, code, about, self._options.lease_s, found)
                owned = await session.run(lambda c: membership.enter(c, *node))  # noqa: B023  (it runs at once)
                if owned is not None:
                    return owned
            elif loop.time() > until:
                names = ", ".join(one.name for one in found)
                raise StoreInUse(
                    f"node {name} cannot join {self._connector.place}, which is in use by {names}: stop that one, or "
                    "give this node another name"
                )
            await asyncio.sleep(min(_LOOK_AGAIN_S, self._options.lease_s / 4))

    async def close(self) -> None:
        messages, self._messages = self._messages, None
        placing, self._placing = self._placing, None
        if messages is not None:
            await messages.close()
        if placing is not None:
            await placing.close()
        await super().close()

    async def renew(self, *, is_passive: bool = False) -> Members:
        lease = self._require_lease()
        owned, sent_s = lease.require(), asyncio.get_running_loop().time()

        async def renewed(connection: Connection) -> Members:
            return await membership.renew(
                connection, owned, self._options.lease_s, self._about_nodes, is_passive=is_passive
            )

        members = await self._as_node(self._require_open().lease_session, renewed)
        self._about_nodes = {one.number: one.about for one in members.nodes}
        lease.renewed(sent_s)
        return members

    async def read_wanted(self, after_position: int, limit: int, left_out: Collection[str]) -> list[EncodedRecord]:
        return await self._read(lambda c: reading.read_wanted(c, after_position, limit, left_out))

    async def fence(self, node: int) -> bool:
        owned = self._require_lease().require()
        return await self._as_node(self._placing, lambda c: membership.fence(c, owned, node))

    async def placement(self) -> Placement:
        self._require_lease().require()
        return await self._as_node(self._placing, membership.placement)

    async def cluster_state(self) -> tuple[Members, Placement]:
        return await self._read(membership.state)

    async def place(self, after: Placement) -> bool:
        owned = self._require_lease().require()
        return await self._as_node(self._placing, lambda c: membership.place(c, owned, after))

    async def pass_on(self, shards: Mapping[int, int]) -> None:
        owned = self._require_lease().require()
        await self._as_node(self._placing, lambda c: membership.pass_on(c, owned, shards))

    async def tell(self, node: int, message: bytes) -> None:
        self._require_lease().require()
        messages = self._messages
        assert messages is not None, "a node has joined before it sends"
        try:
            await messages.tell(node, message)
        except Exception as error:
            raise unavailable(error, f"{self._connector.place} did not take a message") from error

    async def hear(self, receive: Callable[[bytes], None], missed: Callable[[], None]) -> None:
        messages = self._messages
        assert messages is not None, "a node has joined before it hears"
        await messages.hear(self._require_lease().require().node, receive, missed)

    async def _as_node(self, session: Session | None, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Run one statement or transaction of this node; what it wrote is not known if it raises StoreUnavailable."""
        assert session is not None, "the node has joined"
        try:
            return await session.run(work)
        except Fenced as reason:
            self._require_lease().lose(reason)
            raise
        except ActoriumError:
            raise
        except Exception as error:
            raise unavailable(error, f"{self._connector.place} did not answer a node") from error


def _is_gone(one: Obstacle, looks_without_session: int) -> bool:
    return not one.has_lease or looks_without_session >= _LOOKS_WITHOUT_SESSION
