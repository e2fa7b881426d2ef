"""Every test of this folder that uses a store in memory also runs on PostgreSQL."""

from support.each_store import pytest_generate_tests

__all__ = ["pytest_generate_tests"]
