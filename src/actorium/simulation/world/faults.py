"""Faults: what can go wrong in a simulated world, how often, and the plan of the faults in one run.

A fault has an identity: its kind, its site (what it happened to: `commit Account<alice>`) and the occurrence number at
that site. It is drawn from the seed and that identity alone, so a run can be repeated with some of its faults left out
and the others unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import NamedTuple

import msgspec

from actorium.simulation.chance import Chance
from actorium.simulation.words import ordinal
from actorium.store.errors import ConfigurationError


class Kind(StrEnum):
    """The kinds of fault; the value of each is its name in a story."""

    CRASH = "crash"
    CRASH_BEFORE_COMMIT = "crash before the commit"
    CRASH_AFTER_COMMIT = "crash after the commit"
    PAUSE = "long pause"
    FROZEN = "frozen past its lease"
    CUT_OFF = "cut off from the log"
    FRAME_LOST = "frame lost"
    FRAME_DOUBLED = "frame duplicated"
    FRAME_LATE = "frame late"
    WIRE_CUT = "frames from one node to another lost for a while"
    BUS_AWAY = "bus unavailable for a while"
    ENTRY_REFUSED = "entry of a stream not written"
    ENTRY_UNHEARD = "confirmation of an entry lost"
    CLOCK_JUMP = "wall clock jumped"
    STORE_FAILED = "store failed before the commit"
    ANSWER_OF_STORE_LOST = "acknowledgement of the commit lost"
    STORE_SLOW = "store slow"
    STORE_OUTAGE = "store unavailable for a while"
    DISK_FULL = "disk full for some commits"
    CONFLICT = "append rejected as a conflict"
    CHECKPOINT_FAILED = "checkpoint not saved"
    READ_FAILED = "read failed"
    READ_SLOW = "read slow"
    REQUEST_LOST = "request lost"
    REQUEST_DOUBLED = "request duplicated"
    REQUEST_DELAYED = "request delayed"
    REQUEST_CANCELLED = "request cancelled"
    REPLY_LOST = "reply lost"
    REPLY_DELAYED = "reply delayed"
    HANDLER_RAISED = "command handler raised"
    EVOLVE_RAISED = "evolve method raised"
    PROJECTION_RAISED = "projection handler raised"
    SAGA_RAISED = "saga method raised"
    EFFECT_FAILED = "effect call lost"
    EFFECT_UNHEARD = "effect reply lost"
    EFFECT_DOUBLED = "effect called twice"
    EFFECT_LATE = "effect reply late"
    POWER_CUT = "power cut"
    BASE_EXCEPTION = "user code raised a BaseException"
    FOREIGN_CANCELLATION = "user code raised a CancelledError"
    UNPRINTABLE_ERROR = "user code raised an error that cannot be printed"
    CLOCK_FAR = "wall clock jumped years ahead and came back"
    DEPLOYED = "deployed with different classes"


# Errors raised in the user's code are drawn at the same sites as its ordinary errors.
OF_CODE = (Kind.BASE_EXCEPTION, Kind.FOREIGN_CANCELLATION, Kind.UNPRINTABLE_ERROR)
# Faults that are rare in a process and that little software is prepared for: only on request.
HOSTILE = frozenset({Kind.CLOCK_FAR, Kind.DEPLOYED})

# Faults that are drawn together: at most one of a family happens at one occurrence of a site.
FAMILIES: Mapping[str, tuple[Kind, ...]] = {
    "commit": (
        Kind.CRASH_BEFORE_COMMIT,
        Kind.CRASH_AFTER_COMMIT,
        Kind.STORE_FAILED,
        Kind.ANSWER_OF_STORE_LOST,
        Kind.STORE_SLOW,
        Kind.STORE_OUTAGE,
        Kind.DISK_FULL,
        Kind.CONFLICT,
    ),
    "disk": (Kind.POWER_CUT,),
    "save": (
        Kind.CRASH_BEFORE_COMMIT,
        Kind.CRASH_AFTER_COMMIT,
        Kind.STORE_FAILED,
        Kind.ANSWER_OF_STORE_LOST,
        Kind.STORE_SLOW,
        Kind.STORE_OUTAGE,
    ),
    "checkpoint": (Kind.CHECKPOINT_FAILED,),
    "read": (Kind.READ_FAILED, Kind.READ_SLOW),
    "request": (Kind.REQUEST_LOST, Kind.REQUEST_DOUBLED, Kind.REQUEST_DELAYED, Kind.REQUEST_CANCELLED),
    "reply": (Kind.REPLY_LOST, Kind.REPLY_DELAYED),
    "decide": (Kind.HANDLER_RAISED, *OF_CODE),
    "evolve": (Kind.EVOLVE_RAISED, *OF_CODE),
    "project": (Kind.PROJECTION_RAISED, *OF_CODE),
    "saga": (Kind.SAGA_RAISED, *OF_CODE),
    "effect": (Kind.EFFECT_FAILED, Kind.EFFECT_UNHEARD, Kind.EFFECT_DOUBLED, Kind.EFFECT_LATE, *OF_CODE),
    "start": (Kind.CRASH,),
    "life": (Kind.CRASH, Kind.PAUSE, Kind.CLOCK_JUMP, Kind.CLOCK_FAR),
    "lease": (Kind.FROZEN,),
    "connection": (Kind.CUT_OFF,),
    "frame": (Kind.FRAME_LOST, Kind.FRAME_DOUBLED, Kind.FRAME_LATE, Kind.WIRE_CUT),
    "bus": (Kind.FRAME_LOST, Kind.FRAME_DOUBLED, Kind.FRAME_LATE, Kind.BUS_AWAY),
    "entry": (Kind.ENTRY_REFUSED, Kind.ENTRY_UNHEARD),
    "deploy": (Kind.DEPLOYED,),
}

# The name of a fault's place in a story.
_PLACES = {
    "commit": "append to {}",
    "disk": "{}",
    "save": "checkpoint of {}",
    "checkpoint": "checkpoint of {}",
    "request": "request of {}",
    "reply": "reply to {}",
    "decide": "command of {}",
    "project": "event for {}",
    "effect": "effect of {}",
    "evolve": "event of {}",
    "saga": "method of {}",
    "start": "start of {}",
    "life": "life of {}",
    "lease": "lease of {}",
    "connection": "connection of {}",
    "frame": "frame from {}",
    "bus": "message of {}",
    "entry": "entry of {}",
    "deploy": "restart of {}",
}

# How often each family happens, as a multiple of the rate. The number of occasions differs: a life starts a few times
# in a run, evolving happens hundreds of times, a disk write a thousand times. The weights give about 25 faults in a run
# of a dozen transfers, with no family crowding out the others.
_WEIGHTS = {
    "commit": 1.5,
    "disk": 0.06,
    "save": 1.1,
    "checkpoint": 5.0,
    "read": 0.45,
    "request": 5.5,
    "reply": 6.0,
    "decide": 0.8,
    "evolve": 0.08,
    "project": 0.5,
    "saga": 0.5,
    "effect": 4.0,
    "start": 2.0,
    "life": 2.0,
    "lease": 2.0,
    "connection": 2.0,
    "frame": 2.0,
    "bus": 2.0,
    "entry": 4.0,
}
# The ordinary errors of user code are more frequent than these.
_OF_CODE_WEIGHT = 0.05
# A deploy has few occasions.
_HOSTILE_WEIGHTS = {Kind.CLOCK_FAR: 0.3, Kind.DEPLOYED: 15.0}


class Faults(msgspec.Struct, frozen=True):
    """The probability of each kind of fault at each point where it could happen.

    rates: the probability of each kind, from 0 to 1.
    reorder: the share of steps at which a task other than the next ready one runs.
    vary_settings: whether the seed chooses the runtime's limits (batches, mailboxes, caches) if the scenario passes no
        Settings.
    """

    rates: Mapping[Kind, float] = {}
    reorder: float = 0.0
    vary_settings: bool = False

    @classmethod
    def all(cls, rate: float = 0.03, *, hostile: bool = False) -> Faults:
        """Return faults of every kind.

        rate: the share of commits, reads and messages that are hit.
        hostile: also include faults that little software is prepared for: a clock that jumps years ahead and comes
            back, and a deployment of different classes between two lives of a node (for a runtime with `releases`).
        """
        _check_rate(rate)
        rates: dict[Kind, float] = {}
        for family, kinds in FAMILIES.items():
            usual = [kind for kind in kinds if kind not in HOSTILE and kind not in OF_CODE]
            for kind in usual:
                rates[kind] = max(rates.get(kind, 0.0), min(0.9, rate * _WEIGHTS[family]) / len(usual))
        rates |= dict.fromkeys(OF_CODE, min(0.9, rate * _OF_CODE_WEIGHT))
        if hostile:
            rates |= {kind: min(0.9, rate * weight) for kind, weight in _HOSTILE_WEIGHTS.items()}
        return cls(rates, reorder=min(0.5, rate * 5), vary_settings=True)

    @classmethod
    def only(cls, *kinds: Kind, rate: float = 0.03) -> Faults:
        """Return faults of the given kinds, each at `rate`."""
        _check_rate(rate)
        return cls(dict.fromkeys(kinds, rate))

    @classmethod
    def none(cls) -> Faults:
        """Return rates of zero, for a plain run."""
        return cls()


def _check_rate(rate: float) -> None:
    if not 0 <= rate <= 1:
        raise ConfigurationError(f"a fault rate is a probability from 0 to 1, not {rate!r}")


class FaultId(NamedTuple):
    """The identity of a fault within a scenario and seed."""

    kind: Kind
    site: str
    occurrence: int

    def __str__(self) -> str:
        family, _, what = self.site.partition(" ")
        place = _PLACES.get(family, f"{family} {{}}").format(what)
        return f"{self.kind} ({ordinal(self.occurrence)} {place})"


class CrashAt(NamedTuple):
    """A step of a process before which it crashes; steps and lives are counted from 1."""

    node: str
    life: int
    step: int

    def __str__(self) -> str:
        return f"crash before step {self.step} of {self.node}.{self.life}"


class FaultPlan:
    """The faults of one run, and a record of those that happened.

    only: if given, exactly these faults happen, and nothing is drawn.
    remember: also record every occasion at which a fault could have happened, for the exhaustive mode.
    """

    def __init__(
        self, chance: Chance, faults: Faults, *, only: Iterable[FaultId] | None = None, remember: bool = False
    ) -> None:
        self._chance = chance
        self._counts: dict[str, int] = {}
        self._only = None if only is None else frozenset(only)
        self._wanted_sites = frozenset(one.site for one in self._only) if self._only is not None else frozenset()
        self._thresholds = {
            family: [(kind, faults.rates.get(kind, 0.0)) for kind in kinds if faults.rates.get(kind, 0.0) > 0]
            for family, kinds in FAMILIES.items()
        }
        self.occasions: list[tuple[str, str, int]] | None = [] if remember else None
        self.happened: list[FaultId] = []
        self._totals = {family: sum(rate for _, rate in kinds) for family, kinds in self._thresholds.items()}
        self._is_active = True
        self._spared = 0
        self.is_watching = False  # the world is inspecting what was committed: the runtime does none of it

    @property
    def is_active(self) -> bool:
        """Whether faults can happen now."""
        return self._is_active and not self._spared

    @is_active.setter
    def is_active(self, is_active: bool) -> None:
        self._is_active = is_active

    @contextmanager
    def spared(self) -> Iterator[None]:
        """Suppress faults inside the block, for a client that has met enough of them."""
        self._spared += 1
        try:
            yield
        finally:
            self._spared -= 1

    def draw(self, family: str, what: str) -> FaultId | None:
        """Return the fault at the next occurrence of a site; `what` is affected. Usually None."""
        if not self._is_active or self._spared:
            return None
        site = f"{family} {what}"
        occurrence = self._counts[site] = self._counts.get(site, 0) + 1
        if self.occasions is not None:
            self.occasions.append((family, site, occurrence))
        if self._only is not None:
            if site not in self._wanted_sites:
                return None
            for kind in FAMILIES[family]:
                fault = FaultId(kind, site, occurrence)
                if fault in self._only:
                    self.happened.append(fault)
                    return fault
            return None
        total = self._totals[family]
        if not total or (number := self._chance.number(site, occurrence)) >= total:
            return None
        for kind, rate in self._thresholds[family]:
            if number < rate:
                fault = FaultId(kind, site, occurrence)
                self.happened.append(fault)
                return fault
            number -= rate
        return None

    def amount(self, fault: FaultId, low: float, high: float) -> float:
        """Return the amount of a fault, between `low` and `high`: the same wherever this fault happens."""
        return low + (high - low) * self._chance.number(f"{fault.site} amount", fault.occurrence)
