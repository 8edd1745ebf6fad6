"""Calls that change or end what exists (bill-fulfillment.md 5.5)."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from libs.brm import calls
from libs.brm.call import BrmCall
from libs.brm.codes import OfferStatus, Status
from libs.order_actions import SERVICES
from services.bill_fulfillment.domain.assembly import Assembly, Phase, name_of, owner_targets, promotion_target, service_target
from services.bill_fulfillment.domain.creation import buy
from services.bill_fulfillment.domain.dates import effective
from services.bill_fulfillment.domain.draft import INSTANCE_OF, Draft, instance
from services.bill_fulfillment.domain.kinds import ACCOUNT_LEVEL
from services.bill_fulfillment.domain.model import Action, Handle, Kind, ObjectKind, State
from services.bill_fulfillment.domain.paths import Path
from services.bill_fulfillment.domain.payers import change_payer
from services.bill_fulfillment.domain.resolution import promotion_of
from services.bill_fulfillment.domain.special_rating import change_list, delete_list
from services.bill_fulfillment.domain.transfers import transfer

_REVISES: Final = (Path.REVISE, Path.REVISE_AND_RESET, Path.CHANGE, Path.MOVE, Path.RESET_DATES)


def change(assembly: Assembly) -> None:
    """Steps for every open line that changes, suspends, resumes or ends something."""
    for draft in assembly.drafts.values():
        if not draft.is_open:
            continue
        if draft.path in _REVISES:
            _update(draft, assembly)
        elif draft.path is Path.STATUS:
            _set_status(draft, assembly)
        elif draft.path is Path.CANCEL:
            _cancel(draft, assembly)


def _update(draft: Draft, assembly: Assembly) -> None:
    asset, target = draft.line.asset, _existing(draft, assembly)
    if draft.kind is Kind.PROMOTION:
        assembly.add(
            Phase.PROMOTIONS,
            f"bundle:{asset}:change",
            f"change promotion {name_of(draft)}",
            calls.set_bundle(
                draft.known_account,
                [calls.Bundle(poid=target, account=draft.new_account, valid_from=draft.valid_from)],
                program_name=assembly.program,
            ),
            [draft],
            touches=[promotion_target(asset)],
        )
    if draft.from_account is not None:
        transfer(draft, target, assembly)
    elif draft.new_unit is not None:
        change_payer(draft, target, assembly)
    if draft.login:
        assembly.add(
            Phase.SERVICE_CHANGES,
            f"service:{asset}:login",
            f"change service id of {name_of(draft)} to {draft.login}",
            calls.update_services(
                draft.known_account, [calls.ServiceChange(service=target, login=draft.login)], program_name=assembly.program
            ),
            [draft],
            touches=[service_target(asset)],
        )
    if draft.bought_again:
        _buy_again(draft, target, assembly)
    elif draft.terms:
        _set_terms(draft, assembly)
    if draft.entries is not None:
        change_list(draft, target, assembly)


def _buy_again(draft: Draft, item: Handle, assembly: Assembly) -> None:
    """Cancel an item and buy it with what the line says now."""
    owner = assembly.drafts[draft.at.owner_id]
    service, cancelled = _service(draft, assembly), f"item:{draft.purchase_id}:cancel"
    assembly.add(
        Phase.ITEMS,
        cancelled,
        f"cancel {name_of(draft)}, to buy another quantity",
        calls.cancel_product(
            draft.known_account, [calls.OfferCancellation(offering=item)], service=service, program_name=assembly.program
        ),
        [draft],
    )
    buy(owner, [draft], service, f"service {name_of(owner)} {owner.service_id}".rstrip(), assembly, after=[cancelled])


def _set_terms(draft: Draft, assembly: Assembly) -> None:
    kind = ObjectKind.PRODUCT if draft.kind is Kind.SIMPLE_BUNDLE else INSTANCE_OF[draft.kind]
    offering = _existing(draft, assembly, kind)
    change_offer = calls.set_discountinfo if kind is ObjectKind.DISCOUNT else calls.set_prodinfo
    promotions = {promotion_of(draft, assembly.drafts), draft.line.prior.promotion or ""} - {""}
    assembly.add(
        Phase.OFFER_CHANGES,
        f"{_subject(draft, kind)}:change",
        f"change {name_of(draft)}: {draft.terms.words()}",
        change_offer(
            draft.known_account,
            [calls.OfferChange(offering=offering, **draft.terms.arguments())],
            service=_service(draft, assembly),
            program_name=assembly.program,
        ),
        [draft],
        touches=[*(promotion_target(promotion) for promotion in sorted(promotions)), *owner_targets(draft)],
    )


def _set_status(draft: Draft, assembly: Assembly) -> None:
    suspended = draft.line.action is Action.SUSPEND
    word = "suspend" if suspended else "resume"
    target, start = _existing(draft, assembly), effective(draft.line)
    kind = INSTANCE_OF[draft.kind]
    draft.reached = draft.state
    if draft.kind in SERVICES:
        status = Status.INACTIVE if suspended else Status.ACTIVE
        call = _service_status(draft, target, status, start, assembly)
    else:
        set_status = calls.set_discount_status if kind is ObjectKind.DISCOUNT else calls.set_product_status
        offer_status = OfferStatus.INACTIVE if suspended else OfferStatus.ACTIVE
        call = set_status(draft.known_account, [target], offer_status, program_name=assembly.program, at=start)
    assembly.add(
        Phase.STATUS,
        f"{_subject(draft, kind)}:{word}",
        f"{word} {name_of(draft)}",
        call,
        [draft],
        closes=service_target(draft.line.asset) if draft.kind in SERVICES else "",
    )


def _cancel(draft: Draft, assembly: Assembly) -> None:
    draft.reached = State.CANCELLED
    target, end = _existing(draft, assembly), effective(draft.line)
    if draft.kind is Kind.SPECIAL_RATING:
        delete_list(draft, target, assembly)
        return
    closes = leaves = ""
    if draft.kind is Kind.PROMOTION:
        phase = Phase.END_PROMOTIONS
        ended = calls.Bundle(poid=target, status=OfferStatus.CANCELLED, valid_to=end)
        call = calls.set_bundle(draft.known_account, [ended], program_name=assembly.program)
        closes = promotion_target(draft.line.asset)
    elif draft.kind in SERVICES:
        nested = draft.kind is Kind.NESTED_BUNDLE
        phase = Phase.CLOSE_NESTED if nested else Phase.CLOSE_SERVICES
        call = _service_status(draft, target, Status.CLOSED, end, assembly)
        closes = service_target(draft.line.asset)
    else:
        kind = INSTANCE_OF[draft.kind]
        phase = Phase.CANCEL_DISCOUNTS if kind is ObjectKind.DISCOUNT else Phase.CANCEL_PRODUCTS
        cancel_offer = calls.cancel_discount if kind is ObjectKind.DISCOUNT else calls.cancel_product
        call = cancel_offer(
            draft.known_account,
            [calls.OfferCancellation(offering=target)],
            service=_service(draft, assembly),
            program_name=assembly.program,
            at=end,
        )
        leaves = service_target(draft.owner_asset) if draft.owner_asset else ""
    promotion = promotion_of(draft, assembly.drafts)
    assembly.add(
        phase,
        f"{_subject(draft, INSTANCE_OF[draft.kind])}:cancel",
        f"{'end' if draft.kind is Kind.PROMOTION else 'cancel'} {name_of(draft)}",
        call,
        [draft],
        touches=[*([promotion_target(promotion)] if promotion else []), *owner_targets(draft)],
        closes=closes,
        leaves=leaves,
    )


def _service_status(draft: Draft, target: Handle, status: Status, at: datetime | None, assembly: Assembly) -> BrmCall:
    """Suspend, resume or close a service; BRM carries its offers along."""
    entry = calls.ServiceChange(service=target, status=status)
    return calls.update_services(draft.known_account, [entry], program_name=assembly.program, at=at)


def _existing(draft: Draft, assembly: Assembly, kind: ObjectKind | None = None) -> Handle:
    """The instance a change speaks of; remembered as the line's object."""
    wanted, owner = kind or INSTANCE_OF[draft.kind], assembly.drafts.get(draft.at.owner_id, draft)
    renewed = {**draft.renewed, **owner.renewed}
    found = renewed.get((draft.line.asset, wanted)) or instance(draft, assembly.situation.facts, kind)
    if found is None:
        raise LookupError(f"line {draft.line_id} has no {wanted} although its state says so")
    draft.objects[wanted] = found
    return found


def _service(draft: Draft, assembly: Assembly) -> Handle | None:
    """The service an offer hangs on; ``None`` at account level."""
    if draft.kind in ACCOUNT_LEVEL:
        return None
    if draft.kind in SERVICES:
        return instance(draft, assembly.situation.facts)
    return instance(assembly.drafts[draft.at.owner_id], assembly.situation.facts)


def _subject(draft: Draft, kind: ObjectKind) -> str:
    """Stable name of what is changed: the asset, or an item's line."""
    return f"{kind.lower()}:{draft.line_id if kind is ObjectKind.ITEM else draft.line.asset}"
