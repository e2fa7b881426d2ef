"""`ServiceStatistics`: the state of a service's connections with other services."""

from __future__ import annotations

import msgspec


class PeerStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Another service to which commands are sent, or whose events are taken in, as seen from here.

    is_known: it has said what it offers, so the contracts were compared.
    circuit: "closed", or "open" while nothing is sent because it did not answer.
    unanswered: commands that were sent and are not answered.
    waiting: senders that wait for room.
    refused: commands refused because too many were unanswered.
    problems: what is used of it and does not fit what it offers, by the stored name of the command or event.
    """

    name: str
    is_known: bool
    circuit: str
    unanswered: int
    waiting: int
    refused: int
    problems: dict[str, str]


class GuestStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Another service that sends commands here.

    in_flight: its commands that were let in and are not answered.
    problems: what it uses of this service and does not fit what this one offers.
    """

    name: str
    in_flight: int
    problems: tuple[str, ...]


class ServiceStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """A service and the services around it.

    name: the name under which others know it.
    bus: the address of the bus, without secrets.
    is_connected: whether messages reach the bus now.
    asked, refused: commands of other services since the start, and those among them that were not let in.
    problem: two logs are on the bus under this name; which, where, and which of them takes no commands. Empty if not.
    """

    name: str
    bus: str
    is_connected: bool
    asked: int
    refused: int
    peers: tuple[PeerStatistics, ...]
    guests: tuple[GuestStatistics, ...]
    problem: str = ""
