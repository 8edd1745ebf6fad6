"""Calls about one sample customer, for tests of the BRM connector."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from libs.brm import calls
from libs.brm.call import BrmCall
from libs.brm.codes import (
    BalanceDetail,
    BusinessType,
    CollectionsActionStatus,
    EventTaxTreatment,
    FollowUps,
    ItemStatus,
    ListAction,
    OfferStatus,
    PayType,
    SharingKind,
    TaxTreatment,
)
from libs.brm.flist import Array
from libs.brm.poid import Poid

DB = "0.0.0.1"
ACCOUNT = Poid(DB, "/account", 10_000)
SERVICE = Poid(DB, "/service/telco/gsm", 10_001)
UNIT = Poid(DB, "/billinfo", 10_002)
OFFER = Poid(DB, "/purchased_product", 10_003)
BALANCES = Poid(DB, "/balance_group", 10_005)
BILL = Poid(DB, "/bill", 10_006)
ITEM = Poid(DB, "/item/misc", 10_007)
EVENT = Poid(DB, "/event/billing/product/fee/cycle", 20270101)
SHARING = Poid(DB, "/group/sharing/discounts", 10_008)
LEGAL = Poid(DB, "/group/collections_targets", 10_009)
SCENARIO = Poid(DB, "/collections_scenario", 10_010)
ACTION = Poid(DB, "/collections_action", 10_011)
NOON = datetime(2027, 1, 1, 12, tzinfo=UTC)


def commit(number: str = "1-DENISE", *, db: str = "0.0.0.1", unit: str = "BP-DENISE") -> BrmCall:
    """An account with one invoice-paying bill unit."""
    holder = {"holder": "Denise Lee", "address": "1 Main St", "city": "Springfield", "country": "USA"}
    return calls.commit_customer(
        account=calls.AccountInfo(account_no=number),
        names=[calls.NameInfo(last_name="Lee", address="1 Main St", city="Springfield", country="USA")],
        bill_units=[
            calls.BillUnit(
                billinfo_id=unit,
                currency=840,
                payinfo=calls.InvoicePayInfo(name="bill me", **holder),
                balance_group=calls.BalanceGroup(name=f"default {unit}"),
            )
        ],
        db=db,
    )


def wireless(account: Poid, unit: Poid, login: str = "5551001", line: str = "L-1") -> BrmCall:
    """A new service on a balance group of its own, with the offers of :func:`deal`."""
    return calls.modify_customer(
        account,
        balance_groups=[calls.BalanceGroup(name=f"{login} group", billinfo=unit)],
        services=[calls.ServicePurchase(service="/service/telco/gsm", login=login, balance_group=0, deal=deal(line))],
        db=account.db,
    )


def deal(line: str) -> calls.Deal:
    """A monthly product (``<line>.1``), a one-time fee (``.2``) and a discount (``.3``)."""
    return calls.Deal(
        name="Wireless",
        products=(
            calls.ProductPurchase(product="/product 20011", line_id=f"{line}.1"),
            calls.ProductPurchase(product="/product 20014", line_id=f"{line}.2"),
        ),
        discounts=(calls.DiscountPurchase(discount="/discount 20111", line_id=f"{line}.3"),),
    )


def credit(amount: str = "-5", token: str = "ADJ-1") -> calls.Action:
    """Five to the customer's credit."""
    return calls.Action(token=token, amount=Decimal(amount), currency=840, reason=(37, 200032), tax=TaxTreatment.WITH_TAX)


def cash(account: Poid = ACCOUNT, unit: Poid | None = UNIT, token: str = "PAY-1", amount: str = "10") -> calls.Payment:
    """A payment in cash."""
    return calls.Payment(account=account, billinfo=unit, amount=Decimal(amount), currency=840, token=token, by=calls.Cash())


def customer_parts() -> dict[str, BrmCall]:
    """Parts of customers, services, profiles and balance groups on their own."""
    name = calls.NameInfo(last_name="Lee", address="1 Main St", city="Springfield", country="USA")
    limit = calls.BalanceGroup(poid=BALANCES, name="main", credit_limits={840: Decimal(100)})
    profile = calls.Profile(
        name="friends", service=SERVICE, label="FRIENDS_FAMILY", entries={0: calls.ProfileEntry("number", "5551001", NOON)}
    )
    unit = calls.BillUnit(billinfo_id="BP", payinfo=calls.InvoicePayInfo())
    exemption = calls.TaxExemption(certificate="C-1", percent=Decimal(100))
    return {
        "create_customer": calls.create_customer(account=calls.AccountInfo(account_no="1-A"), names=[name], bill_units=[unit]),
        "create_acct": calls.create_acct(calls.AccountInfo(account_no="1-A", locale="en_US"), names=[name]),
        "set_acctinfo": calls.set_acctinfo(ACCOUNT, account_no="1-B"),
        "set_nameinfo": calls.set_nameinfo(ACCOUNT, {1: name}, at=NOON),
        "set_locale": calls.set_locale(ACCOUNT, "de_DE"),
        "set_business_type": calls.set_business_type(ACCOUNT, BusinessType.BUSINESS),
        "set_taxinfo": calls.set_taxinfo(ACCOUNT, vat_certificate="DE1", resident=True, exemptions=[exemption]),
        "delete_billinfo": calls.delete_billinfo(UNIT, account=ACCOUNT),
        "set_payinfo": calls.set_payinfo(ACCOUNT, [calls.InvoicePayInfo(poid="/payinfo/invoice 7", email="a@example.com")]),
        "delete_payinfo": calls.delete_payinfo("/payinfo/cc 7"),
        "create_service": calls.create_service(ACCOUNT, "/service/voip", "x", balance_group=BALANCES),
        "set_login": calls.set_login(SERVICE, "y"),
        "create_profile": calls.create_profile(ACCOUNT, [profile]),
        "modify_profile": calls.modify_profile(ACCOUNT, [calls.Profile(poid="/profile/serv_extrating 9", status=1)]),
        "delete_profile": calls.delete_profile("/profile/serv_extrating 9"),
        "provision_era": calls.provision_era(ACCOUNT, ListAction.CREATE, [profile]),
        "set_bal_grp": calls.set_bal_grp(BALANCES, account=ACCOUNT, billinfo=UNIT, name="main", services=[SERVICE]),
        "modify_bal_grp": calls.modify_bal_grp(limit, account=ACCOUNT),
        "delete_bal_grp": calls.delete_bal_grp(BALANCES),
        "bill_set_limit_and_cr": calls.bill_set_limit_and_cr(ACCOUNT, limit, consumption_rules={840: 1}),
    }


def subscription_parts() -> dict[str, BrmCall]:
    """Deals as a whole, transfers and sharing groups."""
    share = calls.Share(
        members=(calls.SharingMember(ACCOUNT, SERVICE),), discounts=(calls.SharedOffer("/discount 20111", OFFER),)
    )
    product, discount = deal("L").products[0], deal("L").discounts[0]
    return {
        "purchase_product": calls.purchase_product(ACCOUNT, product, service=SERVICE),
        "purchase_discount": calls.purchase_discount(ACCOUNT, discount, service=SERVICE),
        "cancel_deal": calls.cancel_deal(ACCOUNT, 3, service=SERVICE, at=NOON),
        "change_deal": calls.change_deal(ACCOUNT, calls.Deal(deal="/deal 7"), deal("L"), package_id=3, service=SERVICE),
        "service_balgrp_transfer": calls.service_balgrp_transfer(ACCOUNT, [SERVICE], to_account=ACCOUNT, to_group=BALANCES),
        "transfer_subscription": calls.transfer_subscription(ACCOUNT, ACCOUNT, SERVICE, billinfo=UNIT),
        "cancel_subscription": calls.cancel_subscription(ACCOUNT, SERVICE),
        "sharing_group_create": calls.sharing_group_create(ACCOUNT, SharingKind.DISCOUNTS, "family", share, service=SERVICE),
        "sharing_group_modify": calls.sharing_group_modify(SHARING, share, name="friends"),
        "sharing_group_delete": calls.sharing_group_delete(SHARING, share),
        "sharing_group_set_parent": calls.sharing_group_set_parent(SHARING, ACCOUNT),
        "ordered_balgrp": calls.ordered_balgrp(
            ACCOUNT, ListAction.CREATE, [SHARING], service=SERVICE, balance_groups=[BALANCES]
        ),
        "bill_debit": calls.bill_debit(ACCOUNT, {840: Decimal(5), 1000095: Decimal(-60)}, token="T-1", valid_to=NOON),
        "act_usage": calls.act_usage(
            ACCOUNT,
            "/event/activity/penalty",
            token="T-2",
            service=SERVICE,
            quantity=Decimal(1),
            impacts=[calls.Impact(resource_id=840, amount=Decimal(5))],
        ),
    }


def receivables() -> dict[str, BrmCall]:
    """Bills, balances, payments, and all that is done to receivables."""
    events = {"resource_id": 840, "tax": EventTaxTreatment.EXCLUDE_TAX}
    some = [calls.Allocation(ITEM, Decimal(5)), calls.Allocation(ITEM)]
    validity = calls.Validity(balance_group=BALANCES, resource_id=1000095, element_id=2, valid_to=NOON)
    return {
        "bill_group_set_parent": calls.bill_group_set_parent("/group/billing 7", ACCOUNT),
        "bill_make_bill_now": calls.bill_make_bill_now(UNIT, name="now", at=NOON),
        "bill_make_trial_bill": calls.bill_make_trial_bill(ACCOUNT, billinfo=UNIT),
        "bill_find": calls.bill_find("B1-1"),
        "bill_item_refund": calls.bill_item_refund(ACCOUNT, credit(), items=some),
        "bill_reverse": calls.bill_reverse("/item/payment 7", credit(), trans_id="PAY-1"),
        "bill_item_transfer": calls.bill_item_transfer("/item/payment 7", some),
        "ar_account_adjustment": calls.ar_account_adjustment(ACCOUNT, credit(), resources={1000095: Decimal(-5)}),
        "ar_bill_adjustment": calls.ar_bill_adjustment(BILL, credit()),
        "ar_item_adjustment": calls.ar_item_adjustment(ITEM, credit(), items=some),
        "ar_event_adjustment": calls.ar_event_adjustment(ACCOUNT, [EVENT], credit(), **events),
        "ar_bill_dispute": calls.ar_bill_dispute(BILL, credit()),
        "ar_item_dispute": calls.ar_item_dispute(ITEM, credit()),
        "ar_event_dispute": calls.ar_event_dispute(ACCOUNT, [EVENT], credit(), **events),
        "ar_bill_settlement": calls.ar_bill_settlement(BILL, credit()),
        "ar_item_settlement": calls.ar_item_settlement(ITEM, credit()),
        "ar_event_settlement": calls.ar_event_settlement(ACCOUNT, [EVENT], credit(), **events),
        "ar_account_writeoff": calls.ar_account_writeoff(ACCOUNT, calls.Action(token="W")),
        "ar_bill_writeoff": calls.ar_bill_writeoff(BILL, calls.Action(token="W", billinfo=UNIT)),
        "ar_item_writeoff": calls.ar_item_writeoff(ITEM, calls.Action(token="W", percent=Decimal(50), at=NOON)),
        "ar_reverse_writeoff": calls.ar_reverse_writeoff(ITEM, calls.Action(token="W")),
        "ar_get_acct_items": calls.ar_get_acct_items(ACCOUNT, UNIT, status=ItemStatus.PENDING),
        "ar_get_items": calls.ar_get_items(UNIT, poid_type="/item/payment"),
        "ar_get_acct_action_items": calls.ar_get_acct_action_items(ACCOUNT, start=NOON),
        "ar_get_action_items": calls.ar_get_action_items(UNIT, include_children=False),
        "ar_get_disputes": calls.ar_get_disputes(BILL, threshold=5),
        "ar_get_dispute_details": calls.ar_get_dispute_details("/item/dispute 7"),
        "ar_resource_aggregation": calls.ar_resource_aggregation(BILL),
        "bal_get_balances": calls.bal_get_balances(ACCOUNT, resources=[840], detail=BalanceDetail.SUB_BALANCES, end=NOON),
        "bal_get_bal_grp_and_svc": calls.bal_get_bal_grp_and_svc(UNIT),
        "bal_get_acct_bal_grp_and_svc": calls.bal_get_acct_bal_grp_and_svc(ACCOUNT, UNIT),
        "bal_change_validity": calls.bal_change_validity(ACCOUNT, [validity]),
        "pymt_collect": calls.pymt_collect(
            [
                cash(),
                calls.Payment(
                    account=ACCOUNT,
                    amount=Decimal("1.10"),
                    currency=840,
                    token="PAY-2",
                    by=calls.Check(bank_code="1", bank_account_no="77"),
                    bills=[calls.Allocation(BILL)],
                    hold=True,
                ),
                calls.Payment(
                    account=ACCOUNT,
                    amount=Decimal(1),
                    currency=840,
                    token="PAY-3",
                    by=calls.WireTransfer(),
                    items=some,
                    at=NOON,
                ),
                calls.Payment(
                    account=ACCOUNT,
                    amount=Decimal(1),
                    currency=840,
                    token="PAY-4",
                    by=calls.ByMethod(calls.CardPayInfo(number="4111111111111111")),
                ),
            ]
        ),
        "inv_view_invoice": calls.inv_view_invoice(BILL, type_str="application/pdf"),
        "price_get_price_list": calls.price_get_price_list(modified_since=NOON),
    }


def collections() -> dict[str, BrmCall]:
    """The collections engine, its definitions and its groups."""
    member = calls.CollectionsMember(UNIT, ACCOUNT)
    definition = Poid(DB, "/config/collections/action", 10_012)
    kind = Poid(DB, "/config/collections/scenario", 10_013)
    promise = calls.Promise(effective=NOON, spec="standard", amount=Decimal(50), milestones=2, days_between=7)
    return {
        "collections_process_billinfo": calls.collections_process_billinfo(UNIT, at=NOON),
        "collections_get_active_scenarios": calls.collections_get_active_scenarios(scenario=kind),
        "collections_get_billinfos": calls.collections_get_billinfos(min_amount=Decimal(10), max_days=90),
        "collections_get_scenario_detail": calls.collections_get_scenario_detail(SCENARIO),
        "collections_get_action_history": calls.collections_get_action_history(UNIT, start=NOON),
        "collections_get_agents_actions": calls.collections_get_agents_actions(status=CollectionsActionStatus.PENDING),
        "collections_get_aggregation_info": calls.collections_get_aggregation_info(start=NOON),
        "collections_calc_aging_buckets": calls.collections_calc_aging_buckets(UNIT, days=30, count=3),
        "collections_set_action_status": calls.collections_set_action_status(
            ACTION, CollectionsActionStatus.COMPLETED, notes="called"
        ),
        "collections_reschedule_action": calls.collections_reschedule_action(ACTION, NOON, follow_ups=FollowUps.SLIP),
        "collections_add_action": calls.collections_add_action(SCENARIO, definition, NOON, amount=Decimal(5)),
        "collections_take_action": calls.collections_take_action(ACTION),
        "collections_assign_agent": calls.collections_assign_agent(SCENARIO, agent_name="Ann"),
        "collections_exempt_billinfo": calls.collections_exempt_billinfo(UNIT, notes="deceased"),
        "collections_replace_scenario": calls.collections_replace_scenario(SCENARIO, kind),
        "collections_invoke_promise_to_pay": calls.collections_invoke_promise_to_pay(UNIT, promise),
        "collections_revoke_promise_to_pay": calls.collections_revoke_promise_to_pay(UNIT, spec="standard"),
        "collections_update_action_payment_details": calls.collections_update_action_payment_details(ACTION, due=NOON),
        "collections_group_create": calls.collections_group_create(UNIT, [member], name="legal"),
        "collections_group_add_member": calls.collections_group_add_member(LEGAL, [member]),
        "collections_group_delete_member": calls.collections_group_delete_member(LEGAL, [member]),
        "collections_group_set_parent": calls.collections_group_set_parent(LEGAL, UNIT),
        "collections_group_modify": calls.collections_group_modify(LEGAL, "legal"),
        "collections_group_delete": calls.collections_group_delete(LEGAL),
        "collections_config_set_action": calls.collections_config_set_action("Call", action_type=1, mode=0),
        "collections_config_get_actions": calls.collections_config_get_actions(),
        "collections_config_delete_action": calls.collections_config_delete_action(definition),
        "collections_config_set_scenario": calls.collections_config_set_scenario(
            "Soft", actions={definition: 3}, entry_days=10, entry_amount=Decimal(20), profile="/config/collections/profile 7"
        ),
        "collections_config_get_scenarios": calls.collections_config_get_scenarios(threshold=5),
        "collections_config_get_scenario_detail": calls.collections_config_get_scenario_detail(kind),
        "collections_config_delete_scenario": calls.collections_config_delete_scenario(kind),
        "collections_config_set_profile": calls.collections_config_set_profile("Gold", value="gold"),
        "collections_config_get_profiles": calls.collections_config_get_profiles(),
        "collections_config_delete_profile": calls.collections_config_delete_profile("/config/collections/profile 7"),
    }


def base() -> dict[str, BrmCall]:
    """Base opcodes beside plain reads, and searches."""
    bundles = calls.SEARCHES["bundles_of_account"]
    return {
        "write_flds": calls.write_flds(ACCOUNT, {"ACCOUNT_NO": "1-B"}),
        "create_obj": calls.create_obj("/account", {"ACCOUNT_NO": "1-B"}),
        "delete_obj": calls.delete_obj(ACCOUNT),
        "step_search": calls.step_search(bundles, [ACCOUNT], size=5),
        "step_next": calls.step_next("/search 7", size=5),
        "step_end": calls.step_end("/search 7"),
        "trans_open": calls.trans_open(),
        "trans_commit": calls.trans_commit(),
        "trans_abort": calls.trans_abort(),
        "find_range": calls.find_range("/account", 10_000, 10_999),
        "find_products (cancelled)": calls.find_products(ACCOUNT, status=OfferStatus.CANCELLED),
        "find_sharing_groups": calls.find_sharing_groups(ACCOUNT, "family"),
        "find_sharing_groups (all)": calls.find_sharing_groups(ACCOUNT),
        "find_ordered_balgrps": calls.find_ordered_balgrps(ACCOUNT),
        "find_profiles": calls.find_profiles(ACCOUNT, "friends"),
        "find_profiles (all)": calls.find_profiles(ACCOUNT),
        "find_collections_group": calls.find_collections_group(UNIT),
        "find_collections_actions": calls.find_collections_actions(window=(NOON, NOON)),
        "find_collections_scenarios": calls.find_collections_scenarios(billinfo=UNIT),
        "find_items_by_token": calls.find_items_by_token(UNIT, "PAY-1", by_trans_id=True),
        "find_open_items": calls.find_open_items(UNIT),
        "find_bills": calls.find_bills(UNIT),
    }


def inner() -> dict[str, BrmCall]:
    """What BRM calls itself, or no flow of ours takes."""
    products = Array.of({"POID": Poid(DB, "/product", 20_011), "CODE": "P-1", "NAME": "Wireless"})
    old, action = Poid(DB, "/plan", 7), Poid(DB, "/config/collections/action", 7)
    return {
        "set_passwd": calls.set_passwd(SERVICE, "secret"),
        "init_service": calls.init_service(SERVICE, account=ACCOUNT, login="x", password="secret", balance_group=BALANCES),
        "delete_acct": calls.delete_acct(ACCOUNT),
        "cust_pol_pre_delete_payinfo": calls.cust_pol_pre_delete_payinfo("/payinfo/cc 7"),
        "cust_pol_get_plans": calls.cust_pol_get_plans("new", threshold=5),
        "cust_pol_get_deals": calls.cust_pol_get_deals(ACCOUNT, SERVICE, kind="addon"),
        "read_plan_deals": calls.read_plan_deals(old, account=ACCOUNT),
        "transition_deal": calls.transition_deal(ACCOUNT, calls.Deal(deal="/deal 7"), deal("L"), package_id=3, service=SERVICE),
        "transition_plan": calls.transition_plan(ACCOUNT, old, Poid(DB, "/plan", 8), service=SERVICE, at=NOON),
        "bill_group_remove_paying_members": calls.bill_group_remove_paying_members("/group/billing 7", parent=ACCOUNT),
        "bill_cycle_forward": calls.bill_cycle_forward(ACCOUNT, billinfo=UNIT, offerings=[OFFER], at=NOON),
        "bill_cycle_arrears": calls.bill_cycle_arrears(ACCOUNT),
        "bill_rcv_payment": calls.bill_rcv_payment(ACCOUNT, Decimal(10), 840, PayType.CASH, token="PAY-1", billinfo=UNIT),
        "bill_move_item": calls.bill_move_item(BILL, [ITEM], billinfo=UNIT),
        "ar_bill_credit_transfer": calls.ar_bill_credit_transfer(BILL, [calls.Allocation(BILL, Decimal(5))], credit()),
        "pymt_recover": calls.pymt_recover(ACCOUNT, [cash()]),
        "pymt_validate_payment": calls.pymt_validate_payment(ACCOUNT, [cash()]),
        "pymt_select_items": calls.pymt_select_items(ACCOUNT, Decimal(10), billinfo=UNIT, currency=840),
        "pymt_get_ach_info": calls.pymt_get_ach_info(ACCOUNT, pay_type=PayType.DIRECT_DEBIT),
        "price_set_price_list": calls.price_set_price_list({"PRODUCTS": products}),
        "price_commit_product": calls.price_commit_product("Wireless", product="/product 20011", code="P-1"),
        "collections_insert_action": calls.collections_insert_action(SCENARIO, action, NOON, slip_days=3),
        "bal_pol_get_bal_grp_and_svc": calls.bal_pol_get_bal_grp_and_svc(UNIT),
    }


def every() -> dict[str, BrmCall]:
    """All of the above, by the constructor's name."""
    return customer_parts() | subscription_parts() | receivables() | collections() | base() | inner()
