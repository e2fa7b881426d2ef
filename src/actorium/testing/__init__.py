"""What tests of an application, and of a store adapter, import."""

from actorium.testing.contract import EventStoreContract
from actorium.testing.given import Given, When, given
from actorium.testing.loop_source import LoopSource

__all__ = ["EventStoreContract", "Given", "LoopSource", "When", "given"]
