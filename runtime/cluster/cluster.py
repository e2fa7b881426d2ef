"""`Cluster`: the settings of a node of a cluster."""

from __future__ import annotations

import msgspec

from actorium.runtime.bus.bus import Bus
from actorium.runtime.bus.urls import open_bus
from actorium.store.errors import ConfigurationError

NAME_LENGTH_MAX = 100


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """Makes a runtime one of several nodes on one log: `Runtime([Account], store=url, cluster=Cluster(node="a"))`.

    node: the name of this node. No other node may have it at the same time; a node that starts again keeps it, and with
        it most of its shards.
    code: the version of this node's code, for people: `actorium nodes` shows it.
    wire: the URL of a bus (`nats://host:4222`), or a Bus, that carries the commands between the nodes. Without it, and
        while the bus is away, the database carries them.

    Raises ConfigurationError for an invalid name or wire.
    """

    node: str
    code: str = ""
    wire: str | Bus = ""

    def __post_init__(self) -> None:
        for name in ("node", "code"):
            value = getattr(self, name)
            if not isinstance(value, str) or len(value) > NAME_LENGTH_MAX or not (value.isprintable() or not value):
                raise ConfigurationError(
                    f"Cluster({name}={value!r}): must be a printable string of at most {NAME_LENGTH_MAX} characters"
                )
        if not self.node.strip():
            raise ConfigurationError(f"Cluster(node={self.node!r}): a node needs a name, such as its host's")
        bus_of(self)


def bus_of(cluster: Cluster) -> Bus | None:
    """Return the bus that carries the commands between the nodes, not yet opened; None if the database carries them."""
    try:
        return None if cluster.wire == "" else open_bus(cluster.wire)
    except ConfigurationError as error:
        raise ConfigurationError(f"Cluster(wire=…): {error}") from error
