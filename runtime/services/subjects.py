"""The subjects of the bus: who listens where, and how ids of one service are known at another."""

from __future__ import annotations

from actorium.runtime.commands.derived_ids import MARK, DerivedId, derived_id

HELLO = "actorium.hello"
VOID = "actorium.void"
"""The type of a message which says that a command did not happen, so that it can no longer take effect."""


def asks_to(service: str, sender: str) -> str:
    """Return where one service asks another; the server can restrict who may publish there."""
    return f"actorium.asks.{service}.{sender}"


def sender_of(subject: str) -> str:
    """Return who publishes to a subject of `asks_to` or `questions_to`."""
    return subject.rpartition(".")[2]


def questions_to(service: str, sender: str) -> str:
    """Return where one service asks another about its log."""
    return f"actorium.questions.{service}.{sender}"


def replies_to(service: str, instance: str) -> str:
    """Return where one process of a service gets replies; each frame adds its number."""
    return f"actorium.replies.{service}.{instance}"


def events_of(service: str) -> str:
    """Return the stream of a service's published events."""
    return f"actorium.events.{service}"


def growth_of(service: str) -> str:
    """Return where a service says how far its stream of events has grown."""
    return f"actorium.grown.{service}"


def id_of_elsewhere(service: str, command_id: str) -> str:
    """Return the id under which a command of another service is stored here.

    Ids that callers choose stay as they are. Ids that the other runtime derived, for a saga or a submission, are unique
    only there, so the service's name becomes part of them.
    """
    if not command_id.startswith(MARK):
        return command_id
    return DerivedId(derived_id(f"{MARK}{service}/{command_id[len(MARK) :]}"))


def event_id_of_elsewhere(service: str, event_id: str) -> str:
    """Return the id under which an event of another service is known here; empty for no event."""
    return f"{service}:{event_id}" if event_id else ""
