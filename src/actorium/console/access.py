"""`Access`: who may use a console, and from where.

A request passes three checks: its Host is one that the console is served under, so that another site cannot reach it by
a name of its own (DNS rebinding); its Origin, if it has one, is the console's own, so that another page cannot use it;
and its token, or the application's hook, says who sent it. There are no cookies, so a browser adds nothing by itself.
"""

from __future__ import annotations

import hmac
import inspect
from collections.abc import Awaitable, Callable, Collection, Mapping
from hashlib import sha256
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from actorium.actors.errors import NotAllowed
from actorium.store.errors import ConfigurationError

Role = Literal["view", "operate", "correct"]
"""What an operator may do: look; also act; also correct wrong events. Each includes the one before."""

ROLES: tuple[Role, ...] = ("view", "operate", "correct")
LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")
TOKEN_CHARACTERS_MIN = 16


class Operator(msgspec.Struct, frozen=True):
    """A person who uses a console.

    name: under which their actions are recorded.
    role: what they may do.
    names_others: whether they may take a step of a correction case in the name of another person.
    """

    name: str
    role: Role = "view"
    names_others: bool = False

    def may(self, role: Role) -> bool:
        """Return whether the role is the operator's own, or included in it."""
        return ROLES.index(role) <= ROLES.index(self.role)


Authorize = Callable[[Mapping[str, Any]], "Operator | Awaitable[Operator | None] | None"]
"""Returns who sent a request, given its ASGI scope; None if they may not use the console."""

ANYBODY = Operator("anonymous", "view")


class Unauthorized(NotAllowed):
    """The request has no token, or an unknown one."""

    http_status = 401


class Access:
    """The rules of one console; `Console` explains the parameters."""

    def __init__(
        self,
        *,
        actions: bool,
        tokens: Mapping[str, Operator],
        authorize: Authorize | None,
        hosts: Collection[str],
    ) -> None:
        for token in tokens:
            if len(token) < TOKEN_CHARACTERS_MIN:
                raise ConfigurationError(
                    f"Console(tokens=…): a token of {len(token)} characters can be guessed; use at least "
                    f"{TOKEN_CHARACTERS_MIN}, for example secrets.token_urlsafe()"
                )
        if tokens and authorize is not None:
            raise ConfigurationError("Console(tokens=…, authorize=…): give one of the two, not both")
        if actions and not tokens and authorize is None:
            raise ConfigurationError(
                "Console(actions=True) lets operators act, so it must know who they are: give tokens=… or authorize=…"
            )
        self.actions = actions
        self._tokens = {_digest(token): operator for token, operator in tokens.items()}
        self._authorize = authorize
        self._hosts = frozenset(host.lower() for host in hosts)

    @property
    def is_open(self) -> bool:
        """Whether anybody may look, without a token."""
        return not self._tokens and self._authorize is None

    def require_own_page(self, headers: Mapping[str, str]) -> None:
        """Raise NotAllowed for a Host that is not the console's, or a request that another site's page sent."""
        host = headers.get("host", "").lower()
        if "*" not in self._hosts and _without_port(host) not in self._hosts:
            raise NotAllowed(f"this console is not served under the host {host!r}: add it to Console(hosts=…)")
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host:
            raise NotAllowed(f"a page of {origin} may not use this console")
        if headers.get("sec-fetch-site") == "cross-site":
            raise NotAllowed("a page of another site may not use this console")

    async def operator(self, scope: Mapping[str, Any], headers: Mapping[str, str]) -> Operator:
        """Return who sent a request; raise Unauthorized for an unknown sender."""
        if self._authorize is not None:
            found = self._authorize(scope)
            operator = await found if inspect.isawaitable(found) else found
        elif self._tokens:
            kind, _, token = headers.get("authorization", "").partition(" ")
            operator = self._by_token(token) if kind.lower() == "bearer" else None
        else:
            operator = ANYBODY
        if operator is None:
            raise Unauthorized("give a token of this console: Authorization: Bearer …")
        return operator

    def _by_token(self, token: str) -> Operator | None:
        digest, found = _digest(token), None
        for known, operator in self._tokens.items():  # all of them, so that the time tells nothing
            if hmac.compare_digest(known, digest):
                found = operator
        return found

    def require(self, operator: Operator, role: Role) -> None:
        """Raise NotAllowed if an operator's role does not include another one, or if the console is read-only."""
        if role != "view" and not self.actions:
            raise NotAllowed("this console is read-only: Console(…, actions=True) lets operators act")
        if not operator.may(role):
            raise NotAllowed(f"{operator.name} has the role {operator.role!r}, and this needs {role!r}")


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogatepass")).digest()


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host
