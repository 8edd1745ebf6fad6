"""Opcodes that BRM calls itself, or that no flow of ours takes (specification 4.1 to 4.12).

They are here so that the catalogue is whole and a site that exposes one can use it. Their names are public; their fields are
recalled and kept to the least: compare them with the site's XSD first. Each says what to call instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from libs.brm.call import BrmCall
from libs.brm.calls.balances import bal_get_bal_grp_and_svc
from libs.brm.calls.collections import collections_add_action
from libs.brm.calls.offers import Deal
from libs.brm.calls.payments import Payment
from libs.brm.calls.receivables import Action, Allocation
from libs.brm.calls.transfers import change_deal
from libs.brm.calls.values import PROGRAM_NAME, PoidLike, audit, given, given_poid, merged, new, poid
from libs.brm.codes import FollowUps, PayType
from libs.brm.flist import Array, Flist
from libs.brm.poid import DEFAULT_DB


def set_passwd(service: PoidLike, password: str, *, program_name: str = PROGRAM_NAME, descr: str = "") -> BrmCall:
    """Set the password of a service; sensitive, never logged. Instead: :func:`update_services`, which also does the rest.

    Repeating: no further effect; whether it was done cannot be read. Source: [recall].
    """
    return BrmCall(
        "PCM_OP_CUST_SET_PASSWD", merged({"POID": poid(service)}, audit(program_name, descr), {"PASSWD_CLEAR": password})
    )


def init_service(
    service: PoidLike,
    *,
    account: PoidLike | None = None,
    login: str = "",
    password: str = "",
    service_id: str = "",
    balance_group: PoidLike | None = None,
    program_name: str = PROGRAM_NAME,
) -> BrmCall:
    """Fill a service that was just created: the inner step of customer creation. Do not call directly: :func:`modify_customer`.

    Repeating: no further effect. DUPLICATE when the login is taken. Source: [recall].
    """
    fields = merged(
        given_poid(ACCOUNT_OBJ=account),
        audit(program_name),
        given(LOGIN=login, PASSWD_CLEAR=password, SERVICE_ID=service_id),
        given_poid(BAL_GRP_OBJ=balance_group),
    )
    return BrmCall("PCM_OP_CUST_INIT_SERVICE", {"POID": poid(service)} | fields)


def delete_acct(account: PoidLike, *, program_name: str = PROGRAM_NAME) -> BrmCall:
    """Delete an account with all it has, for test systems. Never in production flows: close it (:func:`set_status`).

    Repeating: NOT_FOUND, which counts as done. Source: [recall].
    """
    return BrmCall("PCM_OP_CUST_DELETE_ACCT", {"POID": poid(account)} | audit(program_name))


def cust_pol_pre_delete_payinfo(payinfo: PoidLike) -> BrmCall:
    """Ask the site's rule whether a payment method may go: ``RESULT`` 1 or 0. BRM calls it inside :func:`delete_payinfo`.

    A read. Source: name [OG], [recall].
    """
    return BrmCall("PCM_OP_CUST_POL_PRE_DELETE_PAYINFO", {"POID": poid(payinfo), "PROGRAM_NAME": PROGRAM_NAME})


def cust_pol_get_plans(kind: str = "", *, threshold: int | None = None, db: str = DEFAULT_DB) -> BrmCall:
    """The packages a new customer may buy: ``PLANS[]``; ``kind`` is a list the site keeps (``new``, ``addon``). A read.

    Source: name [OG 22], [recall].
    """
    return BrmCall("PCM_OP_CUST_POL_GET_PLANS", {"POID": new("/plan", db)} | given(TYPE_STR=kind, THRESHOLD=threshold))


def cust_pol_get_deals(
    account: PoidLike, service: PoidLike | None = None, *, kind: str = "", threshold: int | None = None
) -> BrmCall:
    """The bundles an account, or one of its services, may buy: ``DEALS[]``. A read. Source: name [OG 22], [recall]."""
    fields = given_poid(SERVICE_OBJ=service) | given(TYPE_STR=kind, THRESHOLD=threshold)
    return BrmCall("PCM_OP_CUST_POL_GET_DEALS", {"POID": poid(account)} | fields)


def read_plan_deals(plan: PoidLike, *, account: PoidLike | None = None) -> BrmCall:
    """The bundles of a package, with the service each is for: ``DEALS[]``. A read. Source: name [OG 22], [recall]."""
    return BrmCall("PCM_OP_SUBSCRIPTION_READ_PLAN_DEALS", {"POID": poid(plan)} | given_poid(ACCOUNT_OBJ=account))


def transition_deal(
    account: PoidLike,
    old: Deal,
    bought: Deal,
    *,
    package_id: int | None = None,
    service: PoidLike | None = None,
    program_name: str = PROGRAM_NAME,
    at: datetime | None = None,
    db: str = DEFAULT_DB,
) -> BrmCall:
    """Replace a bundle by another that the site's ``/transition`` maps it to. Instead: :func:`change_deal`, without a mapping.

    VALIDATION_FAILED @DEAL_OBJ without a mapping. Repeating: buys again! Natural key: the line ids of ``bought``'s offers.
    Output: as PURCHASE_DEAL. Source: [recall].
    """
    changed = change_deal(account, old, bought, package_id=package_id, service=service, program_name=program_name, at=at, db=db)
    return replace(changed, opcode="PCM_OP_SUBSCRIPTION_TRANSITION_DEAL")


def transition_plan(
    account: PoidLike,
    old: PoidLike,
    bought: PoidLike,
    *,
    service: PoidLike | None = None,
    program_name: str = PROGRAM_NAME,
    at: datetime | None = None,
) -> BrmCall:
    """Replace a package by another that the site's ``/transition`` maps it to; the offers of the old one end.

    VALIDATION_FAILED @DEAL_OBJ without a mapping. Repeating: never blindly; nothing tells the offers of two transitions apart.
    Source: number and refusal [MOS 953566.1], [recall].
    """
    fields = merged(
        given_poid(SERVICE_OBJ=service), audit(program_name, at=at), {"FROM_OBJ": poid(old), "TO_OBJ": poid(bought)}
    )
    return BrmCall("PCM_OP_SUBSCRIPTION_TRANSITION_PLAN", {"POID": poid(account)} | fields)


def bill_group_remove_paying_members(
    group: PoidLike, *, parent: PoidLike | None = None, program_name: str = PROGRAM_NAME, descr: str = ""
) -> BrmCall:
    """Take all paying accounts below a hierarchy out of it. Not used: :func:`bill_group_delete_member` names whom it takes.

    Repeating: no further effect. Source: 12.0 PS7 [OG], [recall].
    """
    fields = merged({"POID": poid(group)}, given_poid(PARENT=parent), audit(program_name, descr))
    return BrmCall("PCM_OP_BILL_GROUP_REMOVE_PAYING_MEMBERS", fields)


def bill_cycle_forward(
    account: PoidLike,
    *,
    billinfo: PoidLike | None = None,
    offerings: Sequence[PoidLike] = (),
    program_name: str = PROGRAM_NAME,
    at: datetime | None = None,
) -> BrmCall:
    """Charge the fees of the coming cycle. Billing does it: do not call directly, :func:`bill_make_bill`.

    Repeating: never blindly; a second charge is indistinguishable from the first. Source: name [OG 22], [recall].
    """
    return BrmCall("PCM_OP_BILL_CYCLE_FORWARD", _cycle(account, billinfo, offerings, program_name, at))


def bill_cycle_arrears(
    account: PoidLike,
    *,
    billinfo: PoidLike | None = None,
    offerings: Sequence[PoidLike] = (),
    program_name: str = PROGRAM_NAME,
    at: datetime | None = None,
) -> BrmCall:
    """Charge the fees of the past cycle. Billing does it: do not call directly, :func:`bill_make_bill`.

    Repeating: never blindly; a second charge is indistinguishable from the first. Source: name [OG 22], [recall].
    """
    return BrmCall("PCM_OP_BILL_CYCLE_ARREARS", _cycle(account, billinfo, offerings, program_name, at))


def bill_rcv_payment(
    account: PoidLike,
    amount: Decimal,
    currency: int,
    pay_type: PayType,
    *,
    token: str,
    billinfo: PoidLike | None = None,
    program_name: str = PROGRAM_NAME,
    at: datetime | None = None,
) -> BrmCall:
    """Store one payment: the inner step of :func:`pymt_collect`, which also allocates. Do not call directly.

    ``amount`` above 0, in ``currency`` (ISO 4217 number). Repeating: pays again! Natural key: ``token`` (``TRANS_ID``).
    Output: ``ITEM_OBJ``. Source: name [OG 21], [recall].
    """
    fields = merged(
        given_poid(BILLINFO_OBJ=billinfo),
        audit(program_name, at=at),
        {"AMOUNT": amount, "CURRENCY": currency, "PAY_TYPE": int(pay_type), "TRANS_ID": token},
    )
    return BrmCall("PCM_OP_BILL_RCV_PAYMENT", {"POID": poid(account)} | fields)


def bill_move_item(
    bill: PoidLike, items: Sequence[PoidLike], *, billinfo: PoidLike | None = None, program_name: str = PROGRAM_NAME
) -> BrmCall:
    """Move items to another bill of the same bill unit. Not used. Repeating: no further effect. Source: 15.1 [OG], [recall]."""
    moved = Array.of(*({"POID": poid(item)} for item in items))
    fields = merged({"POID": poid(bill)}, given_poid(BILLINFO_OBJ=billinfo), audit(program_name), {"ITEMS": moved})
    return BrmCall("PCM_OP_BILL_MOVE_ITEM", fields)


def ar_bill_credit_transfer(bill: PoidLike, to: Sequence[Allocation], action: Action) -> BrmCall:
    """Move the credit of one bill to others. RESULT 0 with a text when there is not so much. Not used: a credit is allocated
    by :func:`bill_item_transfer`.

    Repeating: moves again! Natural key: the bill unit and ``action.token``. Source: name [OG 4, 21], [recall].
    """
    bills = Array.of(*(target.flist() for target in to))
    return BrmCall("PCM_OP_AR_BILL_CREDIT_TRANSFER", merged({"POID": poid(bill)}, action.flist(), {"BILLS": bills}))


def pymt_recover(owner: PoidLike, payments: Sequence[Payment], *, program_name: str = PROGRAM_NAME, descr: str = "") -> BrmCall:
    """Ask the payment processor what became of card charges whose answer got lost, and post them. Not used: our payments are
    found again by their token.

    Repeating: never blindly; what the processor says may have changed. Output: ``RESULTS[]`` as PYMT_COLLECT. Source: [recall].
    """
    charges = Array.of(*(_charge(payment, "ACCOUNT_OBJ", "BILLINFO_OBJ", "PAY_TYPE", "TRANS_ID") for payment in payments))
    return BrmCall("PCM_OP_PYMT_RECOVER", merged({"POID": poid(owner)}, audit(program_name, descr), {"CHARGES": charges}))


def pymt_validate_payment(owner: PoidLike, payments: Sequence[Payment]) -> BrmCall:
    """Whether payments could be taken: ``RESULTS[]`` with ``RESULT`` 1 or 0 and a text. Not used. A read. Source: [recall]."""
    charges = Array.of(*(payment.flist() for payment in payments))
    return BrmCall("PCM_OP_PYMT_VALIDATE_PAYMENT", {"POID": poid(owner), "PROGRAM_NAME": PROGRAM_NAME, "CHARGES": charges})


def pymt_select_items(
    account: PoidLike, amount: Decimal, *, billinfo: PoidLike | None = None, currency: int | None = None
) -> BrmCall:
    """The open items an amount would pay, in BRM's order: ``ITEMS[]`` with their shares. :func:`pymt_collect` does it itself.

    ``amount`` in ``currency`` (ISO 4217 number). A read. Source: name [MOS 2818970.1], [recall].
    """
    fields = merged(given_poid(BILLINFO_OBJ=billinfo), {"AMOUNT": amount}, given(CURRENCY=currency))
    return BrmCall("PCM_OP_PYMT_SELECT_ITEMS", {"POID": poid(account)} | fields)


def pymt_get_ach_info(account: PoidLike, *, pay_type: PayType | None = None) -> BrmCall:
    """The clearing house that handles an account's payments: ``RESULTS[]``. Not used. A read. Source: [recall]."""
    return BrmCall("PCM_OP_PYMT_GET_ACH_INFO", {"POID": poid(account)} | given(PAY_TYPE=pay_type))


def price_set_price_list(catalogue: Mapping[str, Array], *, program_name: str = PROGRAM_NAME, db: str = DEFAULT_DB) -> BrmCall:
    """Replace the named parts of the catalogue (``PRODUCTS``, ``DISCOUNTS``, ``SPONSORS``, ``DEALS``, ``PLANS``).

    The write side of :func:`price_get_price_list`, for those who keep a catalogue. Not used: products come to us, not from us.

    Repeating: no further effect; parts go by their ``CODE``. Source: [recall].
    """
    return BrmCall("PCM_OP_PRICE_SET_PRICE_LIST", merged({"POID": new("/", db)}, audit(program_name), catalogue))


def price_commit_product(
    name: str, *, product: PoidLike | None = None, code: str = "", program_name: str = PROGRAM_NAME, db: str = DEFAULT_DB
) -> BrmCall:
    """Create a product, or change ``product``. Not used. Output: ``POID``.

    Repeating: never blindly; a second product of the same name is another one. Source: [recall].
    """
    fields = merged(audit(program_name), given(CODE=code), {"NAME": name})
    return BrmCall("PCM_OP_PRICE_COMMIT_PRODUCT", {"POID": poid(product) if product else new("/product", db)} | fields)


def collections_insert_action(
    scenario: PoidLike,
    definition: PoidLike,
    due: datetime,
    *,
    amount: Decimal | None = None,
    slip_days: int | None = None,
    follow_ups: FollowUps = FollowUps.KEEP,
    program_name: str = PROGRAM_NAME,
) -> BrmCall:
    """What older releases call :func:`collections_add_action`. Output: ``ACTION_OBJ``.

    Repeating: adds another! Natural key: scenario, definition and due time. Source: [recall].
    """
    added = collections_add_action(
        scenario, definition, due, amount=amount, slip_days=slip_days, follow_ups=follow_ups, program_name=program_name
    )
    return replace(added, opcode="PCM_OP_COLLECTIONS_INSERT_ACTION")


def bal_pol_get_bal_grp_and_svc(billinfo: PoidLike, *, threshold: int | None = None) -> BrmCall:
    """The hook by which a site changes what :func:`bal_get_bal_grp_and_svc` shows; call that. A read. Source: [OG 13]."""
    return replace(bal_get_bal_grp_and_svc(billinfo, threshold=threshold), opcode="PCM_OP_BAL_POL_GET_BAL_GRP_AND_SVC")


def _cycle(
    account: PoidLike, billinfo: PoidLike | None, offerings: Sequence[PoidLike], program_name: str, at: datetime | None
) -> Flist:
    offers = Array.of(*({"OFFERING_OBJ": poid(offer)} for offer in offerings))
    fields = merged({"POID": poid(account)}, given_poid(BILLINFO_OBJ=billinfo), audit(program_name, at=at))
    return fields | ({"PRODUCTS": offers} if offers else {})


def _charge(payment: Payment, *names: str) -> Flist:
    return {name: value for name, value in payment.flist().items() if name in names}
