"""Settings of bill fulfillment, and the policy that follows from them for one BRM instance."""

from __future__ import annotations

from pydantic import AwareDatetime, Field

from libs.clock import Clock, FrozenClock, SystemClock
from libs.config import BillingSystem, JournalSettings, from_environment
from services.bill_fulfillment.domain.model import Policy


class Settings(JournalSettings):
    """Settings of bill fulfillment, ``O2C_BILL_FULFILLMENT_…``; the billing systems come from ``O2C_BILLING_SYSTEMS``."""

    model_config = from_environment("BILL_FULFILLMENT")

    xref_target: str = Field("127.0.0.1:50051", description="Address of the cross-reference service, `host:port`.")
    max_lines: int = Field(10_000, ge=1, description="Lines an order may have.")
    max_parallel_calls: int = Field(32, ge=1, description="BRM calls of one order in flight at once.")
    lock_wait_seconds: float = Field(
        30.0, ge=0, description="How long to wait while another request bills the same order or service account, in seconds."
    )
    account_level_payer_lock: bool = Field(
        True, description="Whether the payer of account-level products is fixed once one of them is billed."
    )
    allow_nested_payer: bool = Field(
        True, description="Whether a nested bundle may have another payer than its parent (needs balance groups per service)."
    )
    reuse_balance_group_on_payer_change: bool = Field(
        False,
        description="Whether a service with a new payer keeps its balance group with what is left in it; by default it gets a"
        " new one, and what is left stays behind (needs balance groups per service).",
    )
    initiation_future_offset_days: int = Field(
        365, ge=1, description="How far ahead phase 1 of two-phase billing puts start dates, in days."
    )
    price_lists: dict[str, str] = Field(
        {},
        description="JSON object: CRM price list to BRM rate plan name, empty for the product's own. Without any, price lists"
        " are not read; with some, a list that is not among them is refused as PRICE_LIST_UNKNOWN.",
    )
    program_name: str = Field(
        "o2c-billing", max_length=60, description="What BRM's audit trail calls this service; the order number follows."
    )
    now: AwareDatetime | None = Field(None, description="Pretend that it is always this moment; for demonstrations.")

    def policy(self, system: BillingSystem) -> Policy:
        """What the rules may know of the deployment, for one BRM instance."""
        return Policy(
            service_level_balance_groups=system.service_level_balance_groups,
            allow_nested_payer=self.allow_nested_payer,
            account_level_payer_lock=self.account_level_payer_lock,
            reuse_balance_group_on_payer_change=self.reuse_balance_group_on_payer_change,
            initiation_future_offset_days=self.initiation_future_offset_days,
            rate_plans=self.price_lists,
            program_name=self.program_name,
            db=system.db_no,
        )

    def clock(self) -> Clock:
        """What processing time is."""
        return FrozenClock(self.now) if self.now else SystemClock()
