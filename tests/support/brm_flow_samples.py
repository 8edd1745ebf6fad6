"""Calls that flows make, for tests of the BRM connector; the others are in :mod:`brm_samples`."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from libs.brm import calls
from libs.brm.call import BrmCall
from libs.brm.codes import Delivery, OfferStatus, PhoneType, Status
from libs.brm.flist import ANY, Array
from libs.brm.poid import Poid

ACCOUNT = Poid("0.0.0.1", "/account", 10_000)
SERVICE = Poid("0.0.0.1", "/service/telco/gsm", 10_001)
UNIT = Poid("0.0.0.1", "/billinfo", 10_002)
OFFER = Poid("0.0.0.1", "/purchased_product", 10_003)
GROUP = Poid("0.0.0.1", "/group/billing", 10_004)
NOON = datetime(2027, 1, 1, 12, tzinfo=UTC)
NAME = calls.NameInfo(last_name="Lee", phones=(calls.Phone("555", PhoneType.WORK),))
DEAL = calls.Deal(products=(calls.ProductPurchase(product="/product 20011", line_id="L-1"),))
MEMBER = calls.GroupMember(account=ACCOUNT, bill_units=(calls.BillUnit(poid=UNIT, parent=UNIT),))

FLOW: dict[str, BrmCall] = {
    "commit_customer": calls.commit_customer(
        account=calls.AccountInfo(account_no="1-A", locale="en_US"),
        names=[NAME],
        bill_units=[
            calls.BillUnit(billinfo_id="BP", payinfo=calls.InvoicePayInfo(delivery=Delivery.EMAIL, email="a@example.com")),
            calls.BillUnit(billinfo_id="A|B|C", parent=UNIT),
        ],
        services=[calls.ServicePurchase(service="/service/voip", login="x", balance_group=1, deal=DEAL)],
        deals=[DEAL],
        at=NOON,
    ),
    "modify_customer": calls.modify_customer(ACCOUNT, services=[calls.ServicePurchase(service=SERVICE, deal=DEAL)]),
    "update_customer": calls.update_customer(
        ACCOUNT, names={1: NAME}, bill_units=[calls.BillUnit(poid=UNIT, bill_when=3)], locale="de_DE"
    ),
    "set_billinfo": calls.set_billinfo(ACCOUNT, [calls.BillUnit(poid=UNIT, payinfo="/payinfo/invoice 7")]),
    "create_billinfo": calls.create_billinfo(ACCOUNT, calls.BillUnit(billinfo_id="BP", payinfo=calls.CardPayInfo(number="4"))),
    "create_payinfo": calls.create_payinfo(ACCOUNT, calls.DebitPayInfo(number="1", bank_no="2")),
    "create_bal_grp": calls.create_bal_grp(ACCOUNT, calls.BalanceGroup(name="g", credit_limits={840: Decimal(100)}), at=NOON),
    "set_status": calls.set_status(ACCOUNT, Status.INACTIVE),
    "update_services": calls.update_services(ACCOUNT, [calls.ServiceChange(service=SERVICE, login="y", aliases=("z",))]),
    "act_find": calls.act_find("/service/voip", "x"),
    "purchase_deal": calls.purchase_deal(ACCOUNT, DEAL, service=SERVICE, at=NOON),
    "cancel_product": calls.cancel_product(ACCOUNT, [calls.OfferCancellation(offering=OFFER, quantity=Decimal(1))]),
    "cancel_discount": calls.cancel_discount(ACCOUNT, [calls.OfferCancellation(offering=OFFER, item="/discount 20111")]),
    "set_prodinfo": calls.set_prodinfo(ACCOUNT, [calls.OfferChange(offering=OFFER, rate_plan="Premium")], service=SERVICE),
    "set_discountinfo": calls.set_discountinfo(
        ACCOUNT, [calls.OfferChange(offering=OFFER, cycle=calls.Charge(end=calls.NEVER))]
    ),
    "set_product_status": calls.set_product_status(ACCOUNT, [OFFER], OfferStatus.INACTIVE),
    "set_discount_status": calls.set_discount_status(ACCOUNT, [OFFER], OfferStatus.ACTIVE),
    "set_bundle": calls.set_bundle(ACCOUNT, [calls.Bundle(name="Promo", descr="L-1", valid_from=NOON)]),
    "get_purchased_offerings": calls.get_purchased_offerings(ACCOUNT, SERVICE),
    "bill_group_create": calls.bill_group_create(ACCOUNT, [ACCOUNT], name="family"),
    "bill_group_add_member": calls.bill_group_add_member(GROUP, [MEMBER]),
    "bill_group_move_member": calls.bill_group_move_member(ACCOUNT, [MEMBER], parent=ACCOUNT),
    "bill_group_delete_member": calls.bill_group_delete_member(GROUP, [MEMBER]),
    "bill_group_get_parent": calls.bill_group_get_parent(ACCOUNT),
    "bill_group_get_children": calls.bill_group_get_children(ACCOUNT, threshold=5),
    "bill_make_bill": calls.bill_make_bill(UNIT, at=NOON),
    "bill_item_event_search": calls.bill_item_event_search(["/item/misc 1", "/item/misc 2"], start=NOON),
    "ar_get_acct_bal_summary": calls.ar_get_acct_bal_summary(ACCOUNT, UNIT),
    "ar_get_bal_summary": calls.ar_get_bal_summary(UNIT),
    "ar_get_acct_bills": calls.ar_get_acct_bills(ACCOUNT, UNIT, include_children=False),
    "ar_get_bills": calls.ar_get_bills(UNIT, threshold=10),
    "ar_get_bill_items": calls.ar_get_bill_items(UNIT, service=SERVICE, poid_type="/item/payment"),
    "ar_get_item_detail": calls.ar_get_item_detail("/item/misc 1"),
    "loopback": calls.loopback(),
    "read_obj": calls.read_obj(ACCOUNT),
    "read_flds": calls.read_flds(ACCOUNT, {"ACCOUNT_NO": None, "NAMEINFO": Array({ANY: None})}),
    "find_account_by_number": calls.find_account_by_number("1-A"),
    "find_billinfo": calls.find_billinfo(ACCOUNT, "BP"),
    "find_billinfos_of_account": calls.find_billinfos_of_account(ACCOUNT),
    "find_billinfos_of_payer": calls.find_billinfos_of_payer(UNIT),
    "find_payinfos_of_account": calls.find_payinfos_of_account(ACCOUNT),
    "find_payment_events": calls.find_payment_events("/item/payment 9"),
    "find_service_by_login": calls.find_service_by_login("/service/voip", "x"),
    "find_services_of_account": calls.find_services_of_account(ACCOUNT),
    "find_products": calls.find_products(ACCOUNT),
    "find_discounts": calls.find_discounts(ACCOUNT, SERVICE),
    "find_balance_groups": calls.find_balance_groups(billinfo=UNIT),
    "find_bundle": calls.find_bundle(ACCOUNT, "Promo"),
    "find_bundles_of_account": calls.find_bundles_of_account(ACCOUNT),
    "find_group_by_owner": calls.find_group_by_owner("/account 7"),
    "find_events_by_descr": calls.find_events_by_descr(ACCOUNT, "L-1"),
}
