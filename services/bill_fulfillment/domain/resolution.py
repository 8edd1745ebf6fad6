"""The second stage: what each line needs from the order and from the cross-references before a call can be made.

Everything missing is reported at once, per line; a line without violations has the handles its calls need.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from libs.errors import Reason
from libs.order_actions import SERVICES
from services.bill_fulfillment.domain.draft import Draft, Situation, instance
from services.bill_fulfillment.domain.events import event_violations
from services.bill_fulfillment.domain.kinds import ACCOUNT_LEVEL, DISCOUNTS, OFFERS, PARTS
from services.bill_fulfillment.domain.model import Action, Facts, Handle, Kind, ObjectKind, Outcome, Payer, State
from services.bill_fulfillment.domain.paths import Path
from services.bill_fulfillment.domain.pricing import check_pricing, usage_notice
from services.bill_fulfillment.domain.references import bundle_name
from services.bill_fulfillment.domain.special_rating import check_new, refuse_twins

_REVISES: Final = (Path.REVISE, Path.REVISE_AND_RESET, Path.CHANGE, Path.MOVE)
_PAYER_FIELDS: Final = (
    ("service_account", Reason.SERVICE_ACCOUNT_MISSING, "service_account.account_id"),
    ("billing_account", Reason.BILLING_ACCOUNT_MISSING, "billing_account.account_id"),
    ("billing_profile", Reason.BILLING_PROFILE_MISSING, "billing_profile.billing_profile_id"),
)


def resolve(drafts: Mapping[str, Draft], situation: Situation) -> None:
    """Find accounts, bill units, products and bundles of the open lines; refuse the lines that lack something."""
    # Bundles that arrive with this order; a promotion that fails takes its lines along later.
    promotions = frozenset(
        draft.line.asset
        for draft in drafts.values()
        if draft.kind is Kind.PROMOTION and (draft.path is Path.CREATE or draft.violations)
    )
    for draft in drafts.values():
        if draft.is_open:
            _resolve_one(draft, situation, drafts, promotions)
    refuse_twins(drafts.values())


def _resolve_one(draft: Draft, situation: Situation, drafts: Mapping[str, Draft], promotions: frozenset[str]) -> None:
    creates = draft.path is Path.CREATE
    draft.account = _account(draft, situation)
    if creates and (draft.kind in SERVICES or draft.kind in ACCOUNT_LEVEL):
        require_payer(draft)
        if draft.is_open:
            draft.unit = bill_unit(draft, situation)
    if creates and draft.kind in SERVICES:
        _require_service(draft)
    if creates and draft.kind is Kind.SPECIAL_RATING:
        check_new(draft, drafts)
    if creates and draft.kind in PARTS and draft.at.owner_id:
        _require_owner(draft, situation, drafts)
        _warn_of_own_payer(draft, drafts)
    if draft.kind is Kind.NESTED_BUNDLE and (creates or draft.path in _REVISES):
        _check_nested(draft, situation, drafts)
    if draft.kind in OFFERS or draft.kind is Kind.SIMPLE_BUNDLE:
        if creates or _is_bought_again(draft):
            draft.product = _product(draft, situation)
        if creates or draft.path in _REVISES:
            draft.bundle = _bundle(draft, situation, drafts, promotions)
            _price(draft, situation)


def _is_bought_again(draft: Draft) -> bool:
    """Whether an initiated item gets another quantity."""
    before = draft.line.prior.quantity
    revised = draft.kind is Kind.SERVICE_ITEM and draft.path in (Path.REVISE, Path.REVISE_AND_RESET)
    return revised and before is not None and before != draft.line.quantity


def _account(draft: Draft, situation: Situation) -> Handle | None:
    """The account the calls go to: the payer's for a promotion, the service account's for the rest."""
    of_promotion = draft.kind is Kind.PROMOTION
    crm_id = draft.payer.billing_account if of_promotion else draft.payer.service_account
    name, reason, path = _PAYER_FIELDS[1 if of_promotion else 0]
    if of_promotion and draft.line.action is not Action.ADD:
        crm_id = draft.line.prior.billing_account or crm_id
    if not crm_id:
        draft.refuse(reason, f"line {draft.line_id} names no {name.replace('_', ' ')}", path, field=path)
        return None
    return _known_account(draft, crm_id, path, situation)


def _known_account(draft: Draft, crm_id: str, path: str, situation: Situation) -> Handle | None:
    handle = situation.facts.accounts.get(crm_id)
    if handle is None:
        system_id = situation.command.system_id
        message = f"account {crm_id} is not in {system_id}; customer sync comes first"
        draft.refuse(Reason.ACCOUNT_NOT_IN_BILLING, message, path, kind="account", id=crm_id, system=system_id)
    return handle


def require_payer(draft: Draft) -> None:
    """Refuse a line that does not name who pays, and on which bill."""
    for name, reason, path in _PAYER_FIELDS[1:]:
        if not getattr(draft.payer, name):
            draft.refuse(reason, f"line {draft.line_id} names no {name.replace('_', ' ')}", path, field=path)


def _require_service(draft: Draft) -> None:
    line = draft.line
    if not draft.service_id:
        draft.refuse(Reason.SERVICE_ID_MISSING, f"line {line.line_id} names no service id", "service_id", field="service_id")
    if not line.service_type.startswith("/service"):
        message = f"line {line.line_id} names no BRM service class"
        draft.refuse(Reason.FIELD_MISSING, message, "billing_service_type", field="billing_service_type")


def _require_owner(draft: Draft, situation: Situation, drafts: Mapping[str, Draft]) -> None:
    """A component is bought on a service that exists, or that the same plan creates."""
    owner = drafts[draft.at.owner_id]
    installed = owner.state is not State.CANCELLED and instance(owner, situation.facts) is not None
    if installed or owner.path is Path.CREATE or owner.violations:  # a service that fails takes its components along later
        return
    what, asset = f"the service of line {draft.line_id}, asset {owner.line.asset},", owner.line.asset
    draft.refuse_absent(what, ObjectKind.SERVICE, situation.command.system_id, asset, "parent_line_id")


def bill_unit(draft: Draft, situation: Situation) -> Handle | None:
    """The unit of the profile, or the nonpaying unit of the service account that points to it (R-5.7); refused without it."""
    payer = draft.payer
    handle = known_unit(payer, situation.facts)
    if handle is None:
        system_id = situation.command.system_id
        key = payer.billing_profile if payer.pays_itself else payer.key
        message = f"bill unit {key} is not in {system_id}; customer sync comes first"
        draft.refuse(
            Reason.BILL_UNIT_NOT_IN_BILLING,
            message,
            "billing_profile.billing_profile_id",
            kind="bill_unit",
            id=key,
            system=system_id,
        )
    return handle


def known_unit(payer: Payer, facts: Facts) -> Handle | None:
    """The bill unit of a payer, if it is there (R-5.7)."""
    return facts.bill_units.get(payer.billing_profile) if payer.pays_itself else facts.nonpaying_units.get(payer.key)


def _product(draft: Draft, situation: Situation) -> Handle | None:
    product_id = draft.line.product_id
    handle = situation.facts.products.get(product_id)
    if handle is None:
        system_id = situation.command.system_id
        message = f"product {product_id} is not in {system_id}"
        draft.refuse(
            Reason.PRODUCT_NOT_IN_BILLING, message, "product.product_id", kind="product", id=product_id, system=system_id
        )
    return handle


def _bundle(draft: Draft, situation: Situation, drafts: Mapping[str, Draft], promotions: frozenset[str]) -> Handle | None:
    """The purchased bundle of the line's promotion: there already, or bought by the same plan (R-5.8)."""
    line, facts = draft.line, situation.facts
    asset = promotion_of(draft, drafts)
    if not asset:
        return None
    known = facts.installed.get((asset, ObjectKind.BUNDLE))
    ended = asset in facts.assets and facts.assets[asset].state is State.CANCELLED
    if known is not None and not (ended and draft.path is Path.CREATE):  # references that stand may stay, historical
        return known
    if asset in promotions:
        return bundle_name(asset)
    system_id = situation.command.system_id
    message = f"promotion {asset} of line {line.line_id} is {'no longer' if ended else 'not'} in {system_id}"
    draft.refuse(
        Reason.PROMOTION_NOT_IN_BILLING,
        message,
        "promotion_asset_integration_id",
        kind="promotion",
        id=asset,
        system=system_id,
    )
    return None


def promotion_of(draft: Draft, drafts: Mapping[str, Draft]) -> str:
    """Asset of the promotion a line belongs to, named directly or through its line."""
    if draft.line.promotion:
        return draft.line.promotion
    promotion = drafts.get(draft.line.promotion_line_id)
    return promotion.line.asset if promotion is not None else ""


def _price(draft: Draft, situation: Situation) -> None:
    line, policy = draft.line, situation.policy
    if draft.kind not in DISCOUNTS:
        for violation in check_pricing(line):
            draft.refuse(violation.reason, violation.message, "pricing")
        for violation in event_violations(line):
            draft.violations.append(violation)
            draft.outcome = Outcome.FAILED
        for priced in (line, *line.events):
            draft.notices.extend(usage_notice(priced))
    elif line.events:
        draft.drop("pricing")
    price_list = line.price_list or (situation.command.price_list if line.action is Action.ADD else "")
    if not policy.rate_plans or not price_list or draft.kind in DISCOUNTS:
        return
    if price_list not in policy.rate_plans:
        message = f"price list {price_list} has no rate plan in {situation.command.system_id}"
        draft.refuse(Reason.PRICE_LIST_UNKNOWN, message, "price_list", map="PRICELIST", value=price_list)
        return
    draft.rate_plan = policy.rate_plans[price_list]


def _check_nested(draft: Draft, situation: Situation, drafts: Mapping[str, Draft]) -> None:
    """A nested bundle has its parent's service account and service id; its payer is free with balance groups per service."""
    parent = drafts[draft.at.owner_id]
    if parent.line.action is Action.NONE:
        return
    names = ["service_account"]
    policy = situation.policy
    if not (policy.service_level_balance_groups and policy.allow_nested_payer):
        names += ["billing_account", "billing_profile"]
    differing = [name for name in names if getattr(draft.payer, name) != getattr(parent.payer, name)]
    if parent.service_id and draft.service_id != parent.service_id:
        differing.append("service_id")
    if differing:
        message = f"line {draft.line_id} differs from the bundle it is nested in by {', '.join(differing)}"
        draft.refuse(Reason.NESTED_BUNDLE_MISMATCH, message)


def _warn_of_own_payer(draft: Draft, drafts: Mapping[str, Draft]) -> None:
    """What a service owns is paid by its payer, whatever it says itself (R-7.3)."""
    if drafts[draft.at.owner_id].line.action is Action.NONE:
        return
    for name, _, _ in _PAYER_FIELDS:
        own = getattr(draft.line.payer, name)
        if own and own != getattr(draft.payer, name):
            draft.drop(name)
