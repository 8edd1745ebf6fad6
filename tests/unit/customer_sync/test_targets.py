"""Which billing system a request without a target means."""

from __future__ import annotations

import pytest
from customers import POLICY

from libs.errors import O2CError, Reason
from services.customer_sync.domain.targets import Targets


@pytest.mark.spec("xref-and-routing:RT22")
def test_without_a_target_the_only_enabled_instance_is_used() -> None:
    assert Targets({"BRM_01": POLICY}).policy_of("") is POLICY
    assert Targets({"BRM_01": POLICY, "BRM_02": POLICY}, disabled=frozenset({"BRM_02"})).policy_of(" ") is POLICY


def test_with_several_enabled_instances_a_target_is_required() -> None:
    with pytest.raises(O2CError) as caught:
        Targets({"BRM_01": POLICY, "BRM_02": POLICY}).policy_of("")
    (violation,) = caught.value.violations
    assert (violation.reason, violation.metadata["system"]) == (Reason.ROUTE_TARGET_REQUIRED, "BRM_01,BRM_02")
