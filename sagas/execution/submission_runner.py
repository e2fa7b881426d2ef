"""`SubmissionRunner`: carries out submitted commands: each is an intent of one command, under its submission's id.

Invariant: a command is sent under the id it was submitted with, so it takes effect once however often it is sent.
"""

from __future__ import annotations

from actorium.runtime.retry import Retry
from actorium.sagas.execution.command_runner import CommandRunner, said
from actorium.sagas.execution.services import Services
from actorium.sagas.model.intents import Intent, IntentKey
from actorium.sagas.model.submissions import SUBMISSION, Conclude, Submission
from actorium.store.errors import ActoriumError, DamagedLog, Transient
from actorium.store.names import StreamName, event_id

# A command that fails repeatedly, mostly because of a bug in its handler, is concluded with the error after this.
_RETRY = Retry(attempts=5, backoff_s=0.2, backoff_max_s=30.0)


class SubmissionRunner(CommandRunner):
    """The policy for submitted commands."""

    # No caller waits: retry without limit while the runtime is overloaded or the store unavailable.
    patience = Retry(attempts=1, backoff_s=0.2, backoff_max_s=30.0)

    def __init__(self, services: Services) -> None:
        super().__init__(services, Submission.__definition__.handlers)

    async def recorded(self, key: IntentKey) -> Intent | None:
        """Return the command while its submission waits; None if it was concluded or cancelled."""
        submission: Submission = await self._state(key)
        accepted = submission.accepted
        if submission.status != "waiting" or accepted is None:
            return None
        return Intent(
            step="",
            undo=False,
            commands={0: accepted.command},
            effect=False,
            flow_id=accepted.correlation_id or key.id,
            causation_id=event_id(StreamName(SUBMISSION, key.id), 1),
            headers=accepted.headers,
        )

    def retry_of(self, key: IntentKey, intent: Intent) -> Retry:
        """Return the retry policy for a failing command."""
        return _RETRY

    def counts(self, error: Exception) -> bool:
        """Return whether an error uses up an attempt: not if the store is unavailable or damaged."""
        match error:
            case Transient() | DamagedLog():
                return False
        return True

    def outcome(self, key: IntentKey, index: int, error: BaseException | None, attempts: int) -> Conclude:
        """Return the outcome of the command as a report to its submission."""
        return Conclude(key.id, *said(error))

    def broken(self, key: IntentKey, trouble: ActoriumError) -> None:
        """Return None, to repeat the report: a submission cannot be stuck."""
