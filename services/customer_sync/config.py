"""Settings of customer sync, and the policies that follow from them (customer-sync 15)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, SecretStr, field_validator

from libs.config import BillingSystem, JournalSettings, from_environment
from libs.dvm import ValueMaps
from services.customer_sync.domain.model import Policy
from services.customer_sync.domain.replies import ReplyRules
from services.customer_sync.domain.secret_marks import SecretMarker
from services.customer_sync.domain.targets import Targets

SHORTEST_KEY: Final = 32
"""Characters of a key that marks card and bank details."""


class Settings(JournalSettings):
    """Settings of customer sync, ``O2C_CUSTOMER_SYNC_…``; the billing systems come from ``O2C_BILLING_SYSTEMS``."""

    model_config = from_environment("CUSTOMER_SYNC")

    xref_target: str = Field("127.0.0.1:50051", description="Address of the cross-reference service, `host:port`.")
    crm_target: str = Field(
        "",
        description="Address of the CRM (`o2c.crm.v1`), `host:port`; without one, what needs it is refused: CRM_UNAVAILABLE.",
    )
    concurrency: int = Field(32, ge=1, le=1000, description="BRM calls of one order in flight at once.")
    lock_wait_seconds: float = Field(
        30.0, gt=0, description="How long a request waits for accounts that another one works on, in seconds."
    )
    billing_care_enabled: bool = Field(
        True, description="Whether billing care is in use: a profile lives on one instance only."
    )
    corporate_hierarchy_account_type: Literal["", "BUSINESS", "RESIDENTIAL"] = Field(
        "BUSINESS",
        description="Account type whose full CRM hierarchy is synchronised; empty turns it off: two levels for all.",
    )
    compat_release: Literal["11.3", "12.x"] = Field(
        "11.3", description="Release to follow: 12.x collates sponsorship lines, too."
    )
    account_level_payer_lock: bool = Field(
        True, description="Whether one account pays for all account-level products of an account, for its life."
    )
    order_time_refresh: bool = Field(
        False, description="Whether orders bring accounts up to date that exist already; by default only updates do."
    )
    legal_group: bool = Field(False, description="Whether legal owners answer for others in collections (`O2C.LegalGroup`).")
    legal_owner_from_customer_account: bool = Field(
        True, description="Whether a line without legal owner takes its customer account for one."
    )
    legal_strict_single_owner: bool = Field(
        True, description="Whether a new line that names another legal owner is refused; otherwise the owner changes."
    )
    sync_customer_account: bool = Field(
        False, description="Whether the account an order is placed for is created, too, as releases 12.x do."
    )
    respond_business_errors: bool = Field(
        True, description="Whether callers are told of refused requests; false answers SUPPRESSED, as the original does."
    )
    respond_system_errors: bool = Field(
        True, description="Whether callers are told of failures of BRM, CRM and the like; false answers SUPPRESSED."
    )
    enable_account_status_sync: bool = Field(
        False, description="Whether the CRM's account status goes to billing; advised only together with collections."
    )
    status_warn_if_active_assets: bool = Field(
        True, description="Whether to warn when an account is inactivated while assets of it are active."
    )
    status_strict_inactivation: bool = Field(
        False, description="Whether such an account is not inactivated at all (STATUS_ACTIVE_ASSETS)."
    )
    mark_keys: tuple[SecretStr, ...] = Field(
        (),
        description="Secrets of at least 32 characters that mark card and bank details, newest first (a JSON list), so that a"
        " new number which looks like the old one goes to billing; all pods need the same. Without one billing is read at every"
        " edit of an account that has such details, and they are compared as far as it shows them.",
    )
    update_poll_seconds: float = Field(
        5.0, gt=0, description="How long events of an account are gathered before they become one update, in seconds."
    )
    update_attempts: int = Field(
        10, ge=1, description="How often an update that cannot be made now is tried before a person has to look."
    )
    record_days: int = Field(
        400,
        ge=1,
        description="Days for which the records of what was asked and what came of it are kept; those of answers that are"
        " kept longer, as long as these.",
    )
    value_maps_file: Path | None = Field(
        None, description="TOML file with value maps to go by; without one, those of the cross-reference service are in force."
    )
    site_poll_seconds: float = Field(
        1.0, gt=0, description="How often to ask the cross-reference service for newer value maps, in seconds."
    )

    @field_validator("mark_keys")
    @classmethod
    def _long_enough(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(len(key.get_secret_value()) < SHORTEST_KEY for key in keys):
            raise ValueError(f"a key of fewer than {SHORTEST_KEY} characters can be guessed, and with it card numbers")
        return keys

    def targets(self, systems: Sequence[BillingSystem]) -> Targets:
        """The policy of every billing system."""
        maps = ValueMaps.load(str(self.value_maps_file or ""))
        return Targets(
            policies={system.code: self._policy(system, maps) for system in systems if system.kind == "BRM"},
            disabled=frozenset(system.code for system in systems if not system.enabled),
            read_only=frozenset(system.code for system in systems if system.read_only),
        )

    def reply_rules(self) -> ReplyRules:
        """Which errors are replied."""
        return ReplyRules(business=self.respond_business_errors, system=self.respond_system_errors)

    def _policy(self, system: BillingSystem, maps: ValueMaps) -> Policy:
        return Policy(
            system_id=system.code,
            db=system.db_no,
            value_maps=maps,
            billing_care_enabled=self.billing_care_enabled,
            corporate_account_type=self.corporate_hierarchy_account_type,
            service_level_balance_groups=system.service_level_balance_groups,
            sponsorship_contributes=self.compat_release == "12.x",
            customer_account_contributes=self.sync_customer_account,
            account_level_payer_lock=self.account_level_payer_lock,
            order_time_refresh=self.order_time_refresh,
            legal_groups=self.legal_group,
            owner_from_customer_account=self.legal_owner_from_customer_account,
            strict_single_owner=self.legal_strict_single_owner,
            thirty_one_day_billing=system.thirty_one_day_billing,
            phone_masks=system.phone_masks,
            marker=SecretMarker.of(key.get_secret_value().encode() for key in self.mark_keys),
            account_status_sync=self.enable_account_status_sync,
            warn_if_active_assets=self.status_warn_if_active_assets,
            strict_inactivation=self.status_strict_inactivation,
        )
