"""The pages for services, outlets, schedules and nodes, in a real browser."""

from collections.abc import Iterator

import pytest
from support.browser import Browser, browser, why_no_browser
from support.console_page import OPERATE, VIEW, enter, fits, give_reason
from support.market import market
from support.served import Served, served
from support.shop_parts import OpenCustomer, PlaceOrder

from actorium import Runtime

pytestmark = pytest.mark.skipif(bool(why_no_browser()), reason=f"no browser: {why_no_browser()}")


@pytest.fixture(scope="module")
def app(module_log_url: str) -> Iterator[Served]:
    """The running market with two orders that its outlet holds."""
    orders, home = market(module_log_url)
    with served(orders, home) as running:
        running.do(ordered(orders))
        yield running


async def ordered(runtime: Runtime) -> None:
    await runtime.send(PlaceOrder("o-1", "alice", 1))
    await runtime.send(PlaceOrder("o-2", "alice", 1))
    await runtime.send(OpenCustomer("alice", 10))


@pytest.fixture
def page(app: Served) -> Iterator[Browser]:
    with browser() as opened:
        opened.open(f"{app.url}/")
        opened.sees("Token")
        opened.errors()  # the first request has no token
        yield opened


def test_an_operator_recalls_a_held_event_and_pauses_a_schedule(page: Browser) -> None:
    enter(page, OPERATE)
    page.click("nav a", "Outlets")
    page.sees("warehouse", "tbody")
    page.click("tbody button", "Show")
    page.sees("Held by warehouse")
    page.wait("the held events", lambda: page.run("return document.querySelectorAll('td input').length") >= 2)
    page.click("tbody input[type=checkbox]")
    page.click("main button.danger", "Recall")
    give_reason(page, "Recall", "a wrong price")
    page.run("location.hash = '#/dead-letters?discarded=true'")
    page.sees("ann: a wrong price")
    page.click("nav a", "Schedules")
    page.click("tbody input[type=checkbox]")
    page.click("main button", "Pause")
    give_reason(page, "Pause", "the shop moves")
    page.sees("paused", "tbody")
    page.sees("ann: the shop moves", "tbody")
    page.click("nav a", "Operators")
    page.sees("schedules.pause", "tbody")
    page.sees("outlets.recall", "tbody")
    assert page.errors() == []


def test_services_and_the_flow_that_came_from_one_are_shown(page: Browser, module_log_url: str) -> None:
    enter(page, VIEW)
    page.click("nav a", "Services")
    page.sees("customers", "tbody")
    page.sees("fits", "tbody")
    page.click("nav a", "Map")
    page.wait("the service", lambda: page.run("return document.querySelector('rect.service')"))
    page.click("nav a", "Nodes")
    page.sees("belongs to one process" if module_log_url.startswith("sqlite") else "No node has joined")
    page.run("location.hash = '#/causes?event_id=' + encodeURIComponent('Order/gift-alice/1')")
    page.sees("The flow came from the service customers")
    assert page.errors() == []


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (1280, "dark"), (390, "light")])
def test_the_pages_fit_their_window(page: Browser, width: int, theme: str) -> None:
    page.run("localStorage.setItem('theme', arguments[0])", theme)
    page.resize(width, 844)
    enter(page, OPERATE)
    for name in ("outlets", "services", "schedules", "nodes", "map"):
        fits(page, f"#/{name}")
    assert page.errors() == []
