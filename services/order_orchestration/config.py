"""Settings of order orchestration, and the policy that follows from them."""

from __future__ import annotations

from typing import Literal

from cryptography.fernet import Fernet
from pydantic import AwareDatetime, Field, SecretStr, field_validator

from libs.config import PurgeSettings, from_environment
from services.order_orchestration.domain.components import DEPENDENCIES, Edge, Function
from services.order_orchestration.domain.model import Policy
from services.order_orchestration.domain.progress import RetryPolicy


class Settings(PurgeSettings):
    """Settings of order orchestration, ``O2C_ORDER_ORCHESTRATION_…``; the routing table comes from the xref service."""

    model_config = from_environment("ORDER_ORCHESTRATION")

    xref_target: str = Field("127.0.0.1:50051", description="Address of the cross-reference service, `host:port`.")
    customer_sync_target: str = Field("127.0.0.1:50052", description="Address of customer sync.")
    bill_fulfillment_target: str = Field("127.0.0.1:50053", description="Address of bill fulfillment.")
    seal_keys: tuple[SecretStr, ...] = Field(
        (),
        description="Fernet keys that seal card and bank numbers until customer sync has them, newest first (a JSON list);"
        " without one, orders that carry such numbers are refused.",
    )

    engine: Literal["auto", "in_process", "procrastinate"] = Field(
        "auto", description="What runs orders: `procrastinate` needs PostgreSQL; `auto` takes it there, else `in_process`."
    )
    workers: int = Field(16, ge=1, description="Orders advanced at once by this process.")
    heartbeat_seconds: float = Field(2.0, gt=0, description="How often a pod shows that it lives, in seconds (procrastinate).")
    stalled_seconds: float = Field(
        10.0, gt=0, description="Silence after which another pod takes over a pod's orders, in seconds (procrastinate)."
    )
    scan_seconds: float = Field(
        1.0, gt=0, description="How often to look for orders whose delay is over, in seconds; new ones start at once."
    )
    error_delay_seconds: float = Field(
        5.0, gt=0, description="When to repeat a pass that could not reach its rows, in seconds."
    )
    watch_poll_seconds: float = Field(
        1.0, gt=0, description="How often a watch looks for changes made by other pods, in seconds."
    )

    retry_tries: int = Field(5, ge=1, description="Tries of a component before the order goes to fallout.")
    retry_first_seconds: float = Field(
        1.0, gt=0, description="Delay after the first failed try; doubles with every further one."
    )
    retry_longest_seconds: float = Field(60.0, gt=0, description="Longest delay between tries, in seconds.")
    retry_jitter: float = Field(0.2, ge=0, lt=1, description="Share by which delays vary.")
    sync_timeout_seconds: float = Field(30.0, gt=0, description="Time customer sync has for one call, in seconds.")
    billing_timeout_seconds: float = Field(30.0, gt=0, description="Time bill fulfillment has for one call, in seconds.")
    extra_dependencies: tuple[tuple[Function, Function], ...] = Field(
        (), description="Further pairs `[before, after]` of functions in the dependency graph (a JSON list of lists)."
    )

    order_days: int = Field(
        400,
        ge=1,
        description="Days for which a finished order is kept, and recognised when it comes again. One that is not finished,"
        " as in fallout, is kept for good.",
    )
    max_lines: int = Field(10_000, ge=1, description="Most lines an order may have.")
    price_lists: tuple[str, ...] = Field((), description="Known price lists (map PRICELIST); empty switches the check off.")
    priority_default: int = Field(5, ge=0, le=9, description="Priority of orders that name none.")
    priority_names: dict[str, int] = Field(
        default_factory=dict, description="Further priority names and their numbers (map SWI_ORDER_JMS_PRIORITY)."
    )
    priority_unknown_policy: Literal["REJECT", "DEFAULT"] = Field(
        "REJECT", description="What to do with unknown priority names."
    )
    low_is_urgent_sources: tuple[str, ...] = Field(
        (), description="Source systems that count priorities the other way round: 0 most urgent."
    )
    site_poll_seconds: float = Field(
        1.0, gt=0, description="How often to ask the xref service for a newer routing table and value maps, in seconds."
    )
    payment_failure_fails_order: bool = Field(
        False, description="Whether an order fails when one of its payments is not posted."
    )
    legal_group: bool = Field(False, description="Whether legal owners answer for others in collections (`O2C.LegalGroup`).")
    legal_owner_from_customer_account: bool = Field(
        True, description="Whether a line without legal owner takes its customer account for one."
    )
    now: AwareDatetime | None = Field(
        None, description="Pretend that it is always this moment when telling future-dated orders; for demonstrations."
    )

    @field_validator("seal_keys")
    @classmethod
    def _usable(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for key in keys:
            Fernet(key.get_secret_value())
        return keys

    def policy(self) -> Policy:
        """What the rules may know of the site, but for the routing table."""
        return Policy(
            max_lines=self.max_lines,
            price_lists=frozenset(self.price_lists),
            priority_names={name.upper(): number for name, number in self.priority_names.items()},
            priority_default=self.priority_default,
            unknown_priority_is_default=self.priority_unknown_policy == "DEFAULT",
            low_is_urgent=frozenset(self.low_is_urgent_sources),
            payment_failure_fails_order=self.payment_failure_fails_order,
            legal_groups=self.legal_group,
            owner_from_customer_account=self.legal_owner_from_customer_account,
        )

    def retry(self) -> RetryPolicy:
        """When components are tried again."""
        return RetryPolicy(self.retry_tries, self.retry_first_seconds, self.retry_longest_seconds, self.retry_jitter)

    def edges(self) -> tuple[Edge, ...]:
        """The dependency graph: the delivered one and the site's additions."""
        return (*DEPENDENCIES, *(Edge(before, after) for before, after in self.extra_dependencies))
