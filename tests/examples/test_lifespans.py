"""`runtime.lifespan` in FastAPI, Starlette and Litestar: the runtime runs exactly as long as the application."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from litestar import Litestar
from litestar import post as litestar_post
from litestar.params import FromPath
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from actorium import Ack, Aggregate, Command, Event, Runtime, decide, evolve
from actorium.errors import RuntimeClosed

pytestmark = pytest.mark.asyncio


class Press(Command):
    """Press a button."""


class Pressed(Event):
    """The button was pressed."""


class Button(Aggregate):
    """A button that counts."""

    presses: int = 0

    @decide
    def press(self, command: Press) -> Pressed:
        return Pressed()

    @evolve
    def pressed(self, event: Pressed) -> None:
        self.presses += 1


def fastapi_app(runtime: Runtime) -> Any:
    app = FastAPI(lifespan=runtime.lifespan)

    @app.post("/buttons/{button_id}", status_code=201)
    async def press(button_id: str) -> int:
        return (await runtime.send(Press(button_id))).version

    return app


def starlette_app(runtime: Runtime) -> Any:
    async def press(request: Request) -> JSONResponse:
        ack: Ack = await runtime.send(Press(request.path_params["button_id"]))
        return JSONResponse(ack.version, status_code=201)

    return Starlette(routes=[Route("/buttons/{button_id}", press, methods=["POST"])], lifespan=runtime.lifespan)


def litestar_app(runtime: Runtime) -> Any:
    @litestar_post("/buttons/{button_id:str}")
    async def press(button_id: FromPath[str]) -> int:
        return (await runtime.send(Press(button_id))).version

    return Litestar([press], lifespan=[runtime.lifespan])


@pytest.fixture(params=[fastapi_app, starlette_app, litestar_app], ids=["FastAPI", "Starlette", "Litestar"])
def build(request: pytest.FixtureRequest) -> Callable[[Runtime], Any]:
    """Return a function that creates a framework's application for a runtime."""
    framework: Callable[[Runtime], Any] = request.param
    return framework


async def test_a_runtime_runs_from_startup_to_shutdown_of_its_application(
    build: Callable[[Runtime], Any], serve: Callable[[Any], Any], log_url: str
) -> None:
    runtime = Runtime([Button], store=log_url)
    async with serve(build(runtime)) as server:
        versions = [(await server.client.post("/buttons/red")).json() for _ in range(3)]
    assert versions == [1, 2, 3]
    with pytest.raises(RuntimeClosed):
        await runtime.send(Press("red"))

    runtime = Runtime([Button], store=log_url)
    async with serve(build(runtime)) as server:
        answer = await server.client.post("/buttons/red")
    assert (answer.status_code, answer.json()) == (201, 4)


@pytest.mark.about("sqlite", "it has a directory in the place of the file")
async def test_an_application_whose_store_cannot_be_opened_does_not_start(
    build: Callable[[Runtime], Any], serve: Callable[[Any], Any], tmp_path: Path
) -> None:
    (tmp_path / "buttons.db").mkdir()
    runtime = Runtime([Button], store=f"sqlite:///{tmp_path / 'buttons.db'}")
    with pytest.raises(ConnectionError, match=r"buttons\.db"):
        await serve(build(runtime)).__aenter__()


async def test_the_lifespan_of_a_mounted_application_does_not_run(serve: Callable[[Any], Any]) -> None:
    runtime = Runtime([Button], store="memory://")
    outer = Starlette(routes=[Mount("/inner", fastapi_app(runtime))])
    async with serve(outer) as server:
        with pytest.raises(RuntimeClosed, match="has not been started"):
            await server.client.post("/inner/buttons/red")


async def test_given_to_the_outer_application_it_serves_the_mounted_ones_too(serve: Callable[[Any], Any]) -> None:
    runtime = Runtime([Button], store="memory://")
    inner = starlette_app(runtime)
    outer = Starlette(routes=[Mount("/inner", inner)], lifespan=runtime.lifespan)
    async with serve(outer) as server:
        answer = await server.client.post("/inner/buttons/red")
    assert (answer.status_code, answer.json()) == (201, 1)
