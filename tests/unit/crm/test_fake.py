"""The fake answers as the real one does."""

from __future__ import annotations

import pytest

from libs.crm.fake import FakeCrm
from libs.errors import O2CError, Reason

PARENTS = {"AMY": "DEPT", "DEPT": "ACME", "ACME": "", "LOST": "GONE"}


@pytest.fixture
def crm() -> FakeCrm[str]:
    return FakeCrm(PARENTS, lambda parent: parent)


async def test_relatives_come_when_asked_for(crm: FakeCrm[str]) -> None:
    assert list((await crm.accounts(["AMY"])).accounts) == ["AMY"]
    assert list((await crm.accounts(["AMY"], with_ancestors=True)).accounts) == ["AMY", "DEPT", "ACME"]
    assert list((await crm.accounts(["DEPT"], with_children=True)).accounts) == ["DEPT", "AMY"]
    assert (await crm.accounts(["LOST", "NOBODY"], with_ancestors=True)).not_found == {"GONE", "NOBODY"}
    assert crm.calls == [("AMY",), ("AMY",), ("DEPT",), ("LOST", "NOBODY")]


async def test_a_cycle_ends(crm: FakeCrm[str]) -> None:
    crm.known["ACME"] = "AMY"
    assert list((await crm.accounts(["AMY"], with_ancestors=True)).accounts) == ["AMY", "DEPT", "ACME"]


async def test_no_ids_no_call_and_down_means_unavailable(crm: FakeCrm[str]) -> None:
    assert not (await crm.accounts([])).accounts
    assert not crm.calls
    crm.down = True
    with pytest.raises(O2CError) as caught:
        await crm.accounts(["AMY"])
    assert caught.value.violations[0].reason is Reason.CRM_UNAVAILABLE
