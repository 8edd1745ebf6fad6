"""Services that go to another account, with all that is nested in them (bill-fulfillment.md 6.4).

BRM ends the offers of such a service and makes them anew on its new account (brm.md 457), although rule R-6.13 has them keep
their POIDs. So each offer's cross-reference gets the new POID, found by the line and the product it was bought for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from libs.brm.flist import where
from libs.errors import Reason
from libs.order_actions import SERVICES
from libs.plan.model import XrefGone, XrefLink, Yield
from services.bill_fulfillment.domain.assembly import INSTALLED, NAMES, Assembly, Phase, name_of, service_target
from services.bill_fulfillment.domain.classification import base_kind
from services.bill_fulfillment.domain.draft import Draft, Situation
from services.bill_fulfillment.domain.model import Handle, Line, ObjectKind, Part, State
from services.bill_fulfillment.domain.payers import CHANGES, into_group, new_group, take_new_payer
from services.bill_fulfillment.domain.references import group_name

_ARRAYS: Final = {ObjectKind.PRODUCT: "PRODUCTS", ObjectKind.DISCOUNT: "DISCOUNTS"}
BOUGHT: Final = {ObjectKind.PRODUCT: "PRODUCT_OBJ", ObjectKind.DISCOUNT: "DISCOUNT_OBJ"}
"""Field of an offer that names what was bought."""


def goes_elsewhere(line: Line) -> bool:
    """Whether a service changes its account, so that what hangs on it has to be known."""
    before, after = line.prior.service_account, line.payer.service_account
    return base_kind(line) in SERVICES and line.action in CHANGES and before is not None and before != after


def take_new_account(draft: Draft, situation: Situation, drafts: Mapping[str, Draft]) -> None:
    """Find where the service comes from and on which unit it will be charged; refuse it without what is nested in it."""
    old, system_id = draft.line.prior.service_account or "", situation.command.system_id
    draft.from_account = situation.facts.accounts.get(old)
    if draft.from_account is None:
        message = f"account {old or '(none)'}, which the service of line {draft.line_id} leaves, is not in {system_id}"
        path = "prior.service_account_id"
        draft.refuse(Reason.ACCOUNT_NOT_IN_BILLING, message, path, kind="account", id=old, system=system_id)
    related = [part.asset for part in _nested(draft, situation)]
    if draft.at.owner_id:
        related.append(drafts[draft.at.owner_id].line.asset)
    staying = [asset for asset in related if not _comes_along(asset, draft, drafts)]
    if staying:
        message = f"line {draft.line_id} changes its service account, and {', '.join(staying)}, nested with it, does not"
        draft.refuse(Reason.NESTED_BUNDLE_MISMATCH, message, "service_account.account_id")
    if draft.is_open:
        take_new_payer(draft, situation)
    if draft.is_open:
        offers = [(part.asset, kind) for part in _parts(draft, situation) for kind in part.offers()]
        draft.renewed = {(asset, kind): NAMES[kind](asset) for asset, kind in offers}


def transfer(draft: Draft, service: Handle, assembly: Assembly) -> None:
    """Move a service, and give the cross-references of its offers the POIDs that BRM gives them."""
    asset, parent = draft.line.asset, assembly.drafts.get(draft.at.owner_id)
    group = new_group(draft, assembly)
    draft.objects[ObjectKind.BALANCE_GROUP] = group
    offers = [(part, kind, poid) for part in _parts(draft, assembly.situation) for kind, poid in part.offers().items()]
    yields = [_renewed(part, kind) for part, kind, _ in offers]
    for kind in _ARRAYS:
        if (asset, kind) in draft.renewed:
            draft.objects[kind] = draft.renewed[asset, kind]
    assert draft.from_account is not None
    call, made = into_group(draft, draft.from_account, [service], group, group_name(asset), assembly)
    assembly.add(
        Phase.SERVICE_CHANGES,
        _step_key(draft),
        f"transfer service {name_of(draft)} from account {draft.line.prior.service_account} to {draft.payer.service_account}",
        call,
        [draft],
        yields=[*yields, *made],
        after=[_step_key(parent)] if parent is not None and parent.from_account is not None else [],
        touches=[service_target(asset)],
        gone=[XrefGone(INSTALLED, part.asset, str(poid), one_of_many=True) for part, _, poid in offers],
    )


def _step_key(draft: Draft) -> str:
    return f"service:{draft.line.asset}:transfer"


def _renewed(part: Part, kind: ObjectKind) -> Yield:
    """The offer that takes the place of another one."""
    known = {"DESCR": part.bought_for} if part.bought_for else {}
    place = f"SERVICES[0].{_ARRAYS[kind]}[{where(**known, **{BOUGHT[kind]: part.product})}].OFFERING_OBJ"
    return Yield(NAMES[kind](part.asset).name, place, XrefLink(INSTALLED, part.asset, kind.value), optional=True)


def _parts(draft: Draft, situation: Situation) -> list[Part]:
    """Everything that hangs on the service and has not ended."""
    known = situation.facts.parts.get(draft.line.asset, ())
    return [part for part in known if part.record.state is not State.CANCELLED]


def _nested(draft: Draft, situation: Situation) -> list[Part]:
    parts = _parts(draft, situation)
    return [part for part in parts if part.asset != draft.line.asset and ObjectKind.SERVICE in part.record.refs]


def _comes_along(asset: str, draft: Draft, drafts: Mapping[str, Draft]) -> bool:
    """Whether the order has another service go to the same account."""
    account, before = draft.payer.service_account, draft.line.prior.service_account
    return any(
        each.line.asset == asset and (each.payer.service_account, each.line.prior.service_account) == (account, before)
        for each in drafts.values()
    )
