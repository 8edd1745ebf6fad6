"""A process that dies at any point of an update: the next one finishes it, and each effect is there once."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from customer_edits import Customers, another_aggregator, open_customers
from customers import account, bundle, profile
from update_deaths import Death, Fate, MortalGateway, mortal

from libs.brm.poid import Poid
from libs.clock import FrozenClock
from services.customer_sync.aggregator import CLAIM_SECONDS
from services.customer_sync.domain.update.model import Change, ChangeKind, CustomerUpdate

CARD = {"number": "4111111111111111", "expiry_month": 1, "expiry_year": 2030, "holder_name": "Ann Payer"}
STEPS = (
    "CUST_UPDATE_CUSTOMER",
    "BILL_GROUP_CREATE",
    "BILL_GROUP_MOVE_MEMBER",
    "CUST_CREATE_BILLINFO",
    "CUST_SET_BAL_GRP",
    "CUST_SET_STATUS",
)
POINTS = [(at, when) for at in range(len(STEPS)) for when in ("before the call", "after it", "before its outcome is written")]


async def a_company(customers: Customers) -> Poid:
    """Amelia below Marketing, her mobile paid by Accounting; Sales is another payer. Everything of her is edited now."""
    customers.crm.reset()
    people = {
        "MARKETING": {"class": "CUSTOMER", "parent_account_id": "ACCOUNTING"},
        "ACCOUNTING": {"class": "BILLING"},
        "SALES": {"class": "BILLING"},
        "AMELIA": {"class": "SERVICE", "parent_account_id": "MARKETING"},
    }
    lines = [bundle(at, name, name, f"BP-{name}") for at, name in enumerate(people)]
    lines.append(bundle(9, "AMELIA", "ACCOUNTING", "BP-ACCOUNTING"))
    accounts = [account(name, type="BUSINESS", **details) for name, details in people.items()]
    profiles = [profile(f"BP-{name}", name, is_primary=True) for name in people]
    await customers.ordered(lines, accounts, profiles)
    unit = await customers.id_of("NONPAYING_BILLINFO", "AMELIA|ACCOUNTING|BP-ACCOUNTING")
    service = await customers.bought("AMELIA", unit, "AST-MOBILE")
    customers.crm.edit_account(
        "AMELIA", {"primary_contact": {"last_name": "Reed"}, "status": "Inactive", "parent_account_id": "SALES"}
    )
    customers.crm.edit_billing_profile("BP-AMELIA", {"payment_method": "Credit Card", "card": CARD})
    return service


@pytest.mark.parametrize(("at", "when"), POINTS)
async def test_an_update_cut_short_anywhere_is_finished_and_each_effect_is_there_once(at: int, when: str) -> None:
    clock, fate = FrozenClock(datetime(2027, 1, 1, tzinfo=UTC)), Fate(at, when)
    update = CustomerUpdate("SEBL_01", "AMELIA", (Change(ChangeKind.ACCOUNT),))
    database_url = "sqlite://:memory:"
    async with open_customers(enable_account_status_sync=True) as customers:
        service = await a_company(customers)
        since = await customers.calls()
        mortal_gateway = MortalGateway(customers.gateway, fate)
        options = {"enable_account_status_sync": True}
        async with another_aggregator(
            customers, database_url, clock, gateway=mortal_gateway, journal_of=mortal(fate), **options
        ) as dying:
            with contextlib.suppress(Death, BaseExceptionGroup):
                await dying.run_now([update])
            assert fate.over
            fate.over, fate.at = False, -1
            clock.advance(timedelta(seconds=CLAIM_SECONDS))
            (outcome,) = await dying.run_due()
            assert outcome.errors == ()
        await is_as_the_crm_has_it(customers, service)
        assert sorted(set(await customers.writes(since))) == sorted(STEPS)
        async with another_aggregator(customers, database_url, clock, **options) as forgetful:
            since = await customers.calls()
            (outcome,) = await forgetful.run_now([update])
            assert (outcome.errors, outcome.entities) == ((), ())
            assert await customers.writes(since) == []


async def is_as_the_crm_has_it(customers: Customers, service: Poid) -> None:
    stored = await customers.account("AMELIA")
    assert (stored["NAMEINFO"]["1"]["LAST_NAME"], int(stored["STATUS"])) == ("Reed", 10102)
    records = await customers.suite.brm.objects("/payinfo", ACCOUNT_OBJ=stored["POID"])
    assert sorted(Poid.parse(each["POID"]).type for each in records) == ["/payinfo/cc", "/payinfo/invoice"]
    record = await customers.record("BP-AMELIA")
    assert Poid.parse(await customers.id_of("CUSTOMERPARTY_PAYPROFILEID", "BP-AMELIA")) == Poid.parse(record["POID"])
    assert Poid.parse(record["POID"]).type == "/payinfo/cc"
    units = await customers.suite.brm.objects("/billinfo", ACCOUNT_OBJ=stored["POID"])
    known = ["AMELIA|ACCOUNTING|BP-ACCOUNTING", "AMELIA|SALES|BP-SALES", "BP-AMELIA"]
    assert sorted(unit["BILLINFO_ID"] for unit in units) == known
    group = await customers.suite.brm.object((await customers.suite.brm.object(str(service)))["BAL_GRP_OBJ"])
    new_unit = await customers.id_of("NONPAYING_BILLINFO", "AMELIA|SALES|BP-SALES")
    assert Poid.parse(group["BILLINFO_OBJ"]) == Poid.parse(new_unit)
    assert await customers.hierarchy("AMELIA", ["AMELIA", "SALES", "MARKETING", "ACCOUNTING"]) == ("SALES", set())
    assert await customers.hierarchy("SALES", ["AMELIA", "SALES", "MARKETING", "ACCOUNTING"]) == ("", {"AMELIA"})
