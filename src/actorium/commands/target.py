"""`Target`: the parameter that names the application which a command is about."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

Target = Annotated[
    str,
    Parameter(
        help="The application as module:name. The name refers to a Runtime, to an ASGI application with a Runtime in "
        "its state or lifespan, or to a function that returns either."
    ),
]
"""The application that a command is about."""
