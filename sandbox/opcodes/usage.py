"""One-off charges, grants and events (4.4)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from libs.brm.flist import Flist
from sandbox.billing.cycles import catch_up
from sandbox.billing.ledger import Debtor, Impact, Occurrence, post
from sandbox.billing.limits import check_limits
from sandbox.errors import BrmFault
from sandbox.money import is_currency, rounded
from sandbox.opcodes.actions import debtor_of_call
from sandbox.opcodes.registry import Context, done, elements, opcode, program_of, required, required_array

_ITEM_OF_EVENT: Final = (
    ("/event/billing/product/fee/purchase", "/item/purchase"),
    ("/event/billing/product/fee/cycle", "/item/cycle_forward"),
    ("/event/session", "/item/usage"),
    ("/event/delayed", "/item/usage"),
)


@opcode("PCM_OP_BILL_DEBIT")
def bill_debit(ctx: Context, flist: Flist) -> Flist:
    """Debit (positive) or credit (negative) any resource: money goes on the next bill, counted resources to the balance.

    SUB_BALANCES gives the validity of counted resources.
    """
    tx, program = ctx.tx, program_of(flist)
    debtor = _fresh(ctx, flist)
    validity = next(iter(elements(flist, "SUB_BALANCES").values()), {})
    window: dict[str, Any] = {"valid_from": validity.get("VALID_FROM"), "valid_to": validity.get("VALID_TO")}
    impacts = []
    for resource, body in required_array(flist, "DEBIT").items():
        amount = Decimal(required(body, "BAL_OPERAND"))
        _check_resource(debtor, int(resource))
        money = is_currency(int(resource))
        impacts.append(Impact(int(resource), rounded(amount) if money else amount, **({} if money else window)))
    what = Occurrence("/event/billing/debit", "Debit", tx.now, tx.now, program, note=flist.get("DESCR"))
    event = post(tx, debtor, what, impacts)
    return done(event["POID"], [event])


@opcode("PCM_OP_ACT_USAGE")
def act_usage(ctx: Context, flist: Flist) -> Flist:
    """Store an event of any class with its pre-rated balance impacts; CREDIT_LIMIT_EXCEEDED when they go beyond one."""
    tx, program = ctx.tx, program_of(flist)
    given = required(flist, "EVENT")
    poid = required(given, "POID")
    if not poid.type.startswith("/event/"):
        raise BrmFault("BAD_POID_TYPE", "EVENT", f"{poid} is no event")
    debtor = _fresh(ctx, {**flist, **{name: given[name] for name in ("SERVICE_OBJ",) if given.get(name) is not None}})
    impacts = []
    for body in elements(given, "BAL_IMPACTS").values():
        resource = required(body, "RESOURCE_ID")
        _check_resource(debtor, resource)
        amount = Decimal(required(body, "AMOUNT"))
        tax_code = str(body.get("TAX_CODE") or "")
        impacts.append(Impact(resource, rounded(amount) if is_currency(resource) else amount, tax_code=tax_code))
    start = given.get("START_T") or tx.now
    what = Occurrence(
        poid.type,
        str(given.get("SYS_DESCR") or given.get("NAME") or "Activity"),
        start,
        given.get("END_T") or start,
        str(given.get("PROGRAM_NAME") or program),
        quantity=Decimal(given.get("NET_QUANTITY") or 1),
        note=given.get("DESCR") or flist.get("DESCR"),
    )
    item_type = next((item for prefix, item in _ITEM_OF_EVENT if poid.type.startswith(prefix)), "/item/misc")
    event = post(tx, debtor, what, impacts, item_type)
    check_limits(tx, [event])
    for name in ("CALLING_FROM", "CALLED_TO", "UNIT"):
        if given.get(name) is not None:
            event[name] = given[name]
    return done(event["POID"], [event])


def _fresh(ctx: Context, flist: Flist) -> Debtor:
    """Whom the call is about, once cycles that have ended are billed, so that the charge lands in the cycle of its time."""
    debtor = debtor_of_call(ctx.tx, flist)
    catch_up(ctx.tx, debtor.unit["POID"])
    return Debtor.of_group(ctx.tx, debtor.account, debtor.service, debtor.group)


def _check_resource(debtor: Debtor, resource: int) -> None:
    if is_currency(resource) and resource != debtor.unit["CURRENCY"]:
        raise BrmFault("CURRENCY_MISMATCH", "RESOURCE_ID", f"the bill unit's currency is {debtor.unit['CURRENCY']}")
