"""`AuditFindings`: what every audit of the bank counts, whatever failed before it."""

from __future__ import annotations

import msgspec

_EXAMPLES_MAX = 10


class AuditFindings(msgspec.Struct, kw_only=True):
    """The results of the audits of one run.

    acknowledged: acknowledged commands.
    lost: acknowledged commands that are not at the acknowledged position.
    duplicated: commands with more than one effect.
    gaps: versions or positions that do not follow the previous one.
    moved: commands that were sent again and acknowledged at another position.
    wrong_balances: accounts whose balance, or row in a read model, is not the sum of their events.
    examples: descriptions of the first problems.
    """

    acknowledged: int = 0
    events: int = 0
    lost: int = 0
    duplicated: int = 0
    gaps: int = 0
    moved: int = 0
    wrong_balances: int = 0
    examples: list[str] = []

    @property
    def holds(self) -> bool:
        """Whether all promises were kept."""
        return not (self.lost or self.duplicated or self.gaps or self.moved or self.wrong_balances)

    def note(self, example: str) -> None:
        """Keep an example of what is wrong."""
        if len(self.examples) < _EXAMPLES_MAX:
            self.examples.append(example)
