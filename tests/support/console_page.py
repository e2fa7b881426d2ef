"""What tests do in the console's page."""

from support.browser import Browser

OPERATE, VIEW, CORRECT = "operate-token-of-16", "viewer-token-of-16", "correct-token-of-16"


def enter(page: Browser, token: str) -> None:
    """Enter a token."""
    page.type("input", token)
    page.click("button", "Enter")
    page.sees("Overview", "h1")


def give_reason(page: Browser, action: str, reason: str) -> None:
    """Give the reason that a dialog asks for, and act."""
    page.type("dialog textarea", reason)
    page.click("dialog button.main", action)
    page.wait("the end of the dialog", lambda: page.run("return !document.querySelector('dialog')"))


def fits(page: Browser, name: str) -> None:
    """Go to a page, and require that it is as wide as its window at most."""
    page.run("location.hash = arguments[0]", name)
    page.wait(f"the page {name}", lambda: page.text("main") and "Loading" not in page.text("main"))
    assert page.run("return document.documentElement.scrollWidth <= innerWidth"), name
