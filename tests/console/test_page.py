"""The console in a real browser: what an operator does in it, and what a viewer or another site cannot do."""

import asyncio
import itertools
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.browser import Browser, browser, why_no_browser
from support.console_page import OPERATE, VIEW, enter, fits, give_reason
from support.served import Served, served_shop
from support.shop import Faults, PlaceOrder, mail, place, until

from actorium import Runtime

pytestmark = pytest.mark.skipif(bool(why_no_browser()), reason=f"no browser: {why_no_browser()}")

SCRIPT = "<script>window.ran = true</script>"
SAGAS = 10_000


async def many(runtime: Runtime, count: int) -> None:
    """Place orders that are shipped and confirmed, a hundred at a time, and wait until the list shows them."""
    for start in range(0, count, 100):
        numbers = range(start, min(count, start + 100))
        await asyncio.gather(*[runtime.send(PlaceOrder(f"order-{n:05}", f"customer-{n % 100}", 1)) for n in numbers])
    await until(runtime, f"order-{count - 1:05}", "completed")
    async with asyncio.timeout(60):
        while runtime.processors[mail].statistics().lag_events:  # noqa: ASYNC110  (it sends in the background)
            await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
def shop(module_log_url: str) -> Iterator[Served]:
    """A running shop with 10,000 sagas, two of them stuck, and parked events."""
    with served_shop(module_log_url) as shop:
        Faults.warehouse = Faults.mail = False
        shop.do(many(shop.runtime, SAGAS))
        Faults.warehouse = Faults.mail = True
        shop.do(place(shop.runtime, "stuck-1", SCRIPT))
        for order in ("stuck-1", SCRIPT):
            shop.do(until(shop.runtime, order, "failed"))
        yield shop


@pytest.fixture
def page(shop: Served) -> Iterator[Browser]:
    """The console in a browser, before anybody has entered a token."""
    with browser() as opened:
        opened.open(f"{shop.url}/")
        opened.sees("Token")
        opened.errors()  # the first request has no token
        yield opened


def test_a_stuck_saga_among_many_is_found_read_and_retried_and_seen_to_complete(page: Browser) -> None:
    enter(page, OPERATE)
    page.sees("10,000")
    page.click("a.tile", "sagas stuck")
    page.sees("Sagas", "h1")
    page.type("main label:nth-of-type(2) input", "stuck")
    page.wait("one row", lambda: page.run("return document.querySelectorAll('tbody tr').length") == 1)
    page.click("tbody a", "stuck-1")
    page.sees("stuck at ship", ".timeline")
    page.sees("the warehouse has no paper")
    Faults.warehouse = False
    page.click("button", "Retry")
    give_reason(page, "Retry", "paper is back")
    page.sees("completed", "main .badge")
    page.sees("retry of ship by an operator: ann: paper is back", ".timeline")
    page.click("nav a", "Operators")
    page.sees("paper is back", "tbody")
    page.sees("sagas.retry", "tbody")
    assert page.errors() == []
    Faults.warehouse = True


def test_a_dead_letter_is_read_and_retried(page: Browser, shop: Served) -> None:
    enter(page, OPERATE)
    page.click("nav a", "Dead letters")
    page.click("tbody tr", "stuck-1")
    page.sees("ConnectionError: no mail for alice", "pre")
    page.click("button", "Close")
    Faults.mail = False
    page.click("tbody tr input")
    page.click("main .row button", "Retry")
    give_reason(page, "Retry", "mail is back")
    page.wait("one letter less", lambda: "1 in all" in page.text())
    assert len(shop.do(letters(shop.runtime))) == 1
    assert page.errors() == []
    Faults.mail = True


async def letters(runtime: Runtime) -> list[Any]:
    return runtime.dead_letters.list()


def test_a_causation_tree_is_followed_from_an_event_to_its_effects_and_back(page: Browser) -> None:
    enter(page, VIEW)
    page.click("nav a", "Streams")
    page.run("location.hash = '#/stream?type=Order&id=order-00042'")
    page.sees("amount", ".diff")
    page.click(".timeline button", "OrderPlaced")
    page.click("a", "causes and effects")
    page.sees("Shipped", ".tree")
    page.click(".tree a", "Paid")
    page.sees("Paid", ".tree .here")
    page.sees("OrderPlaced", ".tree")
    assert page.errors() == []


def test_live_values_arrive_and_the_map_shows_what_flows(page: Browser, shop: Served) -> None:
    enter(page, VIEW)
    page.wait("a chart", lambda: page.run("return document.querySelectorAll('.chart canvas').length") == 4)
    page.click("nav a", "Map")
    page.sees("Checkout", "main")

    numbers = itertools.count()

    def flows() -> Any:
        shop.do(place(shop.runtime, f"flow-{next(numbers)}"))
        return page.run("return document.querySelector('path.flows')?.outerHTML")

    page.wait("a flow", flows)
    assert page.errors() == []


def test_the_keyboard_moves_between_pages_and_rows(page: Browser) -> None:
    enter(page, VIEW)
    page.keys("ge")
    page.sees("Events", "h1")
    page.wait("rows", lambda: page.run("return document.querySelectorAll('tbody tr').length"))
    page.keys("jj")
    page.enter()
    page.sees("causes and effects")
    page.keys("?")
    page.sees("Keys", "dialog")


def test_a_viewer_is_offered_no_action_and_may_take_none(page: Browser, shop: Served) -> None:
    enter(page, VIEW)
    page.run("location.hash = arguments[0]", f"#/saga?type=Checkout&id={SCRIPT.replace('=', '%3D')}")
    page.sees("Timeline")
    assert "Retry" not in page.text("main")
    position = shop.runtime.statistics().position
    body = {"targets": [{"type": "Checkout", "id": SCRIPT}], "reason": "x"}
    assert (ask(shop, body, VIEW), ask(shop, body, ""), ask(shop, body, OPERATE, "https://evil.example")) == (
        403,
        401,
        403,
    )
    assert shop.runtime.statistics().position == position


def ask(shop: Served, body: Any, token: str, origin: str = "") -> int:
    """Send an action with a token and an origin; return the status of the answer."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    if origin:
        headers["Origin"] = origin
    request = urllib.request.Request(f"{shop.url}/api/sagas/retry", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code


def test_a_script_in_an_id_or_a_reason_is_text(page: Browser) -> None:
    enter(page, OPERATE)
    page.run("location.hash = '#/sagas?status=failed'")
    page.sees(SCRIPT, "tbody")
    page.click("tbody a", SCRIPT)
    page.sees(SCRIPT, "h1")
    page.click("nav a", "Dead letters")
    page.sees(SCRIPT, "tbody")
    assert page.run("return window.ran ?? null") is None
    assert page.errors() == []


def test_a_page_of_another_site_reads_nothing(page: Browser, shop: Served) -> None:
    other = shop.url.replace("127.0.0.1", "localhost")
    page.open("about:blank")
    script = (
        "return fetch(arguments[0] + '/api/info', {headers: {authorization: 'Bearer ' + arguments[1]}})"
        ".then(one => 'read ' + one.status, () => 'refused')"
    )
    assert page.run(script, other, OPERATE) == "refused"


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (1280, "dark"), (390, "light")])
def test_every_page_fits_its_window(page: Browser, width: int, theme: str, tmp_path: Path) -> None:
    page.run("localStorage.setItem('theme', arguments[0])", theme)
    page.resize(width, 844)
    enter(page, OPERATE)
    assert page.run("return document.documentElement.dataset.theme") == theme
    names = page.run("return [...document.querySelectorAll('nav a.item')].map(one => one.hash)")
    for name in [*names, "#/saga?type=Checkout&id=stuck-1", "#/stream?type=Wallet&id=customer-1"]:
        fits(page, name)
    page.picture(tmp_path / "last.png")
    assert (tmp_path / "last.png").stat().st_size > 1_000
    assert page.errors() == []
