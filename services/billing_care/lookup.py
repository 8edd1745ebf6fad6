"""Gathers what a query needs: cross-references in one round trip, then BRM, side by side where nothing depends on anything.

:class:`Directory` turns CRM ids into resolved profiles, :class:`Ledger` reads what these owe. A query that gets only part of
what it needs fails as a whole (R5.7); nothing here writes (R1.3) or remembers (R1.1).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import TypeVar

from libs.brm import calls
from libs.brm.call import BrmCall
from libs.brm.codes import ItemStatus
from libs.brm.errors import BrmError
from libs.brm.flist import Flist, results
from libs.brm.gateway import BrmGateway
from libs.brm.poid import Poid
from libs.xref.client import XrefKey, XrefPort, XrefRow
from services.billing_care.domain import resolve
from services.billing_care.domain.model import (
    ZERO,
    BalanceFacts,
    Bill,
    BillUnit,
    InvoiceFacts,
    Item,
    ItemBreakdown,
    ProfileView,
    Route,
    Scope,
    ServiceLabel,
)
from services.billing_care.domain.records import PAYMENT_ITEM, Reader, breakdowns, service_label
from services.billing_care.domain.rules import Policy
from services.billing_care.domain.summary import child_bill, child_totals

ACCOUNT_TABLE = "CUSTOMERPARTY_ACCOUNTID"
PROFILE_TABLE = "CUSTOMERPARTY_BILLPROFILEID"

PARALLEL_READS = 8
"""Profiles, accounts or instances that one query reads side by side: enough to hide the round trips, few enough to leave the
connection pool to others."""

UNIT_FIELDS = (
    "ACCOUNT_OBJ",
    "BILLINFO_ID",
    "CURRENCY",
    "PAY_TYPE",
    "PAYINFO_OBJ",
    "PARENT_BILLINFO_OBJ",
    "AR_BILLINFO_OBJ",
    "LAST_BILL_T",
    "NEXT_BILL_T",
    "ACTG_NEXT_T",
)

UNITS_OF_ACCOUNT = calls.Search("billinfos_of_account", "/billinfo", ("ACCOUNT_OBJ",), ("POID", *UNIT_FIELDS))
"""The connector's search of that name, asking for the billing dates as well."""

T = TypeVar("T")


class Directory:
    """Which bill units a scope means."""

    def __init__(self, gateway: BrmGateway, xref: XrefPort, policy: Policy) -> None:
        self._gateway = gateway
        self._xref = xref
        self._policy = policy

    async def views(self, scope: Scope) -> tuple[ProfileView, ...]:
        """The profile a scope names, or every profile of its account."""
        return (await self.profile(scope),) if scope.billing_profile_id else await self.profiles(scope)

    async def profile(self, scope: Scope) -> ProfileView:
        """The billing profile of a scope that names one (Guide: billing-care.md 2.2, steps 1 to 3)."""
        resolve.check_expected_system(scope.system_id, self._policy)
        profile, account, child = (
            self._key(PROFILE_TABLE, scope.billing_profile_id),
            self._key(ACCOUNT_TABLE, scope.account_id),
            self._key(ACCOUNT_TABLE, scope.child_account_id),
        )
        rows = await self._xref.lookup([profile, account, child] if scope.child_account_id else [profile, account])
        route = resolve.route_profile(scope.billing_profile_id, _cells(rows[profile]), self._policy, scope.system_id)
        owner = resolve.account_in(scope.account_id, _cells(rows[account]), route.system_id, "scope.account_id")
        if not scope.child_account_id:
            return await self._own_view(scope, route, owner)
        payee = resolve.account_in(scope.child_account_id, _cells(rows[child]), route.system_id, "scope.service_account_id")
        return await self._child_view(scope, route, owner, payee)

    async def profiles(self, scope: Scope) -> tuple[ProfileView, ...]:
        """Every billing profile of the account, in the order of their ids, over all instances that know the account.

        Only BRM knows which profiles an account has: its paying bill units, translated back by their ids. With a service
        account in the scope these are the profiles that pay for it.
        """
        resolve.check_expected_system(scope.system_id, self._policy)
        account, child = self._key(ACCOUNT_TABLE, scope.account_id), self._key(ACCOUNT_TABLE, scope.child_account_id)
        rows = await self._xref.lookup([account, child] if scope.child_account_id else [account])
        accounts = resolve.account_everywhere(scope.account_id, _cells(rows[account]), self._policy)
        units = await self._units_everywhere(accounts)
        paying = [(system, unit) for system, unit in units if not unit.nonpaying]
        if units and not paying:
            payers = [(system, unit.payer) for system, unit in units if unit.payer]
            raise resolve.nonpaying_account(scope.account_id, sorted((await self._profile_ids(payers)).values()))
        views = await self._paying_views(scope, paying)
        if not scope.child_account_id:
            return views
        payees = resolve.account_everywhere(scope.child_account_id, _cells(rows[child]), self._policy)
        return resolve.shares_of(views, await self._units_everywhere(payees), scope.child_account_id)

    async def _own_view(self, scope: Scope, route: Route, owner: Poid) -> ProfileView:
        """The whole profile for its own account; for a nonpaying account under it, that account's share."""
        unit = await self._unit(route)
        if unit.account == owner:
            return resolve.view_of(scope, route, unit, None)
        child = resolve.child_of(await self._units(route.system_id, owner), unit.poid)
        if child is None:
            raise resolve.not_of_account(scope, route)
        return resolve.view_of(scope, route, unit, child)

    async def _child_view(self, scope: Scope, route: Route, owner: Poid, payee: Poid) -> ProfileView:
        async with _side_by_side() as group:
            own = group.create_task(self._unit(route))
            others = group.create_task(self._units(route.system_id, payee))
        unit = own.result()
        if unit.account != owner:
            raise resolve.not_of_account(scope, route)
        child = resolve.child_of(others.result(), unit.poid)
        if child is None:
            raise resolve.no_share(scope.child_account_id, route)
        return resolve.view_of(scope, route, unit, child)

    async def _paying_views(self, scope: Scope, paying: Sequence[tuple[str, BillUnit]]) -> tuple[ProfileView, ...]:
        profile_ids = await self._profile_ids([(system, unit.poid) for system, unit in paying])
        views = []
        for system, unit in paying:
            profile_id = profile_ids.get((system, unit.poid))
            if profile_id is None:
                raise resolve.profile_unknown_to_crm(unit, system)
            resolve.check_target(profile_id, system, scope.system_id)
            views.append(resolve.view_of(scope, Route(profile_id, system, unit.poid), unit, None))
        return tuple(sorted(views, key=lambda view: view.profile_id))

    async def _profile_ids(self, units: Iterable[tuple[str, Poid]]) -> dict[tuple[str, Poid], str]:
        """CRM profile ids by instance and bill unit, in one round trip; units without a row are absent."""
        keys = {(system, poid): XrefKey(PROFILE_TABLE, system, _reference_value(poid)) for system, poid in units}
        rows = await self._xref.lookup(list(keys.values()))
        found = {unit: rows[key].value(self._policy.source_system) for unit, key in keys.items()}
        for unit, profile_id in found.items():
            if profile_id:
                resolve.route_profile(profile_id, _cells(rows[keys[unit]]), self._policy)
        return {unit: profile_id for unit, profile_id in found.items() if profile_id}

    async def _unit(self, route: Route) -> BillUnit:
        answer = await self._gateway.call(route.system_id, calls.read_flds(route.billinfo, UNIT_FIELDS))
        return Reader(self._policy, route.system_id).unit(answer, route.billinfo)

    async def _units(self, system_id: str, account: Poid) -> tuple[BillUnit, ...]:
        answer = await self._gateway.call(system_id, calls.search(UNITS_OF_ACCOUNT, [account], db=account.db))
        reader = Reader(self._policy, system_id)
        return tuple(reader.unit(row) for row in results(answer))

    async def _units_everywhere(self, accounts: dict[str, Poid]) -> list[tuple[str, BillUnit]]:
        found = await _all_of([self._units(system, account) for system, account in accounts.items()])
        return [(system, unit) for system, units in zip(accounts, found, strict=True) for unit in units]

    def _key(self, table: str, crm_id: str) -> XrefKey:
        return XrefKey(table, self._policy.source_system, crm_id)


class Ledger:
    """What resolved profiles owe."""

    def __init__(self, gateway: BrmGateway, policy: Policy) -> None:
        self._gateway = gateway
        self._policy = policy

    async def balances(self, views: Sequence[ProfileView]) -> list[BalanceFacts]:
        """The facts of each profile, in the order asked."""
        return await _all_of([self._child_balance(view) if view.child else self._balance(view) for view in views])

    async def bills(self, views: Sequence[ProfileView], *, only_open: bool, at_most: int | None) -> list[tuple[Bill, ...]]:
        """The newest bills of each profile, ``at_most`` of each (all for ``None``), in the order asked."""
        return await _all_of([self._bills(view, only_open=only_open, at_most=at_most) for view in views])

    async def invoice(self, view: ProfileView, bill_id: str) -> InvoiceFacts:
        """One bill of the profile. BILL_NOT_FOUND, or OBJECT_FOREIGN for one of another profile or instance (2.2 step 5)."""
        poid = resolve.bill_poid(bill_id, view, self._policy)
        bill = await self._bill(view, poid, bill_id)
        items = await self._items_of_bill(view, poid)
        if view.child:
            items = tuple(item for item in items if item.unit == view.child.poid)
            bill = child_bill(bill, items)
        async with _side_by_side() as group:
            parts = group.create_task(self._breakdowns(view, items))
            labels = group.create_task(self._labels(view, items))
        return InvoiceFacts(view, bill, items, parts.result(), labels.result())

    async def _balance(self, view: ProfileView) -> BalanceFacts:
        unit, reader = view.unit, self._reader(view)
        async with _side_by_side() as group:
            summary = group.create_task(self._ask(view, calls.ar_get_acct_bal_summary(unit.account, unit.poid)))
            bills = group.create_task(self._bills(view, only_open=True))
            name = group.create_task(self._profile_name(view))
        totals = reader.totals(summary.result(), None, unit.currency)
        if totals.unapplied_payments:
            totals = reader.totals(summary.result(), await self._unapplied_payments(view), unit.currency)
        return BalanceFacts(view, totals, bills.result(), name.result())

    async def _child_balance(self, view: ProfileView) -> BalanceFacts:
        """BRM keeps the debt of a nonpaying unit on its payer, so a child's share is summed from the child's items."""
        async with _side_by_side() as group:
            items = group.create_task(self._items_of_unit(view, view.billed))
            bills = group.create_task(self._bills(view, only_open=True))
            name = group.create_task(self._profile_name(view))
        return BalanceFacts(view, child_totals(items.result()), bills.result(), name.result())

    async def _bills(self, view: ProfileView, *, only_open: bool, at_most: int | None = None) -> tuple[Bill, ...]:
        """Made bills, newest first."""
        if view.child:
            return await self._child_bills(view, only_open=only_open)
        status = ItemStatus.OPEN if only_open else ItemStatus.OPEN | ItemStatus.CLOSED
        answer = await self._ask(view, calls.ar_get_bills(view.unit.poid, status=status, threshold=at_most))
        bills = self._reader(view).bills(answer, view.unit.currency)
        return tuple(bill for bill in bills if bill.due) if only_open else bills

    async def _child_bills(self, view: ProfileView, *, only_open: bool) -> tuple[Bill, ...]:
        """A child's own bills; what is due on each is read from its items, because on the bill itself BRM keeps 0."""
        async with _side_by_side() as group:
            answer = group.create_task(self._ask(view, calls.ar_get_bills(view.billed.poid)))
            items = group.create_task(self._items_of_unit(view, view.billed))
        bills = self._reader(view).bills(answer.result(), view.unit.currency)
        shown = (child_bill(bill, items.result()) for bill in bills)
        return tuple(bill for bill in shown if bill.due or not only_open)

    async def _bill(self, view: ProfileView, poid: Poid, bill_id: str) -> Bill:
        try:
            answer = await self._ask(view, calls.read_obj(poid))
        except BrmError as error:
            if error.not_found:
                raise resolve.bill_not_found(bill_id) from error
            raise
        bill = self._reader(view).bill(answer, view.unit.currency, poid)
        if bill is None:
            raise resolve.bill_not_found(bill_id)
        if bill.unit != view.billed.poid:
            raise resolve.foreign_bill(bill_id, view.system_id)
        return bill

    async def _items_of_bill(self, view: ProfileView, bill: Poid) -> tuple[Item, ...]:
        answer = await self._ask(view, calls.ar_get_bill_items(bill, include_children=view.child is None))
        return self._reader(view).items(answer, view.unit.currency)

    async def _items_of_unit(self, view: ProfileView, unit: BillUnit) -> tuple[Item, ...]:
        answer = await self._ask(view, calls.ar_get_bill_items(unit.poid))
        return self._reader(view).items(answer, view.unit.currency)

    async def _unapplied_payments(self, view: ProfileView) -> Decimal:
        """The payments' part of the unallocated money; the rest is adjustments."""
        call = calls.ar_get_bill_items(view.unit.poid, status=ItemStatus.OPEN, poid_type=PAYMENT_ITEM)
        answer = await self._ask(view, call)
        items = self._reader(view).items(answer, view.unit.currency)
        return sum((item.due for item in items if item.poid.type.startswith(PAYMENT_ITEM)), ZERO)

    async def _breakdowns(self, view: ProfileView, items: Sequence[Item]) -> dict[Poid, ItemBreakdown]:
        if not items:
            return {}
        answer = await self._ask(view, calls.bill_item_event_search([item.poid for item in items]))
        return breakdowns(answer, {item.poid: item for item in items}, view.unit.currency)

    async def _labels(self, view: ProfileView, items: Sequence[Item]) -> dict[Poid, ServiceLabel]:
        """Labels of the services billed, one search per account they belong to."""
        accounts = dict.fromkeys(item.account for item in items if item.service)
        answers = await _all_of(
            [self._ask(view, calls.find_services_of_account(account, db=account.db)) for account in accounts]
        )
        wanted = {item.service for item in items}
        rows = [(row["POID"], row) for answer in answers for row in results(answer)]
        return {poid: service_label(row, poid) for poid, row in rows if poid in wanted}

    async def _profile_name(self, view: ProfileView) -> str:
        """The name on the payment record; a bill unit without one is known by its natural key."""
        if view.unit.payinfo is None:
            return view.unit.natural_key
        answer = await self._ask(view, calls.read_flds(view.unit.payinfo, ("NAME",)))
        return str(answer.get("NAME") or view.unit.natural_key)

    def _reader(self, view: ProfileView) -> Reader:
        return Reader(self._policy, view.system_id)

    async def _ask(self, view: ProfileView, call: BrmCall) -> Flist:
        return await self._gateway.call(view.system_id, call)


@asynccontextmanager
async def _side_by_side() -> AsyncIterator[asyncio.TaskGroup]:
    """Tasks that live and die together; the first failure is raised as itself."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None


async def _all_of(reads: Sequence[Awaitable[T]]) -> list[T]:
    """Results in the order of the reads, at most :data:`PARALLEL_READS` of them in flight."""
    slots = asyncio.Semaphore(PARALLEL_READS)

    async def one(read: Awaitable[T]) -> T:
        async with slots:
            return await read

    async with _side_by_side() as group:
        tasks = [group.create_task(one(read)) for read in reads]
    return [task.result() for task in tasks]


def _cells(row: XrefRow) -> dict[str, str] | None:
    """A row's cells by column; ``None`` when there is no row."""
    return {cell.column: cell.value for cell in row.cells} if row else None


def _reference_value(poid: Poid) -> str:
    """A POID as customer sync stored it when BRM had just made the object: with revision 0."""
    return str(Poid(poid.db, poid.type, poid.id))
