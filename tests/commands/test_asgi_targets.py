"""An ASGI application as the target of a command: its runtime is found in its state or its lifespan."""

import functools
import re
import sys
import types
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from litestar import Litestar
from litestar.datastructures import State
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware

from actorium import ConfigurationError, Runtime
from actorium.examples.evolution import v1
from actorium.user_code.targets import load_app


def new_runtime() -> Runtime:
    return Runtime([v1.Order], store="memory://")


# The runtime of a module, as an application has it.
shop = new_runtime()


@asynccontextmanager
async def uses_a_global(app: Any) -> AsyncIterator[None]:
    async with shop:
        yield


@asynccontextmanager
async def uses_none(app: Any) -> AsyncIterator[None]:
    yield


def closes_over(runtime: Runtime) -> Any:
    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        async with runtime:
            yield

    return lifespan


def calls(runtime: Runtime) -> Any:
    inner = closes_over(runtime)

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        async with inner(app):
            yield

    return lifespan


def by_argument(runtime: Runtime) -> Any:
    @asynccontextmanager
    async def lifespan(app: Any, *, runtime: Runtime) -> AsyncIterator[None]:
        async with runtime:
            yield

    return functools.partial(lifespan, runtime=runtime)


def by_default(runtime: Runtime) -> Any:
    @asynccontextmanager
    async def lifespan(app: Any, *, runtime: Runtime = runtime) -> AsyncIterator[None]:
        async with runtime:
            yield

    return lifespan


def starlette(lifespan: Any) -> Any:
    return Starlette(lifespan=lifespan)


def fastapi(lifespan: Any) -> Any:
    return FastAPI(lifespan=lifespan)


def litestar(lifespan: Any) -> Any:
    return Litestar(lifespan=[lifespan])


FRAMEWORKS = [starlette, fastapi, litestar]


@pytest.fixture
def module() -> Iterator[Any]:
    """An empty module, `web`."""
    module = sys.modules["web"] = types.ModuleType("web")
    yield module
    del sys.modules["web"]


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("lifespan", [lambda runtime: runtime.lifespan, closes_over, calls, by_argument, by_default])
@pytest.mark.parametrize("is_factory", [False, True])
def test_the_runtime_of_a_lifespan_is_found(module: Any, framework: Any, lifespan: Any, is_factory: bool) -> None:
    runtime = new_runtime()
    app = framework(lifespan(runtime))
    module.app = (lambda: app) if is_factory else app
    assert load_app("web:app") is runtime


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_global_runtime_that_a_lifespan_uses_is_found(module: Any, framework: Any) -> None:
    module.app = framework(uses_a_global)
    assert load_app("web:app") is shop


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("lifespan", [None, lambda runtime: runtime.lifespan])
def test_the_runtime_in_the_state_is_found_once(module: Any, framework: Any, lifespan: Any) -> None:
    runtime = new_runtime()
    module.app = framework(lifespan(runtime) if lifespan else uses_none)
    module.app.state.runtime = runtime
    assert load_app("web:app") is runtime


def test_the_state_given_to_litestar_is_searched(module: Any) -> None:
    runtime = new_runtime()
    module.app = Litestar(state=State({"bank": runtime}))
    assert load_app("web:app") is runtime


def test_the_lifespan_of_an_included_router_is_searched(module: Any) -> None:
    runtime = new_runtime()
    module.app = FastAPI(lifespan=uses_none)
    module.app.include_router(APIRouter(lifespan=runtime.lifespan))
    assert load_app("web:app") is runtime


def test_middleware_around_an_application_is_unwrapped(module: Any) -> None:
    runtime = new_runtime()
    module.app = CORSMiddleware(CORSMiddleware(Starlette(lifespan=runtime.lifespan)))
    assert load_app("web:app") is runtime


def test_the_example_is_found_by_its_factory() -> None:
    assert isinstance(load_app("actorium.examples.fastapi_app.app:create_app"), Runtime)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_an_application_without_a_runtime_is_rejected_with_advice(module: Any, framework: Any) -> None:
    module.app = framework(uses_none)
    message = f"'web:app' is an application ({type(module.app).__name__}) whose state and lifespan hold no Runtime"
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        load_app("web:app")


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_an_application_with_two_runtimes_is_rejected_with_their_places(module: Any, framework: Any) -> None:
    module.app = framework(new_runtime().lifespan)
    module.app.state.second = new_runtime()
    with pytest.raises(ConfigurationError, match=r"holds 2 Runtimes \(app.state.second, its lifespan\): name one"):
        load_app("web:app")
    assert load_app("web:app.state.second") is module.app.state.second


def test_an_object_with_another_call_signature_is_not_an_application(module: Any) -> None:
    class Handler:
        async def __call__(self, request: object) -> None: ...

    module.app = Handler()
    with pytest.raises(ConfigurationError, match="cannot be called without arguments"):
        load_app("web:app")
