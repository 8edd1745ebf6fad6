"""The web application: SOAP and admin routes of every instance, and the CRM's admin routes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from libs.errors import O2CError, Reason
from sandbox.crm.admin import CrmAdmin
from sandbox.crm.server import Crm
from sandbox.http.admin import Admin
from sandbox.http.replies import problem, refusal
from sandbox.http.soap import SoapFront
from sandbox.instance import Instance

MAX_BODY: Final = 2 * 1024 * 1024
"""Largest request (rule 35 of section 6)."""
_STATUS: Final = {"NOT_FOUND": 404, "FAILED_PRECONDITION": 409, "RESOURCE_EXHAUSTED": 413, "UNAVAILABLE": 503}
"""HTTP status of a refusal by the gRPC code of its reason; 400 for what is wrong with a request."""
_ADMIN: Final = "/sandbox/v1/"
SERVED: Final = web.AppKey("served", tuple[str, ...])
"""Names of the instances."""


@web.middleware
async def refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Admin requests are refused in JSON, with the field at fault; so are those to an instance that is not served here."""
    try:
        return await handler(request)
    except O2CError as error:
        return problem(_STATUS.get(error.violations[0].code, 400), *error.violations)
    except web.HTTPNotFound:
        served, asked = request.app[SERVED], request.path.split("/")[1]
        if _ADMIN not in request.path or asked in served:
            raise
        message = f"no instance {asked!r} is served here; there are {', '.join(served)}"
        return refusal(404, Reason.ROUTE_SYSTEM_UNKNOWN, message, "system")


def make_app(instances: Sequence[Instance], crm: Crm | None = None) -> web.Application:
    """An application that serves these instances by name, and lets a CRM be administered."""
    app = web.Application(client_max_size=MAX_BODY, middlewares=[refusals])
    app[SERVED] = tuple(instance.name for instance in instances)
    for instance in instances:
        for directory, soap in (("jaxws", SoapFront(instance)), ("jaxws_str", SoapFront(instance, "string"))):
            path = f"/{instance.name}/metro/{directory}/{{service}}"
            app.router.add_get(path, soap.describe)
            app.router.add_post(path, soap.call)
        app.router.add_routes(Admin(instance).routes())

    if crm is not None:
        app.router.add_routes(CrmAdmin(crm.store, crm.state).routes())

    async def index(_: web.Request) -> web.Response:
        return web.json_response({"instances": {instance.name: instance.db for instance in instances}})

    app.router.add_get("/", index)
    return app
