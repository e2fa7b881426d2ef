"""The OpenAPI 3.1 document of a console's API, made from its routes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from actorium.console.api.http import ProblemBody
from actorium.console.api.route import Route
from actorium.health import Health

_REFERENCE = "#/components/schemas/{name}"


def openapi_document(routes: Iterable[Route], *, version: str) -> dict[str, Any]:
    """Return the document that describes these routes."""
    routes = list(routes)
    types = list(dict.fromkeys([ProblemBody, Health, *(one for route in routes for one in _types(route))]))
    schemas, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    schema_of = dict(zip(types, schemas, strict=True))
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schema_of, components)
    for name in ("live", "ready"):
        said = {"description": f"Whether the application is {name}", **_json(schema_of[Health])}
        paths[f"/api/health/{name}"] = {
            "get": {
                "summary": f"Whether the application is {name}",
                "security": [],
                "responses": {
                    "200": said,
                    "503": said,
                },
            }
        }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Actorium console", "version": version},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _types(route: Route) -> list[type]:
    return [route.wanted, route.answered]


def _operation(route: Route, schema_of: Mapping[type, Any], components: Mapping[str, Any]) -> dict[str, Any]:
    content = "text/event-stream" if route.answer is None else "application/json"
    problem = {"description": "It was not carried out", **_json(schema_of[ProblemBody])}
    operation: dict[str, Any] = {
        "summary": route.says,
        "description": f"Needs the role `{route.role}`.",
        "operationId": route.path.removeprefix("/api/").replace("/", "_").replace("-", "_"),
        "responses": {
            "200": {"description": "Success", "content": {content: {"schema": schema_of[route.answered]}}},
            "default": problem,
        },
    }
    if route.method == "GET":
        schema = components[route.wanted.__name__]
        required = schema.get("required", ())
        operation["parameters"] = [
            {"name": name, "in": "query", "required": name in required, "schema": one}
            for name, one in schema["properties"].items()
        ]
    else:
        operation["requestBody"] = {"required": True, **_json(schema_of[route.wanted])}
    return operation


def _json(schema: Any) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}
