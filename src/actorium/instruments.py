"""`Instrument`, the base class of instruments, and the arguments of its callbacks."""

from actorium.runtime.instrument import Instrument, ObservedAnswer, ObservedBatch, ObservedCommand

__all__ = ["Instrument", "ObservedAnswer", "ObservedBatch", "ObservedCommand"]
