"""Calls that create: promotions, services with their first components, and offers on what exists (bill-fulfillment.md 5.5)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from libs.brm import calls
from libs.brm.codes import OfferStatus
from libs.order_actions import ITEMS, SERVICES
from libs.plan.model import Yield
from services.bill_fulfillment.domain.assembly import Assembly, Phase, name_of, promotion_target, service_of, service_target
from services.bill_fulfillment.domain.dates import start_dates
from services.bill_fulfillment.domain.draft import Draft, record
from services.bill_fulfillment.domain.events import event_overrides
from services.bill_fulfillment.domain.kinds import ACCOUNT_LEVEL, COMPONENTS, DISCOUNTS
from services.bill_fulfillment.domain.model import BillingDates, Handle, Kind, Mode, ObjectKind, Payer, State
from services.bill_fulfillment.domain.paths import Path
from services.bill_fulfillment.domain.payers import group_of_account
from services.bill_fulfillment.domain.pricing import overrides
from services.bill_fulfillment.domain.references import group_name
from services.bill_fulfillment.domain.resolution import promotion_of
from services.bill_fulfillment.domain.special_rating import create_lists

_NAME_LENGTH: Final = 255
_NAMED_OFFERS: Final = 5


def create(assembly: Assembly) -> None:
    """Steps for every open line that is to be created."""
    new = [draft for draft in assembly.drafts.values() if draft.is_open and draft.path is Path.CREATE]
    for draft in new:
        _prepare(draft, assembly)
    for draft in new:
        if draft.kind is Kind.PROMOTION:
            _buy_promotion(draft, assembly)
    joined = _create_services(new, assembly)
    _buy_on_services([draft for draft in new if draft.kind in COMPONENTS and draft.line_id not in joined], assembly)
    _buy_on_accounts([draft for draft in new if draft.kind in ACCOUNT_LEVEL], assembly)
    create_lists([draft for draft in new if draft.kind is Kind.SPECIAL_RATING], assembly)


def _prepare(draft: Draft, assembly: Assembly) -> None:
    situation = assembly.situation
    draft.reached = State.INITIATED if draft.line.mode is Mode.INITIATE else State.FULFILLED
    dates = start_dates(draft.line, draft.kind, situation.command, situation.policy)
    if draft.kind is Kind.PROMOTION:
        draft.dates = BillingDates(purchase=dates.purchase)
    elif draft.kind not in SERVICES or draft.kind is Kind.SIMPLE_BUNDLE:
        draft.dates = dates


def _buy_promotion(draft: Draft, assembly: Assembly) -> None:
    asset = draft.line.asset
    bundle = calls.Bundle(name=name_of(draft), descr=draft.line_id, status=OfferStatus.ACTIVE, valid_from=draft.dates.purchase)
    assembly.add(
        Phase.PROMOTIONS,
        f"bundle:{asset}",
        f"buy promotion {name_of(draft)} for account {draft.payer.billing_account}",
        calls.set_bundle(draft.known_account, [bundle], program_name=assembly.program, db=assembly.db),
        [draft],
        yields=[assembly.creates(draft, "BUNDLE_INFO[0].POID")],
        touches=[promotion_target(asset)],
    )


def _create_services(new: Sequence[Draft], assembly: Assembly) -> set[str]:
    """One call per new service, with the components that come in the same mode; parents first. Returns the lines joined."""
    components: dict[str, list[Draft]] = defaultdict(list)
    for draft in new:
        owner = assembly.drafts.get(draft.at.owner_id)
        if draft.kind in COMPONENTS and owner is not None and owner.path is Path.CREATE and owner.line.mode is draft.line.mode:
            components[owner.line_id].append(draft)
    services = [draft for draft in new if draft.kind in SERVICES]
    for draft in sorted(services, key=lambda draft: draft.kind is Kind.NESTED_BUNDLE):
        own = [draft] if draft.kind is Kind.SIMPLE_BUNDLE else []
        _create_service(draft, [*own, *components[draft.line_id]], assembly)
    return {draft.line_id for joined in components.values() for draft in joined}


def _create_service(draft: Draft, offers: Sequence[Draft], assembly: Assembly) -> None:
    line = draft.line
    parent = assembly.drafts.get(draft.at.owner_id)
    group, groups = _balance_group(draft, parent, assembly)
    service = calls.ServicePurchase(
        service=line.service_type,
        login=draft.service_id,
        balance_group=group,
        deal=_deal(draft, offers) if offers else None,
    )
    call = calls.modify_customer(
        draft.known_account, services=[service], balance_groups=groups, program_name=assembly.program, db=assembly.db
    )
    yields = [assembly.creates(draft, "SERVICES[0].SERVICE_OBJ", ObjectKind.SERVICE)]
    yields += _yields(offers, assembly, "SERVICES[0].")
    if groups:
        draft.objects[ObjectKind.BALANCE_GROUP] = group_name(line.asset)
        yields.append(Yield(group_name(line.asset).name, "BAL_INFO[0].POID"))
    after = []
    if parent is not None and parent.path is Path.CREATE and parent.is_open:
        after.append(f"service:{parent.line.asset}")
    served = [draft, *(item for item in offers if item is not draft)]
    assembly.add(
        Phase.NEW_SERVICES,
        f"service:{line.asset}",
        f"create service {name_of(draft)} {draft.service_id} for account {draft.payer.service_account}, "
        f"{_paid(draft.payer)}{f', with {_names(offers)}' if offers else ''}",
        call,
        served,
        yields=yields,
        after=after,
        touches=_touched(served, assembly),
    )


def _balance_group(
    draft: Draft, parent: Draft | None, assembly: Assembly
) -> tuple[Handle | int | None, Sequence[calls.BalanceGroup]]:
    """The balance group a new service joins, and the groups to create (bill-fulfillment.md 6.2, R16).

    Without balance groups per service it is that of the account's other services, by default the account's. With them a nested
    bundle joins its parent's group when they have one payer; any other service gets a group of its own on its bill unit.
    """
    situation = assembly.situation
    if not situation.policy.service_level_balance_groups:
        return group_of_account(draft.payer.service_account, assembly), ()
    if parent is not None and parent.payer == draft.payer:
        created = parent.path is Path.CREATE and parent.is_open
        known = parent.objects if created else record(parent, situation.facts).refs
        if ObjectKind.BALANCE_GROUP in known:
            return known[ObjectKind.BALANCE_GROUP], ()
    name = f"{name_of(draft)}~{draft.service_id}"[:_NAME_LENGTH]
    return 0, (calls.BalanceGroup(name=name, billinfo=draft.unit),)


def _buy_on_services(drafts: Sequence[Draft], assembly: Assembly) -> None:
    """One deal per service that is there already, or that came in another mode."""
    by_service: dict[tuple[str, Mode], list[Draft]] = defaultdict(list)
    for draft in drafts:
        by_service[draft.at.owner_id, draft.line.mode].append(draft)
    for (owner_id, _), offers in by_service.items():
        owner = assembly.drafts[owner_id]
        service = service_of(owner, assembly)
        where = f"service {name_of(owner)} {owner.service_id}".rstrip()
        buy(owner, offers, service, where, assembly)


def _buy_on_accounts(drafts: Sequence[Draft], assembly: Assembly) -> None:
    """One deal per service account and payer."""
    by_payer: dict[tuple[Payer, Mode], list[Draft]] = defaultdict(list)
    for draft in drafts:
        by_payer[draft.payer, draft.line.mode].append(draft)
    for (payer, _), offers in by_payer.items():
        buy(offers[0], offers, None, f"account {payer.service_account}, {_paid(payer)}", assembly)


def buy(
    holder: Draft,
    offers: Sequence[Draft],
    service: Handle | None,
    where: str,
    assembly: Assembly,
    after: Iterable[str] = (),
) -> None:
    """One deal on a service, or on the account where there is none."""
    first = offers[0]
    assembly.add(
        Phase.ITEMS if all(draft.kind in ITEMS for draft in offers) else Phase.NEW_OFFERS,
        f"purchase:{first.purchase_id}",
        f"buy {_names(offers)} on {where}",
        calls.purchase_deal(
            first.known_account,
            _deal(holder, offers),
            service=service,
            billinfo=first.unit if service is None else None,
            program_name=assembly.program,
            db=assembly.db,
        ),
        offers,
        yields=_yields(offers, assembly, ""),
        after=after,
        touches=_touched(offers, assembly),
    )


def _paid(payer: Payer) -> str:
    """Who pays, for a title: ``billed to BP-DENISE-MICHELLE of 1-DENISE``."""
    return f"billed to {payer.billing_profile}" + ("" if payer.pays_itself else f" of {payer.billing_account}")


def _names(offers: Sequence[Draft]) -> str:
    """What is bought, for a title; of many the first."""
    names = [name_of(draft) for draft in offers]
    more = len(names) - _NAMED_OFFERS
    return ", ".join(names[:_NAMED_OFFERS]) + (f" and {more} more" if more > 0 else "")


def _deal(holder: Draft, offers: Iterable[Draft]) -> calls.Deal:
    products, discounts = _split(offers)
    return calls.Deal(
        name=f"line {holder.line_id}",
        products=tuple(calls.ProductPurchase(product=draft.known_product, **_terms(draft)) for draft in products),
        discounts=tuple(calls.DiscountPurchase(discount=draft.known_product, **_terms(draft)) for draft in discounts),
    )


def _terms(draft: Draft) -> Mapping[str, Any]:
    """``DESCR`` names the line, by which a purchase of unknown outcome is found again."""
    terms = draft.terms
    terms.start(draft.dates)
    if draft.dates.end is not None:
        terms.end(draft.dates.end)
    terms.bundle = draft.bundle
    terms.rate_plan = draft.rate_plan
    if draft.kind not in DISCOUNTS:
        terms.override(overrides(draft.line.pricing, one_time=draft.kind in ITEMS))
        terms.override(event_overrides(draft.line))
    return {**terms.arguments(), "quantity": draft.line.quantity, "line_id": draft.purchase_id}


def _yields(offers: Iterable[Draft], assembly: Assembly, prefix: str) -> list[Yield]:
    products, discounts = _split(offers)
    found = []
    for index, draft in enumerate(products):
        kind = ObjectKind.PRODUCT if draft.kind is Kind.SIMPLE_BUNDLE else None
        found.append(assembly.creates(draft, f"{prefix}PRODUCTS[{index}].OFFERING_OBJ", kind))
    for index, draft in enumerate(discounts):
        found.append(assembly.creates(draft, f"{prefix}DISCOUNTS[{index}].OFFERING_OBJ"))
    return found


def _split(offers: Iterable[Draft]) -> tuple[list[Draft], list[Draft]]:
    products: list[Draft] = []
    discounts: list[Draft] = []
    for draft in offers:
        (discounts if draft.kind in DISCOUNTS else products).append(draft)
    return products, discounts


def _touched(drafts: Iterable[Draft], assembly: Assembly) -> list[str]:
    """What must not be closed before these offers are bought: their service, their promotion."""
    found: dict[str, None] = {}
    for draft in drafts:
        if draft.owner_asset:
            found[service_target(draft.owner_asset)] = None
        promotion = promotion_of(draft, assembly.drafts)
        if promotion:
            found[promotion_target(promotion)] = None
    return list(found)
