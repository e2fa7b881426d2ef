"""What tests of an application, and of a store adapter, import."""

from actorium.testing.given import Given, When, given
from actorium.testing.loop_source import LoopSource

__all__ = ["Given", "LoopSource", "When", "given"]
