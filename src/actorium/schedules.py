"""`Schedule`, a part of a runtime that submits commands again and again, and what `runtime.schedules` returns."""

from actorium.sagas.schedules.schedule import Schedule
from actorium.sagas.schedules.schedules import Schedules, ScheduleView

__all__ = ["Schedule", "ScheduleView", "Schedules"]
