"""Which billing system a request without a target means, and by which rules."""

from __future__ import annotations

import pytest
from customers import POLICY

from libs.config import BillingSystem, local_settings
from libs.errors import O2CError, Reason
from services.customer_sync.config import Settings
from services.customer_sync.domain.model import Policy
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


@pytest.mark.spec("customer-sync:V18")
def test_what_site_and_instance_say_arrives_in_the_policy_of_the_instance() -> None:
    """Every switch of section 15, each set to what is not its default."""
    here = BillingSystem(
        code="BRM_02", service_level_balance_groups=False, thirty_one_day_billing=True, phone_masks=("###-####",)
    )
    other = BillingSystem(code="BRM_01")
    settings = local_settings(
        Settings,
        billing_care_enabled=False,
        corporate_hierarchy_account_type="RESIDENTIAL",
        compat_release="12.x",
        sync_customer_account=True,
        legal_group=True,
        legal_owner_from_customer_account=False,
        legal_strict_single_owner=False,
        account_level_payer_lock=False,
        order_time_refresh=True,
        enable_account_status_sync=True,
        status_warn_if_active_assets=False,
        status_strict_inactivation=True,
    )
    targets = settings.targets([here, other])
    policy = targets.policy_of("BRM_02")
    plain = local_settings(Settings).targets([here, other])
    assert policy == Policy(
        system_id="BRM_02",
        db="0.0.0.2",
        value_maps=policy.value_maps,
        billing_care_enabled=False,
        corporate_account_type="RESIDENTIAL",
        service_level_balance_groups=False,
        sponsorship_contributes=True,
        customer_account_contributes=True,
        legal_groups=True,
        owner_from_customer_account=False,
        account_level_payer_lock=False,
        order_time_refresh=True,
        strict_single_owner=False,
        thirty_one_day_billing=True,
        account_status_sync=True,
        warn_if_active_assets=False,
        strict_inactivation=True,
        phone_masks=("###-####",),
    )
    assert plain.policy_of("BRM_01") == Policy(system_id="BRM_01", value_maps=plain.policy_of("BRM_01").value_maps)
