"""The RPCs: check, map, look up, decide, map. They only read."""

from __future__ import annotations

from typing import Any

import grpc.aio

from libs.brm.gateway import BrmGateway
from libs.clock import Clock
from libs.dvm.client import InForce
from libs.pb.billing_care.v1 import billing_care_pb2 as pb
from libs.pb.billing_care.v1.billing_care_pb2_grpc import BillingCareServiceServicer
from libs.xref.client import XrefPort
from services.billing_care import mappers
from services.billing_care.domain import cursor, invoice, summary
from services.billing_care.domain.model import Cursor, ListedBill, Page
from services.billing_care.domain.rules import Policy
from services.billing_care.lookup import Directory, Ledger

_Context = grpc.aio.ServicerContext[Any, Any]


class BillingCareServicer(BillingCareServiceServicer):
    """Balances and invoices. Failures are raised as O2CError and rendered by the kit."""

    def __init__(
        self,
        gateway: BrmGateway,
        xref: XrefPort,
        policy: Policy,
        in_force: InForce[Policy],
        *,
        clock: Clock,
        signing_key: bytes,
    ) -> None:
        """``policy``: for what value maps have no part in; ``in_force``: the same with the maps as they are."""
        self._gateway = gateway
        self._xref = xref
        self._policy = policy
        self._in_force = in_force
        self._clock = clock
        self._key = signing_key

    async def GetBalanceSummary(self, request: pb.GetBalanceSummaryRequest, context: _Context) -> pb.GetBalanceSummaryResponse:
        """One summary per profile, and a total where they share a currency (R2.3)."""
        directory, ledger = await self._books()
        views = await directory.views(mappers.to_domain_scope(request.scope))
        facts = await ledger.balances(views)
        today = self._clock.now().astimezone(self._policy.zone).date()
        summaries = [summary.summarize(each, today) for each in facts]
        return mappers.to_wire_balances(summaries, summary.account_total(summaries))

    async def ListInvoices(self, request: pb.ListInvoicesRequest, context: _Context) -> pb.ListInvoicesResponse:
        """The latest bills, newest first, over all profiles in the scope."""
        query = mappers.to_domain_invoice_query(request, self._policy)
        after = self._cursor(query)
        directory, ledger = await self._books()
        views = await directory.views(query.scope)
        # New bills may have come on top since the first page, so a later page cannot tell how many to fetch.
        at_most = None if after else query.max_records + 1
        bills = await ledger.bills(views, only_open=query.only_open, at_most=at_most)
        listed = [ListedBill(view, bill) for view, own in zip(views, bills, strict=True) for bill in own]
        page = invoice.page_of(listed, after=after, page_size=query.page_size, max_records=query.max_records)
        return mappers.to_wire_page(page, self._token(query, page, after))

    async def GetInvoice(self, request: pb.GetInvoiceRequest, context: _Context) -> pb.GetInvoiceResponse:
        """One bill of the profile with its service charges and items."""
        scope, bill_id = mappers.to_domain_bill_id(request)
        directory, ledger = await self._books()
        view = await directory.profile(scope)
        return mappers.to_wire_detail(invoice.detail(await ledger.invoice(view, bill_id)))

    async def _books(self) -> tuple[Directory, Ledger]:
        """Where a request looks things up; it goes by the value maps of this moment to its end."""
        policy = await self._in_force.current()
        return Directory(self._gateway, self._xref, policy), Ledger(self._gateway, policy)

    def _cursor(self, query: mappers.InvoiceQuery) -> Cursor | None:
        if not query.page_token:
            return None
        life = self._policy.page_token_life
        return cursor.decode(query.page_token, self._key, query=query.fingerprint, now=self._clock.now(), life=life)

    def _token(self, query: mappers.InvoiceQuery, page: Page, after: Cursor | None) -> str:
        if not page.more:
            return ""
        as_of = after.as_of if after else self._clock.now()
        return cursor.encode(Cursor(page.rows[-1].sort_key, page.served, query.fingerprint, as_of), self._key)
