"""JSON in requests and answers of the admin interfaces."""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import web


def json_response(content: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(content), status=status, content_type="application/json")


def problem(status: int, text: str) -> web.Response:
    return json_response({"error": text}, status)


async def body_of(request: web.Request) -> dict[str, Any]:
    """The JSON object of a request; 400 for anything else."""
    try:
        content = orjson.loads(await request.read() or b"{}")
    except orjson.JSONDecodeError as error:
        raise web.HTTPBadRequest(text=f"not JSON: {error}") from error
    if not isinstance(content, dict):
        raise web.HTTPBadRequest(text="expected a JSON object")
    return content
