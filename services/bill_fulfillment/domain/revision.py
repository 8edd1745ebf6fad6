"""The third stage: what an UPDATE changes, and the second phase's date resets (bill-fulfillment.md 4 and 1.7).

A changed attribute is one whose prior value the order gives, and differs (R-1.6). The attribute matrix says what becomes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final

from libs.errors import Reason
from libs.order_actions import ITEMS, SERVICES
from services.bill_fulfillment.domain.attributes import Attribute, Handling, handling
from services.bill_fulfillment.domain.dates import fulfilled_dates, merged, reset
from services.bill_fulfillment.domain.draft import Draft, Situation, installed_as, instance, record
from services.bill_fulfillment.domain.events import changed_event_overrides
from services.bill_fulfillment.domain.kinds import ACCOUNT_LEVEL, OFFERS
from services.bill_fulfillment.domain.model import BillingDates, Dates, Kind, Line, ObjectKind, Outcome, Pricing, State
from services.bill_fulfillment.domain.paths import Path
from services.bill_fulfillment.domain.payers import take_new_payer
from services.bill_fulfillment.domain.pricing import changed_overrides
from services.bill_fulfillment.domain.resolution import promotion_of
from services.bill_fulfillment.domain.special_rating import choose_entries
from services.bill_fulfillment.domain.transfers import take_new_account

_REACHES: Final[Mapping[Path, State]] = {
    Path.REVISE: State.INITIATED,
    Path.REVISE_AND_RESET: State.FULFILLED,
    Path.CHANGE: State.FULFILLED,
    Path.RESET_DATES: State.FULFILLED,
}

_PAYER: Final = frozenset({Attribute.BILLING_ACCOUNT, Attribute.BILLING_PROFILE})
_LEFT: Final = (Handling.DROP, Handling.UNCHECKED)
"""What a revision of a special rating says in vain."""


def revise(drafts: Mapping[str, Draft], situation: Situation) -> None:
    """Gather what the open UPDATE and phase-2 lines change; settle those that change nothing."""
    for draft in drafts.values():
        if not draft.is_open or not (draft.path in _REACHES or draft.path is Path.MOVE):
            continue
        if draft.kind is Kind.SPECIAL_RATING and draft.path is Path.REVISE:
            _leave_to_fulfillment(draft, drafts)
            continue
        draft.reached = _REACHES.get(draft.path, draft.state)
        draft.dates = record(draft, situation.facts).dates
        if draft.path is Path.MOVE:
            draft.objects.update(record(draft, situation.facts).refs or installed_as(draft, situation.facts))
        if draft.path is Path.MOVE and draft.kind in _ONLY_RENAMED:
            _drop_all(draft, drafts)
        elif draft.path is not Path.RESET_DATES:
            _apply_changes(draft, situation, drafts)
        if draft.path in (Path.RESET_DATES, Path.REVISE_AND_RESET) and draft.is_open:
            _reset_dates(draft, situation, fulfilled_dates(draft.line, _offer_kind(draft), situation.command))
        if draft.terms and draft.kind is Kind.SIMPLE_BUNDLE and instance(draft, situation.facts, ObjectKind.PRODUCT) is None:
            _refuse_without_offer(draft, situation)
        if draft.kind is Kind.SPECIAL_RATING and draft.path is Path.CHANGE and draft.is_open:
            choose_entries(draft, situation)
        if draft.is_open and not _changes(draft):
            draft.settle(Outcome.XREF_ONLY if draft.path is Path.MOVE else Outcome.NO_CHANGE, draft.reached)


def _leave_to_fulfillment(draft: Draft, drafts: Mapping[str, Draft]) -> None:
    """A list that is only initiated stays as it was created, with a warning (R-4.4, R-9.8)."""
    changed = [each for each in changed_attributes(draft, drafts) if handling(each, draft.kind, supplemental=True) in _LEFT]
    for attribute in changed or [Attribute.LIST_REFERENCE]:
        draft.drop(attribute)
    draft.settle(Outcome.IGNORED)


_ONLY_RENAMED: Final = (Kind.PROMOTION, Kind.SPECIAL_RATING)
"""Of their moves billing hears nothing (D-1, DX-3)."""


def _drop_all(draft: Draft, drafts: Mapping[str, Draft]) -> None:
    for attribute in changed_attributes(draft, drafts):
        draft.drop(attribute)


def _changes(draft: Draft) -> bool:
    at_service = draft.login or draft.from_account or draft.new_unit
    of_promotion = draft.new_account or draft.valid_from
    return bool(draft.terms or at_service or of_promotion or draft.bought_again) or draft.entries is not None


def _refuse_without_offer(draft: Draft, situation: Situation) -> None:
    draft.refuse_absent(f"the product of asset {draft.line.asset}", ObjectKind.PRODUCT, situation.command.system_id)


def _apply_changes(draft: Draft, situation: Situation, drafts: Mapping[str, Draft]) -> None:
    supplemental = draft.path not in (Path.CHANGE, Path.MOVE)
    changed = changed_attributes(draft, drafts)
    for attribute in changed:
        if attribute in _PAYER and Attribute.SERVICE_ACCOUNT in changed and draft.kind in ACCOUNT_LEVEL:
            continue  # it cannot go to another account, whoever pays there
        action = handling(attribute, draft.kind, supplemental=supplemental)
        if action is Handling.DROP:
            draft.drop(attribute)
        elif action is Handling.RESET:
            _reset_dates(draft, situation, _wanted(draft.line, attribute))
        elif action is Handling.APPLY and attribute in _APPLY:
            _APPLY[attribute](draft, situation)
        elif action not in (Handling.APPLY, Handling.INHERIT, Handling.UNCHECKED):
            _change_accounts(draft, attribute, action, changed, situation, drafts)
    if draft.line.events and handling(Attribute.PRICING, draft.kind, supplemental=supplemental) is Handling.APPLY:
        draft.terms.override(changed_event_overrides(draft.line))
    if handling(Attribute.PRICE_LIST, draft.kind, supplemental=supplemental) is Handling.OVERRIDDEN:
        _swap_rate_plan(draft, situation)


def changed_attributes(draft: Draft, drafts: Mapping[str, Draft]) -> tuple[Attribute, ...]:
    """The attributes that the order marks as changed, in the matrix' order."""
    line, prior, payer = draft.line, draft.line.prior, draft.payer
    old, new = prior.dates or Dates(), line.dates
    pairs = (
        (Attribute.SERVICE_ACCOUNT, prior.service_account, payer.service_account),
        (Attribute.BILLING_ACCOUNT, prior.billing_account, payer.billing_account),
        (Attribute.BILLING_PROFILE, prior.billing_profile, payer.billing_profile),
        (Attribute.SERVICE_ID, prior.service_id, draft.service_id),
        (Attribute.PRICING, _adjustment(prior.pricing), _adjustment(line.pricing)),
        (Attribute.PROMOTION, prior.promotion, promotion_of(draft, drafts)),
        (Attribute.PURCHASE_DATE, old.purchase, new.purchase),
        (Attribute.USE_DATES, old.cycle_start, new.cycle_start),
        (Attribute.USE_DATES, old.usage_start, new.usage_start),
        (Attribute.QUANTITY, prior.quantity, line.quantity),
        (Attribute.LIST_REFERENCE, prior.special_rating_list, line.special_rating_list),
    )
    changed = [attribute for attribute, before, after in pairs if before is not None and before != after]
    if prior.dates is not None and prior.dates.end != new.end:  # an open end is a value too
        changed.append(Attribute.END_DATE)
    order = list(Attribute)
    return tuple(sorted(set(changed), key=order.index))


def _adjustment(pricing: Pricing | None) -> tuple[object, ...] | None:
    """What counts as pricing: selling price, commit type, discount method, amount and percent."""
    if pricing is None:
        return None
    return (pricing.selling_price, pricing.commit, pricing.method, pricing.discount_amount, pricing.discount_percent)


def _wanted(line: Line, attribute: Attribute) -> BillingDates:
    if attribute is Attribute.PURCHASE_DATE:
        return BillingDates(purchase=line.dates.purchase)
    return BillingDates(cycle_start=line.dates.cycle_start, usage_start=line.dates.usage_start)


def _reset_dates(draft: Draft, situation: Situation, wanted: BillingDates) -> None:
    """Move the dates that are still ahead; one that is current stays, with a warning (R-1.11)."""
    if _offer_kind(draft) not in OFFERS:
        return
    allowed, current = reset(draft.dates, wanted, situation.command.now)
    if current:
        message = f"line {draft.line_id}: {', '.join(current)} reached already, left as it is"
        draft.warn(Reason.DATE_ALREADY_CURRENT, message, field=",".join(current))
    draft.terms.start(allowed)
    draft.dates = merged(draft.dates, allowed)


def _offer_kind(draft: Draft) -> Kind:
    """A simple bundle's offer behaves like a service-level subscription (R-4.8)."""
    return Kind.SERVICE_SUBSCRIPTION if draft.kind is Kind.SIMPLE_BUNDLE else draft.kind


def _set_payer_of_promotion(draft: Draft, situation: Situation) -> None:
    crm_id = draft.payer.billing_account
    draft.new_account = situation.facts.accounts.get(crm_id)
    if draft.new_account is None:
        system_id = situation.command.system_id
        message = f"account {crm_id} is not in {system_id}; customer sync comes first"
        path = "billing_account.account_id"
        draft.refuse(Reason.ACCOUNT_NOT_IN_BILLING, message, path, kind="account", id=crm_id, system=system_id)


def _set_login(draft: Draft, situation: Situation) -> None:
    if not draft.service_id:
        draft.refuse(Reason.SERVICE_ID_MISSING, f"line {draft.line_id} clears its service id", "service_id", field="service_id")
    draft.login = draft.service_id


def _set_pricing(draft: Draft, situation: Situation) -> None:
    before = draft.line.prior.pricing or Pricing()
    draft.terms.override(changed_overrides(before, draft.line.pricing, one_time=draft.kind in ITEMS))


def _set_promotion(draft: Draft, situation: Situation) -> None:
    """Another promotion; one that only goes by another id now is the same."""
    before = situation.facts.installed.get((draft.line.prior.promotion or "", ObjectKind.BUNDLE))
    if before is None or before != draft.bundle:
        draft.terms.bundle = draft.bundle


def _set_purchase_date(draft: Draft, situation: Situation) -> None:
    """Start of a promotion; of offers the matrix resets the date instead."""
    draft.valid_from = draft.line.dates.purchase


def _set_end_date(draft: Draft, situation: Situation) -> None:
    draft.terms.end(draft.line.dates.end)
    draft.dates = replace(draft.dates, end=draft.line.dates.end)


def _set_quantity(draft: Draft, situation: Situation) -> None:
    """BRM cannot change the quantity of what is bought: it is cancelled and bought again (5.5, K7)."""
    draft.bought_again = situation.command.revision


def _refuse_move(draft: Draft, situation: Situation) -> None:
    message = f"line {draft.line_id}: moving account-level products to another bill unit is not offered by this version"
    _not_offered(draft, message, "billing_profile")


_APPLY: Final[Mapping[Attribute, Callable[[Draft, Situation], None]]] = {
    Attribute.BILLING_ACCOUNT: _set_payer_of_promotion,
    Attribute.BILLING_PROFILE: _refuse_move,
    Attribute.SERVICE_ID: _set_login,
    Attribute.PRICING: _set_pricing,
    Attribute.PROMOTION: _set_promotion,
    Attribute.PURCHASE_DATE: _set_purchase_date,
    Attribute.END_DATE: _set_end_date,
    Attribute.QUANTITY: _set_quantity,
}
"""Attributes a cell says to apply, but for the list reference: what it takes is chosen together with the entries."""


def _change_accounts(
    draft: Draft,
    attribute: Attribute,
    action: Handling,
    changed: Iterable[Attribute],
    situation: Situation,
    drafts: Mapping[str, Draft],
) -> None:
    """New accounts of something installed: another user or payer of a service; the others are refused by rule, or because no
    sequence of calls stands behind them yet."""
    if action is Handling.REJECT:
        message = f"line {draft.line_id}: account-level products cannot be transferred to another account"
        draft.refuse(Reason.ACCOUNT_PRODUCT_TRANSFER, message, "service_account.account_id")
    elif action is Handling.ACCOUNT_PAYER and draft.state is State.FULFILLED and situation.policy.account_level_payer_lock:
        message = f"line {draft.line_id}: the payer of account-level products is fixed once one of them is billed"
        draft.refuse(Reason.ACCOUNT_PRODUCT_PAYER_CHANGED, message, "billing_account.account_id")
    elif action is Handling.ACCOUNT_PAYER:
        _refuse_move(draft, situation)
    elif draft.kind in SERVICES:
        _change_service_accounts(draft, attribute, frozenset(changed), situation, drafts)


def _change_service_accounts(
    draft: Draft,
    attribute: Attribute,
    changed: frozenset[Attribute],
    situation: Situation,
    drafts: Mapping[str, Draft],
) -> None:
    per_service = situation.policy.service_level_balance_groups
    if attribute is Attribute.SERVICE_ACCOUNT and not per_service:
        message = f"line {draft.line_id}: a service cannot change its account while balance groups are per account"
        draft.refuse(Reason.SERVICE_ACCOUNT_CHANGE_NOT_ALLOWED, message, "service_account.account_id")
    elif attribute is Attribute.SERVICE_ACCOUNT:
        take_new_account(draft, situation, drafts)
    elif Attribute.SERVICE_ACCOUNT in changed:
        return  # the change of service account speaks for all
    elif not per_service and (not changed >= _PAYER or _pays_for_itself(draft)):
        message = (
            f"line {draft.line_id}: while balance groups are per account, billing account and profile change together, from one"
            " account that pays for another one to the next"
        )
        draft.refuse(Reason.PAYING_PARENT_CHANGE_INCOMPLETE, message, "billing_profile.billing_profile_id")
    elif draft.new_unit is None and draft.is_open:
        take_new_payer(draft, situation)


def _pays_for_itself(draft: Draft) -> bool:
    """Whether the account pays for its services before the change, or after it."""
    return draft.payer.pays_itself or draft.line.prior.billing_account == draft.payer.service_account


def _not_offered(draft: Draft, message: str, attribute: str) -> None:
    draft.refuse(
        Reason.LINE_ACTION_NOT_SUPPORTED,
        message,
        attribute,
        product_kind=draft.kind,
        action=draft.line.action,
        attribute=attribute,
    )


def _swap_rate_plan(draft: Draft, situation: Situation) -> None:
    """A non-empty price list on an UPDATE line is a change, unless BRM has that plan already (R-4.7, R-7.14)."""
    line = draft.line
    if line.price_list and draft.rate_plan and record(draft, situation.facts).price_list != line.price_list:
        draft.terms.rate_plan = draft.rate_plan
