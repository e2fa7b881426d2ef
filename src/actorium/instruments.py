"""What an instrument derives from, and what it is told: `Instrument` and its arguments."""

from actorium.runtime.instrument import Instrument, ObservedAnswer, ObservedBatch, ObservedCommand

__all__ = ["Instrument", "ObservedAnswer", "ObservedBatch", "ObservedCommand"]
