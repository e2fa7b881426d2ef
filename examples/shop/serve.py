"""Serve one of the services over HTTP: `python -m actorium.examples.shop.serve orders --bus … --store … --port …`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from actorium import Runtime
from actorium.errors import ActoriumError, NotFound
from actorium.examples.shop.customers import Customer, customers
from actorium.examples.shop.messages import OpenCustomer, PlaceOrder
from actorium.examples.shop.orders import Order, orders
from actorium.examples.shop.shipping import Shipment, shipping

SERVICES: Mapping[str, Callable[[str, str], Runtime]] = {
    "orders": orders,
    "customers": customers,
    "shipping": shipping,
}


class NewOrder(BaseModel):
    """The body of a request that places an order."""

    customer: str
    amount: int
    address: str


class NewCustomer(BaseModel):
    """The body of a request that opens a customer's account."""

    limit: int


def create_app(name: str, bus: str, store: str) -> FastAPI:
    """Return the web application of a service; its runtime starts and stops with it."""
    runtime = SERVICES[name](bus, store)
    app = FastAPI(title=f"The shop's {name}", lifespan=runtime.lifespan)

    @app.exception_handler(ActoriumError)
    async def answer(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, ActoriumError)
        return JSONResponse({"detail": str(error)}, status_code=error.http_status)

    @app.get("/state")
    async def state() -> dict[str, Any]:
        """Return how much there is, and how far the processors are."""
        counters = runtime.statistics()
        return {
            "position": counters.position,
            "in_flight": counters.in_flight,
            "processors": {one.name: [one.state, one.position, one.lag_events] for one in counters.processors},
        }

    add_routes = {"orders": _add_orders, "customers": _add_customers, "shipping": _add_shipping}
    add_routes[name](app, runtime)
    return app


def _add_orders(app: FastAPI, runtime: Runtime) -> None:
    @app.post("/orders/{id}", status_code=202)
    async def place(id: str, order: NewOrder) -> dict[str, int]:
        ack = await runtime.send(PlaceOrder(id, order.customer, order.amount, order.address), command_id=f"place {id}")
        return {"position": ack.position}

    @app.get("/orders/{id}")
    async def show(id: str) -> dict[str, Any]:
        order = await _known(runtime, Order, id)
        return {"status": order.status, "customer": order.customer, "amount": order.amount, "reason": order.reason}

    @app.get("/unfinished")
    async def unfinished() -> dict[str, int]:
        """Return how many sagas have not ended."""
        running = [one async for one in runtime.sagas.list(status="running")]
        undoing = [one async for one in runtime.sagas.list(status="undoing")]
        stuck = [one async for one in runtime.sagas.list(status="failed")]
        return {"running": len(running) + len(undoing), "stuck": len(stuck)}


def _add_customers(app: FastAPI, runtime: Runtime) -> None:
    @app.post("/customers/{id}", status_code=201)
    async def open_account(id: str, customer: NewCustomer) -> dict[str, int]:
        ack = await runtime.send(OpenCustomer(id, customer.limit), command_id=f"open {id}")
        return {"position": ack.position}

    @app.get("/customers/{id}")
    async def show(id: str) -> dict[str, Any]:
        customer = await _known(runtime, Customer, id)
        return {"limit": customer.limit, "reserved": customer.reserved}


def _add_shipping(app: FastAPI, runtime: Runtime) -> None:
    @app.get("/shipments/{id}")
    async def show(id: str) -> dict[str, Any]:
        return {"status": (await _known(runtime, Shipment, id)).status}


async def _known(runtime: Runtime, aggregate: Any, id: str) -> Any:
    try:
        return await runtime.get(aggregate, id)
    except NotFound as missing:
        raise HTTPException(404, str(missing)) from missing


def main() -> None:
    """Serve the service that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(SERVICES))
    parser.add_argument("--bus", default="nats://localhost:4222")
    parser.add_argument("--store", required=True)
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    app = create_app(options.name, options.bus, options.store)
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning", timeout_graceful_shutdown=5)


if __name__ == "__main__":
    main()
