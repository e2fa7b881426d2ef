"""What tests of an application, and of a store adapter, import."""

from actorium.testing.given import Given, When, given

__all__ = ["Given", "When", "given"]
