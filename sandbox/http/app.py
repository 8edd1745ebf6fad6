"""The web application: SOAP and admin routes of every instance, and the CRM's admin routes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aiohttp import web

from sandbox.crm.admin import CrmAdmin
from sandbox.crm.server import Crm
from sandbox.http.admin import Admin
from sandbox.http.soap import SoapFront
from sandbox.instance import Instance

MAX_BODY: Final = 2 * 1024 * 1024
"""Largest request (rule 35 of section 6)."""


def make_app(instances: Sequence[Instance], crm: Crm | None = None) -> web.Application:
    """An application that serves these instances by name, and lets a CRM be administered."""
    app = web.Application(client_max_size=MAX_BODY)
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
