"""The pages for corrections, in a real browser: from a wrong event to the report."""

from collections.abc import Iterator

import pytest
from support.browser import Browser, browser, why_no_browser
from support.console_page import CORRECT, OPERATE, enter, fits, give_reason
from support.correcting import PARTS, open_account
from support.served import Served, served
from support.shop_parts import customers

from actorium import Runtime
from actorium.services import Service

pytestmark = pytest.mark.skipif(bool(why_no_browser()), reason=f"no browser: {why_no_browser()}")

WRONG = "bank.account/a/2"


@pytest.fixture(scope="module")
def bank(module_log_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A running bank with an account; it sends commands to a service that is away."""
    place = tmp_path_factory.mktemp("bank")
    service = Service("bank", bus=f"memory://{place}")
    with served(Runtime([*PARTS, customers()], store=module_log_url, service=service)) as bank:
        bank.do(open_account(bank.runtime, "a", 1_000))
        yield bank


@pytest.fixture
def page(bank: Served) -> Iterator[Browser]:
    with browser() as opened:
        opened.open(f"{bank.url}/")
        opened.sees("Token")
        opened.errors()  # the first request has no token
        yield opened


def act(page: Browser, action: str, reason: str) -> None:
    page.click("main .row button", action)
    give_reason(page, action, reason)


def test_a_wrong_event_is_corrected_from_its_case_to_the_report(page: Browser) -> None:
    enter(page, CORRECT)
    page.click("nav a", "Corrections")
    page.click("main .row button", "Open a case")
    page.type("dialog input", "c-1")
    page.type("dialog textarea", WRONG)
    page.type("dialog label:last-of-type textarea", "a typing error")
    page.click("dialog button.main", "Open a case")
    page.click("tbody a", "c-1")
    page.sees("What the events touched")
    page.sees("selected events")
    page.sees("Other services")
    page.sees("did not answer: it is not on the bus")
    page.click("main .row button", "Plan")
    page.type("dialog input", '{"amount": 900}')
    give_reason(page, "Plan", "it was 900")
    page.sees("planned", "h1")
    act(page, "Dry run", "look first")
    page.sees("What the plan would change")
    page.click("nav button", "Leave")
    page.sees("Token")
    page.errors()
    page.type("input", "another-token-of-16")  # another person approves
    page.click("button", "Enter")
    page.sees("planned", "h1")
    act(page, "Approve", "checked")
    page.sees("approved", "h1")
    act(page, "Apply", "go")
    page.sees("applied", "h1")
    page.sees("corrected at")
    act(page, "Close", "done")
    page.sees("closed", "h1")
    page.sees("approved", ".timeline")
    assert page.errors() == []
    for width in (1280, 390):
        page.resize(width, 844)
        fits(page, "#/cases")
        fits(page, "#/case?id=c-1")


def test_an_operator_who_may_not_correct_is_offered_nothing(page: Browser) -> None:
    enter(page, OPERATE)
    page.click("nav a", "Corrections")
    page.sees("Corrections", "h1")
    assert "Open a case" not in page.text("main")
