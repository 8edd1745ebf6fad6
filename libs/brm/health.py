"""What a service's health says about the BRM instances it works with (specification 2.7)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from libs.brm.client import SoapGateway
from libs.brm.gateway import BrmGateway
from libs.config import BillingSystem


def health_checks(gateway: BrmGateway, systems: Iterable[BillingSystem]) -> dict[str, Callable[[], Awaitable[bool]]]:
    """Health names ``brm.BRM_01`` and so on, each with its question, of a gateway that speaks to real instances.

    They stand beside the service's own health, which does not depend on them: one instance that is down must not take the
    orders of the others with it, and callers learn more from BRM_UNAVAILABLE than from a connection refused.
    """
    if not isinstance(gateway, SoapGateway):
        return {}
    return {f"brm.{system.code}": partial(gateway.healthy, system.code) for system in systems if system.endpoint}
