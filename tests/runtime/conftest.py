"""Every test of this folder that uses a store in memory also runs on PostgreSQL."""

from support.each_store import pytest_generate_tests, store_of_the_test

__all__ = ["pytest_generate_tests", "store_of_the_test"]
