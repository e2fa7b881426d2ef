"""`Route`: one path of a console's API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from actorium.console.access import Operator, Role

Answer = Callable[[Operator, Any], Awaitable[Any]]


class Route(msgspec.Struct, frozen=True):
    """One path of the API.

    wanted: the struct of its query if it is a GET, or of its JSON body.
    answered: the type of its answer.
    answer: computes it from the operator and the query or body; None for the stream of live values.
    """

    method: str
    path: str
    says: str
    role: Role
    wanted: type[msgspec.Struct]
    answered: type
    answer: Answer | None


def reading(read: Callable[[Any], Awaitable[Any]]) -> Answer:
    """Return the answer to a question that is the same for every operator."""

    async def answer(_: Operator, query: Any) -> Any:
        return await read(query)

    return answer
