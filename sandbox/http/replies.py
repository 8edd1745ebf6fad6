"""JSON in requests and answers of the admin interfaces."""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import web

from libs.errors import O2CError, Reason, Violation


def json_response(content: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(content), status=status, content_type="application/json")


def problem(status: int, *wrong: Violation) -> web.Response:
    """A refusal: what is wrong in words, and each thing by reason and field."""
    text = "; ".join(f"{each.field}: {each.message}".removeprefix(": ") for each in wrong)
    listed = [{"reason": each.reason, "field": each.field, "message": each.message} for each in wrong]
    return json_response({"error": text, "violations": listed}, status)


def refusal(status: int, reason: Reason, message: str, field: str) -> web.Response:
    """A refusal of one thing."""
    return problem(status, Violation(reason, message, field))


async def body_of(request: web.Request) -> dict[str, Any]:
    """The JSON object of a request. Raises JSON_MALFORMED for anything else."""
    try:
        content = orjson.loads(await request.read() or b"{}")
    except orjson.JSONDecodeError as error:
        raise O2CError.of(Reason.JSON_MALFORMED, f"not JSON: {error}", field="body") from error
    if not isinstance(content, dict):
        raise O2CError.of(Reason.JSON_MALFORMED, "a JSON object is expected", field="body")
    return content
