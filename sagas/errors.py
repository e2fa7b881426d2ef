"""What can go wrong around a saga."""

from __future__ import annotations

from actorium.store.errors import OutcomeUnknown


class SagaTimeout(OutcomeUnknown):
    """A saga did not end within the time that its caller gave it; it goes on by itself."""
