"""Settling the opcodes beside those of orders: done is told from not done, by what the sandbox stores."""

from __future__ import annotations

from collections.abc import Callable

import brm_samples
import pytest

from libs.brm import calls
from libs.brm.call import BrmCall
from libs.brm.client import SoapGateway
from libs.brm.codes import BusinessType, ListAction, SharingKind
from libs.brm.errors import BrmOutcomeUnknown
from libs.brm.flist import Flist, get
from libs.brm.poid import Poid
from sandbox.testing import RunningSandbox

NAME = calls.NameInfo(last_name="Lee", address="1 Main St", city="Springfield", country="USA")
Make = Callable[[dict[str, Poid]], BrmCall]

CALLS: dict[str, Make] = {
    "create_acct": lambda o: calls.create_acct(calls.AccountInfo(account_no="1-BARE"), names=[NAME]),
    "update_customer": lambda o: calls.update_customer(
        o["account"],
        names={1: calls.NameInfo(last_name="Smith", emptied=("SALUTATION",))},
        bill_units=[calls.BillUnit(poid=o["unit"], payinfo=calls.CardPayInfo(number="4111111111111111", expiry="0130"))],
    ),
    "create_service": lambda o: calls.create_service(o["account"], "/service/telco/gsm", "5559999"),
    "set_nameinfo": lambda o: calls.set_nameinfo(o["account"], {1: calls.NameInfo(last_name="Smith", city="Shelbyville")}),
    "set_business_type": lambda o: calls.set_business_type(o["account"], BusinessType.BUSINESS),
    "set_locale": lambda o: calls.set_locale(o["account"], "de_DE"),
    "set_login": lambda o: calls.set_login(o["service"], "5550000"),
    "create_profile": lambda o: calls.create_profile(
        o["account"],
        [calls.Profile(name="friends", service=o["service"], label="FF", entries={0: calls.ProfileEntry("number", "555")})],
    ),
    "set_bal_grp": lambda o: calls.set_bal_grp(o["group"], account=o["account"], name="renamed"),
    "sharing_group_create": lambda o: calls.sharing_group_create(
        o["account"],
        SharingKind.DISCOUNTS,
        "family",
        calls.Share(discounts=(calls.SharedOffer("/discount 20111", o["discount"]),)),
        service=o["service"],
    ),
    "cancel_subscription": lambda o: calls.cancel_subscription(o["account"], o["service"]),
    "change_deal": lambda o: calls.change_deal(
        o["account"], calls.Deal(), brm_samples.deal("L-8"), package_id=o["package"], service=o["service"]
    ),
    "collections_group_create": lambda o: calls.collections_group_create(o["unit"], name="legal"),
    "collections_exempt_billinfo": lambda o: calls.collections_exempt_billinfo(o["unit"]),
    "collections_config_set_action": lambda o: calls.collections_config_set_action("Call by hand"),
    "bill_debit": lambda o: calls.bill_debit(o["account"], {840: brm_samples.Decimal(5)}, token="DEBIT-1"),
}


@pytest.fixture
async def objects(gateway: SoapGateway, denise: Flist) -> dict[str, Poid]:
    """What the calls act on."""
    unit = get(denise, "BILLINFO[0].POID")
    bought = await gateway.call("BRM_01", brm_samples.wireless(denise["POID"], unit))
    discount = get(bought, "SERVICES[0].DISCOUNTS[0].OFFERING_OBJ")
    stored = await gateway.call("BRM_01", calls.read_obj(get(bought, "SERVICES[0].PRODUCTS[0].OFFERING_OBJ")))
    return {
        "account": denise["POID"],
        "unit": unit,
        "service": get(bought, "SERVICES[0].SERVICE_OBJ"),
        "group": get(bought, "BAL_INFO[0].POID"),
        "discount": discount,
        "package": stored["PACKAGE_ID"],
    }


@pytest.mark.parametrize("name", CALLS)
async def test_a_lost_call_is_known_as_done_only_when_it_was(
    gateway: SoapGateway, sandbox: RunningSandbox, objects: dict[str, Poid], name: str
) -> None:
    call = CALLS[name](objects)
    assert await gateway.settle("BRM_01", call) is None
    await sandbox.admin().add_fault("drop_after", times=1, opcode=call.opcode)
    with pytest.raises(BrmOutcomeUnknown):
        await gateway.call("BRM_01", call)
    found = await gateway.settle("BRM_01", call)
    assert found is not None
    assert found["POID"].is_new is ("PROFILES" in found)
    assert await sandbox.admin().check_invariants() == []


async def test_a_new_payment_method_takes_the_place_of_the_old_one_and_is_found_again(
    gateway: SoapGateway, objects: dict[str, Poid]
) -> None:
    before = await gateway.call("BRM_01", calls.read_obj(objects["unit"]))
    call = CALLS["update_customer"](objects)
    output = await gateway.call("BRM_01", call)
    after = await gateway.call("BRM_01", calls.read_obj(objects["unit"]))
    assert get(output, "PAYINFO[0].POID") == after["PAYINFO_OBJ"] != before["PAYINFO_OBJ"]
    assert get(await gateway.settle("BRM_01", call) or {}, "PAYINFO[0].POID") == after["PAYINFO_OBJ"]


async def test_a_field_can_be_emptied(gateway: SoapGateway, objects: dict[str, Poid]) -> None:
    for salutation, stored in (("Mr.", "Mr."), ("", None)):
        name = calls.NameInfo(last_name="Lee", salutation=salutation, emptied=() if salutation else ("SALUTATION",))
        await gateway.call("BRM_01", calls.update_customer(objects["account"], names={1: name}))
        account = await gateway.call("BRM_01", calls.read_obj(objects["account"]))
        assert (get(account, "NAMEINFO[1].SALUTATION") or None) == stored


async def test_an_order_of_groups_is_told_by_its_entries(gateway: SoapGateway, objects: dict[str, Poid]) -> None:
    shared = await gateway.call("BRM_01", CALLS["sharing_group_create"](objects))
    child = (await gateway.call("BRM_01", brm_samples.commit("1-CHILD", unit="BP-CHILD")))["POID"]
    member = calls.SharingMember(child)
    add = calls.sharing_group_modify(shared["GROUP_OBJ"], calls.Share(members=(member,)))
    order = calls.ordered_balgrp(child, ListAction.CREATE, [shared["GROUP_OBJ"]])
    for call in (add, order):
        assert await gateway.settle("BRM_01", call) is None
        await gateway.call("BRM_01", call)
        assert await gateway.settle("BRM_01", call) is not None
    delete = calls.sharing_group_delete(shared["GROUP_OBJ"])
    assert await gateway.settle("BRM_01", delete) is None
    await gateway.call("BRM_01", delete)
    assert await gateway.settle("BRM_01", delete) is not None


async def test_deleting_what_is_gone_is_done(gateway: SoapGateway, objects: dict[str, Poid]) -> None:
    made = await gateway.call("BRM_01", CALLS["create_profile"](objects))
    profile = get(made, "PROFILES[0].PROFILE_OBJ")
    assert await gateway.settle("BRM_01", calls.delete_profile(profile)) is None
    for _ in range(2):
        assert (await gateway.call("BRM_01", calls.delete_profile(profile)))["POID"] == profile
    assert await gateway.settle("BRM_01", calls.delete_profile(profile)) is not None
