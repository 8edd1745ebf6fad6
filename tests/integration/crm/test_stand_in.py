"""The CRM stand-in over real gRPC and real HTTP, through the port that services use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from libs import retry
from libs.config import ServiceSettings, local_settings
from libs.crm.client import MAX_BATCH, CrmPort, open_crm
from libs.errors import O2CError, Reason
from libs.pb.crm.v1.crm_pb2 import CrmAccount
from sandbox.admin_client import AdminError
from sandbox.crm.admin_client import CrmAdminClient
from sandbox.testing import RunningSandbox, running_sandbox

DOCUMENT = {
    "accounts": [
        {"account_id": "ACME", "type": "BUSINESS", "class": "CUSTOMER", "name": "Acme"},
        {"account_id": "DEPT", "type": "BUSINESS", "class": "BILLING", "parent_account_id": "ACME"},
        {
            "account_id": "AMY",
            "type": "BUSINESS",
            "class": "SERVICE",
            "parent_account_id": "DEPT",
            "primary_contact": {"contact_id": "C-1", "last_name": "Reed", "phones": [{"type": "MOBILE", "number": "555-0101"}]},
            "contacts": [{"contact_id": "C-2", "last_name": "Stone"}],
        },
    ],
    "billing_profiles": [
        {"billing_profile_id": "BP-1", "account_id": "DEPT", "payment_method": "Bill Me", "is_primary": True},
    ],
}


@pytest.fixture
async def sandbox() -> AsyncIterator[RunningSandbox]:
    async with running_sandbox(crm=True) as running:
        running.crm.store.load(DOCUMENT)
        yield running


@pytest.fixture
async def crm(sandbox: RunningSandbox) -> AsyncIterator[CrmPort[CrmAccount]]:
    async with open_crm(sandbox.crm_address, local_settings(ServiceSettings), lambda account: account, "X") as port:
        yield port


async def test_an_account_comes_with_its_primary_contact_and_without_the_others(crm: CrmPort[CrmAccount]) -> None:
    answer = await crm.accounts(["AMY"])
    assert list(answer.accounts) == ["AMY"]
    account = answer.accounts["AMY"].account
    assert account.primary_contact.last_name == "Reed"
    assert "Stone" not in str(answer)
    assert not answer.accounts["AMY"].billing_profiles


async def test_relatives_and_profiles_come_when_asked_for(crm: CrmPort[CrmAccount]) -> None:
    above = await crm.accounts(["AMY"], with_ancestors=True, with_billing_profiles=True)
    assert list(above.accounts) == ["AMY", "DEPT", "ACME"]
    assert [each.billing_profile_id for each in above.accounts["DEPT"].billing_profiles] == ["BP-1"]
    below = await crm.accounts(["ACME"], with_children=True)
    assert list(below.accounts) == ["ACME", "DEPT"]


async def test_ids_that_the_crm_does_not_have_are_named(sandbox: RunningSandbox, crm: CrmPort[CrmAccount]) -> None:
    sandbox.crm.store.edit_account("DEPT", {"parent_account_id": "GONE"})
    answer = await crm.accounts(["AMY", "NOBODY"], with_ancestors=True)
    assert set(answer.accounts) == {"AMY", "DEPT"}
    assert answer.not_found == {"NOBODY", "GONE"}


async def test_no_ids_no_call(sandbox: RunningSandbox, crm: CrmPort[CrmAccount]) -> None:
    assert not (await crm.accounts([])).accounts
    assert not sandbox.crm.state.calls


async def test_more_ids_than_fit_into_one_call_are_asked_for_in_several(
    sandbox: RunningSandbox, crm: CrmPort[CrmAccount]
) -> None:
    answer = await crm.accounts([f"X-{number}" for number in range(MAX_BATCH + 1)])
    assert len(answer.not_found) == MAX_BATCH + 1
    assert sandbox.crm.state.calls == {"BatchGetAccounts": 2}


async def test_an_edit_is_a_merge_patch_that_later_reads_see_as_newer(
    sandbox: RunningSandbox, crm: CrmPort[CrmAccount]
) -> None:
    admin = CrmAdminClient(sandbox.address)
    before = (await crm.accounts(["AMY"])).accounts["AMY"]
    await asyncio.to_thread(admin.edit_account, "AMY", primary_contact={"last_name": "Mead"}, parent_account_id=None)
    after = (await crm.accounts(["AMY"])).accounts["AMY"]
    assert (after.account.primary_contact.last_name, after.account.parent_account_id) == ("Mead", "")
    assert after.account.primary_contact.phones == before.account.primary_contact.phones
    assert after.modified_at.ToNanoseconds() > before.modified_at.ToNanoseconds()
    await asyncio.to_thread(admin.edit_billing_profile, "BP-1", name="Main")
    dept = (await crm.accounts(["DEPT"], with_billing_profiles=True)).accounts["DEPT"]
    assert dept.billing_profiles[0].name == "Main"
    assert dept.modified_at.ToNanoseconds() > after.modified_at.ToNanoseconds()
    await asyncio.to_thread(admin.remove_billing_profile, "BP-1")
    await asyncio.to_thread(admin.remove_account, "AMY")
    assert await asyncio.to_thread(admin.billing_profiles) == []
    assert {each["account_id"] for each in await asyncio.to_thread(admin.accounts)} == {"ACME", "DEPT"}


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"type": "ALIEN"}, "ALIEN"), ({"colour": "red"}, "colour"), ({"contacts": [{"last_name": "X"}]}, "contact_id")],
)
async def test_a_record_that_does_not_fit_the_order_model_is_refused_and_nothing_changes(
    sandbox: RunningSandbox, changes: dict[str, object], says: str
) -> None:
    before = dict(sandbox.crm.store.accounts)
    with pytest.raises(AdminError, match=f"400.*{says}"):
        await asyncio.to_thread(CrmAdminClient(sandbox.address).edit_account, "AMY", **changes)
    assert sandbox.crm.store.accounts == before


@pytest.mark.parametrize(
    ("document", "wrong"),
    [
        ({}, {("FIELD_MISSING", "accounts")}),
        (
            {"accounts": {}, "billing_profiles": ["BP"]},
            {("JSON_MALFORMED", "accounts"), ("JSON_MALFORMED", "billing_profiles")},
        ),
        (
            {
                "acounts": [],
                "accounts": [{"account_id": "NEW"}, {"account_id": "X", "contacts": [{"contact_id": "C", "colour": 1}]}],
            },
            {("JSON_MALFORMED", "acounts"), ("JSON_MALFORMED", "accounts[1].contacts[0].colour")},
        ),
        (
            {"accounts": [{"account_id": 7}, {"class": "X"}], "billing_profiles": [{"billing_profile_id": "BP-2"}]},
            {
                ("JSON_MALFORMED", "accounts[0].account_id"),
                ("ENUM_UNKNOWN", "accounts[1].class"),
                ("FIELD_MISSING", "billing_profiles[0].account_id"),
            },
        ),
    ],
)
async def test_a_document_with_anything_wrong_is_refused_field_by_field_and_nothing_is_loaded(
    sandbox: RunningSandbox, document: dict[str, object], wrong: set[tuple[str, str]]
) -> None:
    store = sandbox.crm.store
    before = dict(store.accounts), dict(store.billing_profiles)
    with pytest.raises(AdminError, match="400") as caught:
        await asyncio.to_thread(CrmAdminClient(sandbox.address).load, document)
    assert {(str(each.reason), each.field) for each in caught.value.violations} == wrong
    assert (store.accounts, store.billing_profiles) == before


async def test_the_rest_of_an_order_is_not_looked_at(sandbox: RunningSandbox) -> None:
    order = {"order_number": "1", "lines": [{"anything": 1}], "accounts": [{"account_id": "NEW"}]}
    assert (await asyncio.to_thread(CrmAdminClient(sandbox.address).load, order))["accounts"] == 4


@pytest.mark.parametrize(
    ("kind", "reason"), [("account", Reason.CRM_ACCOUNT_NOT_FOUND), ("billing_profile", Reason.BILLING_PROFILE_NOT_FOUND)]
)
async def test_only_records_that_are_there_are_edited_and_they_keep_their_ids(
    sandbox: RunningSandbox, kind: str, reason: Reason
) -> None:
    admin, known = CrmAdminClient(sandbox.address), {"account": "AMY", "billing_profile": "BP-1"}[kind]
    edit = getattr(admin, f"edit_{kind}")
    with pytest.raises(AdminError, match="404") as unknown:
        await asyncio.to_thread(edit, "NOBODY", account_id="AMY")
    with pytest.raises(AdminError, match="409") as renamed:
        await asyncio.to_thread(edit, known, **{f"{kind}_id": "OTHER"})
    found = [(each.reason, each.field) for error in (unknown, renamed) for each in error.value.violations]
    assert found == [(reason, f"{kind}_id"), (Reason.FIELD_IMMUTABLE, f"{kind}_id")]
    assert {"NOBODY", "OTHER"}.isdisjoint({*sandbox.crm.store.accounts, *sandbox.crm.store.billing_profiles})


async def test_a_crm_that_stays_down_is_asked_three_times(sandbox: RunningSandbox, crm: CrmPort[CrmAccount]) -> None:
    await asyncio.to_thread(CrmAdminClient(sandbox.address).change_faults, down=True)
    with retry.testing(attempts=3), pytest.raises(O2CError) as caught:
        await crm.accounts(["AMY"])
    assert [violation.reason for violation in caught.value.violations] == [Reason.CRM_UNAVAILABLE]
    assert caught.value.retry_after
    assert sandbox.crm.state.calls == {"BatchGetAccounts": 3}


async def test_a_crm_that_comes_back_in_time_answers(sandbox: RunningSandbox, crm: CrmPort[CrmAccount]) -> None:
    await asyncio.to_thread(CrmAdminClient(sandbox.address).change_faults, down=True, times=2)
    with retry.testing(attempts=3):
        assert (await crm.accounts(["AMY"])).accounts
    assert sandbox.crm.state.calls == {"BatchGetAccounts": 3}


async def test_a_slow_crm_is_given_up_at_the_limit_of_a_call(
    sandbox: RunningSandbox, crm: CrmPort[CrmAccount], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("libs.crm.client.CALL_SECONDS", 0.05)
    sandbox.crm.state.change({"delay_ms": 5_000})
    with retry.testing(attempts=3), pytest.raises(O2CError) as caught:
        await crm.accounts(["AMY"])
    assert caught.value.violations[0].reason is Reason.CRM_UNAVAILABLE
    assert sandbox.crm.state.calls == {"BatchGetAccounts": 3}


async def test_without_a_crm_whatever_needs_it_is_refused_by_name_of_the_setting() -> None:
    async with open_crm("", local_settings(ServiceSettings), lambda account: account, "O2C_X_CRM_TARGET") as port:
        assert not (await port.accounts([])).accounts
        with pytest.raises(O2CError, match="O2C_X_CRM_TARGET") as caught:
            await port.accounts(["AMY"])
    assert caught.value.violations[0].reason is Reason.CRM_UNAVAILABLE


async def test_a_crm_with_a_folder_remembers_its_customers(tmp_path: Path) -> None:
    async with running_sandbox(crm=True, data=tmp_path) as first:
        first.crm.store.load(DOCUMENT)
        known = first.crm.store.message("DEPT", with_billing_profiles=True)
    async with running_sandbox(crm=True, data=tmp_path) as second:
        assert second.crm.store.message("DEPT", with_billing_profiles=True) == known


@pytest.mark.parametrize("wrong", [{"down": "yes"}, {"delay_ms": -1}, {"slow": True}])
async def test_a_fault_that_there_is_not_is_refused(sandbox: RunningSandbox, wrong: dict[str, object]) -> None:
    with pytest.raises(AdminError, match="400"):
        await asyncio.to_thread(CrmAdminClient(sandbox.address).change_faults, **wrong)
