"""`Schedule`: what to submit, and when."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from actorium.actors.commands import Command
from actorium.store.errors import ConfigurationError, from_extra
from actorium.store.names import is_storable_name

CatchUp = Literal["all", "latest", "none"]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INTERVAL_MIN_S = 1.0
_YEAR_S = 366 * 86_400


class Schedule:
    """A part of a runtime that submits a command at each of its times: `Runtime([Account, Schedule(…)], …)`.

    Each firing is a submission with an id derived from the schedule's name and the time. So its command takes effect
    once, whatever crashes and however many processes run the schedule.

    name: the name under which its progress is stored.
    command: returns the command for a firing; gets the time for which it is due, in the schedule's time zone.
    cron: a cron expression of five fields, or six with seconds; daylight saving time is treated as in Debian's cron.
        Needs the extra `schedules`.
    every_s: instead of `cron`: seconds between firings, at least 1, counted from 1970-01-01 00:00 UTC.
    time_zone: the name of the time zone in which `cron` is read, such as "Europe/Prague".
    catch_up: what happens to times that passed while no runtime ran: "latest" fires once, for the latest of them; "all"
        fires for each, at most the last 1,000; "none" fires for none that is more than a minute past.
    jitter_s: spreads firings: each is delayed by up to this many seconds, by an amount derived from its name and time.

    Raises ConfigurationError for invalid arguments.
    """

    def __init__(
        self,
        name: str,
        command: Callable[[datetime], Command],
        *,
        cron: str | None = None,
        every_s: float | None = None,
        time_zone: str = "UTC",
        catch_up: CatchUp = "latest",
        jitter_s: float = 0.0,
    ) -> None:
        if not name or not is_storable_name(name):
            raise ConfigurationError(f"Schedule({name!r:.100}): it needs a name, under which its progress is stored")
        if not callable(command):
            raise ConfigurationError(f"Schedule({name!r}): give a function that returns the command for a time")
        if (cron is None) == (every_s is None):
            raise ConfigurationError(f"Schedule({name!r}): give cron= or every_s=, and not both")
        if catch_up not in ("all", "latest", "none"):
            raise ConfigurationError(f'Schedule({name!r}, catch_up={catch_up!r}): must be "all", "latest" or "none"')
        if not 0 <= jitter_s <= _YEAR_S:
            raise ConfigurationError(f"Schedule({name!r}, jitter_s={jitter_s!r}): must be 0 or more, at most a year")
        try:
            self.zone = ZoneInfo(time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ConfigurationError(f"Schedule({name!r}): there is no time zone {time_zone!r}") from error
        if every_s is not None and not _INTERVAL_MIN_S <= every_s <= _YEAR_S:
            raise ConfigurationError(f"Schedule({name!r}, every_s={every_s!r}): must be 1 or more, at most a year")
        if cron is not None:
            _checked_cron(name, cron)
        self.name = name
        self.command = command
        self.cron = cron
        self.every_s = every_s
        self.catch_up = catch_up
        self._jitter_us = round(jitter_s * 1_000_000)

    def __repr__(self) -> str:
        return f"<Schedule {self.name}>"

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the first time after an aware datetime, in the schedule's time zone; None if there is none."""
        if self.every_s is not None:
            step = timedelta(seconds=self.every_s)
            passed = (moment - _EPOCH) // step
            return (_EPOCH + (passed + 1) * step).astimezone(self.zone)
        from cronsim import CronSim

        assert self.cron is not None, "a schedule has a cron expression or an interval"
        return next(CronSim(self.cron, moment.astimezone(self.zone)), None)

    def jitter_us(self, due_us: int) -> int:
        """Return the delay of a firing in microseconds; the same for each attempt to fire it."""
        if not self._jitter_us:
            return 0
        digest = blake2b(f"{self.name} {due_us}".encode(), digest_size=8).digest()
        return int.from_bytes(digest) % (self._jitter_us + 1)


def _checked_cron(name: str, cron: str) -> None:
    with from_extra("schedules", f"Schedule({name!r}, cron=…)", "cronsim"):
        from cronsim import CronSim, CronSimError
    try:
        CronSim(cron, _EPOCH)
    except CronSimError as error:
        raise ConfigurationError(f"Schedule({name!r}, cron={cron!r}): {error}") from error
