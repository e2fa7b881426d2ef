"""Fixtures and options of all tests."""

from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from support.each_store import log_url, module_log_url, new_log_url, store_of_the_test
from support.runs_on import leave_out_other_stores, say_how_many, take_counts

__all__ = ["log_url", "module_log_url", "new_log_url", "store_of_the_test"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for the store that the tests run on."""
    parser.addoption("--store", choices=["postgresql"], help="run the tests that need no particular store on this one")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker of tests that run on one store only."""
    config.addinivalue_line("markers", "about(store, why): the test is about this store, and runs on no other")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests about one store in a run on another."""
    if config.option.store is not None:
        leave_out_other_stores(config, items)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what a test process counted, where several run side by side."""
    take_counts(node.config, getattr(node, "workeroutput", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how many tests ran on the store that was asked for."""
    if config.option.store is not None:
        say_how_many(terminalreporter)


@pytest.fixture(autouse=True)
def unconfigured_logs() -> Iterator[None]:
    """Restore structlog's configuration after a command under test, which configured an output that is closed later."""
    yield
    structlog.reset_defaults()
