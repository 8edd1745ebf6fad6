"""Status changes of accounts, bill units and services and what they cascade to (5.6)."""

from __future__ import annotations

from libs.brm.flist import Flist
from libs.brm.poid import Poid
from sandbox.billing.ledger import Occurrence, record
from sandbox.billing.offers import offers_of, set_offer_status
from sandbox.billing.units import is_nonpaying, units_of
from sandbox.codes import OfferStatus, State, StatusFlag
from sandbox.errors import BrmFault
from sandbox.store.sqlite import Tx

_OFFER_STATUS = {
    State.ACTIVE: OfferStatus.ACTIVE,
    State.INACTIVE: OfferStatus.INACTIVE,
    State.CLOSED: OfferStatus.CANCELLED,
}


def set_status(tx: Tx, target: Flist, status: int, flags: int, program: str, *, allow_reopen: bool = False) -> list[Flist]:
    """Set the status of an ``/account``, ``/billinfo`` or ``/service`` with its cascade; the present status is a no-op.

    Raises BAD_VALUE @STATUS for a transition that 5.6 does not allow.
    """
    state = _checked(target, status, flags, allow_reopen)
    if target["STATUS"] == state:
        return []
    _check_account(tx, target, state)
    changed = tx.edit(target["POID"])
    changed["STATUS"] = int(state)
    changed["STATUS_FLAGS"] = flags if state is not State.ACTIVE else 0
    if state is State.CLOSED:
        changed["CLOSE_WHEN_T"] = tx.now
    family = "/" + target["POID"].type.split("/")[1]
    account = target["POID"] if family == "/account" else target["ACCOUNT_OBJ"]
    service = target["POID"] if family == "/service" else None
    what = Occurrence("/event/customer/status", f"{target['POID'].type} status {int(state)}", tx.now, tx.now, program)
    events = [record(tx, account, service, what)]
    if family == "/account":
        events += _cascade_account(tx, changed, state, program)
    elif family == "/service":
        events += _cascade_offers(tx, changed, state, StatusFlag.DUE_TO_SERVICE, program)
    return events


def _check_account(tx: Tx, target: Flist, state: State) -> None:
    """Nothing of a suspended or closed account can be active (INV-12)."""
    if state is State.ACTIVE and "ACCOUNT_OBJ" in target and tx.get(target["ACCOUNT_OBJ"])["STATUS"] != State.ACTIVE:
        raise BrmFault("BAD_VALUE", "STATUS", "the account is not active")


def _checked(target: Flist, status: int, flags: int, allow_reopen: bool) -> State:
    try:
        state = State(status)
    except ValueError:
        raise BrmFault("BAD_VALUE", "STATUS", f"{status} is no status") from None
    if target["STATUS"] == State.CLOSED and state is not State.CLOSED:
        reopening = state is State.ACTIVE and flags & StatusFlag.ACTIVATE and allow_reopen
        if not reopening:
            raise BrmFault("BAD_VALUE", "STATUS", "a closed object cannot be reopened")
    return state


def _cascade_account(tx: Tx, account: Flist, state: State, program: str) -> list[Flist]:
    """Bill units and services follow their account; on resuming, only those the account had suspended."""
    events: list[Flist] = []
    poid = account["POID"]
    for unit in units_of(tx, poid):
        _follow(tx, unit, state)
    for service in tx.by_key("/service.ACCOUNT_OBJ", poid):
        if _follow(tx, service, state):
            events += _cascade_offers(tx, tx.get(service["POID"]), state, StatusFlag.DUE_TO_ACCOUNT, program)
    account_level = [offer for offer in offers_of(tx, account) if offer.get("SERVICE_OBJ") is None]
    events += _change_offers(tx, account_level, state, StatusFlag.DUE_TO_ACCOUNT, program)
    return events + _cascade_children(tx, poid, state, program)


def _cascade_children(tx: Tx, parent: Poid, state: State, program: str) -> list[Flist]:
    """Accounts right below that pay for nothing themselves are suspended with their parent, and come back with it."""
    events: list[Flist] = []
    due_to = int(StatusFlag.DUE_TO_PARENT)
    groups = [group for group in tx.by_key("/group.PARENT", parent) if group["POID"].type == "/group/billing"]
    for member in [each for group in groups for each in (group.get("MEMBERS") or {}).values()]:
        child = tx.get(member["ACCOUNT_OBJ"])
        if not all(is_nonpaying(unit) for unit in units_of(tx, child["POID"])):
            continue
        suspended = child["STATUS"] == State.INACTIVE and child["STATUS_FLAGS"] & due_to
        if (state is State.INACTIVE and child["STATUS"] == State.ACTIVE) or (state is State.ACTIVE and suspended):
            events += set_status(tx, child, int(state), due_to, program)
    return events


def _follow(tx: Tx, target: Flist, state: State) -> bool:
    """Apply the account's state to a dependent object; whether it changed."""
    if target["STATUS"] in (state, State.CLOSED):
        return False
    if state is State.ACTIVE and not target["STATUS_FLAGS"] & StatusFlag.DUE_TO_ACCOUNT:
        return False
    changed = tx.edit(target["POID"])
    changed["STATUS"] = int(state)
    changed["STATUS_FLAGS"] = 0 if state is State.ACTIVE else int(StatusFlag.DUE_TO_ACCOUNT)
    return True


def _cascade_offers(tx: Tx, service: Flist, state: State, due_to: StatusFlag, program: str) -> list[Flist]:
    return _change_offers(tx, offers_of(tx, service), state, due_to, program)


def _change_offers(tx: Tx, offers: list[Flist], state: State, due_to: StatusFlag, program: str) -> list[Flist]:
    """Offers follow: suspended ones carry the reason, and only those come back."""
    events: list[Flist] = []
    status = _OFFER_STATUS[state]
    for offer in offers:
        if offer["STATUS"] in (OfferStatus.CANCELLED, status):
            continue
        if status is OfferStatus.ACTIVE and not offer["STATUS_FLAGS"] & due_to:
            continue
        events += set_offer_status(tx, offer["POID"], status, int(due_to), program)
    return events
