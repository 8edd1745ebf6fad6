"""Administration of the CRM stand-in: HTTP and JSON below ``/crm/sandbox/v1/``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

from aiohttp import web

from libs.errors import Reason
from sandbox.crm.faults import CrmState
from sandbox.crm.store import CrmStore
from sandbox.http.replies import body_of, json_response, refusal

BASE: Final = "/crm/sandbox/v1"


class CrmAdmin:
    """Look at the CRM's customers, edit them, and make it fail."""

    def __init__(self, store: CrmStore, state: CrmState) -> None:
        self._store = store
        self._state = state

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(f"{BASE}/accounts", self.accounts),
            web.get(f"{BASE}/billing_profiles", self.billing_profiles),
            web.patch(f"{BASE}/accounts/{{id}}", self.edit_account),
            web.patch(f"{BASE}/billing_profiles/{{id}}", self.edit_billing_profile),
            web.delete(f"{BASE}/accounts/{{id}}", self.remove_account),
            web.delete(f"{BASE}/billing_profiles/{{id}}", self.remove_billing_profile),
            web.post(f"{BASE}/load", self.load),
            web.post(f"{BASE}/reset", self.reset),
            web.get(f"{BASE}/calls", self.calls),
            web.get(f"{BASE}/faults", self.faults),
            web.put(f"{BASE}/faults", self.change_faults),
        ]

    async def accounts(self, _: web.Request) -> web.Response:
        return json_response({"accounts": list(self._store.accounts.values())})

    async def billing_profiles(self, _: web.Request) -> web.Response:
        return json_response({"billing_profiles": list(self._store.billing_profiles.values())})

    async def edit_account(self, request: web.Request) -> web.Response:
        changes = await body_of(request)
        return json_response(self._store.edit_account(request.match_info["id"], changes))

    async def edit_billing_profile(self, request: web.Request) -> web.Response:
        changes = await body_of(request)
        return json_response(self._store.edit_billing_profile(request.match_info["id"], changes))

    async def remove_account(self, request: web.Request) -> web.Response:
        return _removed(self._store.remove_account(request.match_info["id"]))

    async def remove_billing_profile(self, request: web.Request) -> web.Response:
        return _removed(self._store.remove_billing_profile(request.match_info["id"]))

    async def load(self, request: web.Request) -> web.Response:
        """Add or replace the accounts and billing profiles of a document; the rest of an order is not looked at."""
        self._store.load(await body_of(request))
        known = {"accounts": len(self._store.accounts), "billing_profiles": len(self._store.billing_profiles)}
        return json_response(known)

    async def reset(self, _: web.Request) -> web.Response:
        self._store.reset()
        return json_response({})

    async def calls(self, _: web.Request) -> web.Response:
        return json_response({"calls": dict(self._state.calls)})

    async def faults(self, _: web.Request) -> web.Response:
        return json_response(asdict(self._state.faults))

    async def change_faults(self, request: web.Request) -> web.Response:
        return json_response(asdict(self._state.change(await body_of(request))))


def _removed(there_was_one: bool) -> web.Response:
    if not there_was_one:
        return refusal(404, Reason.CRM_ACCOUNT_NOT_FOUND, "there is none", "id")
    return json_response({})
