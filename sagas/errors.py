"""Errors of sagas."""

from __future__ import annotations

from actorium.store.errors import OutcomeUnknown


class SagaTimeout(OutcomeUnknown):
    """A saga did not end within the time that the caller allowed; the saga continues."""
