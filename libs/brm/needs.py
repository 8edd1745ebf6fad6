"""Which opcodes each service cannot do without.

An instance that does not expose one of them is reported when a service starts and by the conformance check; calls of it fail as
BRM_CAPABILITY_MISSING while all others work. The tests compare this table with what the services' sources call.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_LOOKUPS: Final = ("PCM_OP_READ_OBJ", "PCM_OP_SEARCH")
"""What settling a write of unknown outcome takes."""


def _opcodes(*names: str) -> frozenset[str]:
    return frozenset(f"PCM_OP_{name}" for name in names) | frozenset(_LOOKUPS)


NEEDS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "customer_sync": _opcodes(
            "CUST_COMMIT_CUSTOMER",
            "CUST_CREATE_BILLINFO",
            "CUST_UPDATE_CUSTOMER",
            "CUST_SET_STATUS",
            "CUST_SET_BAL_GRP",
            "CUST_MODIFY_PROFILE",
            "BILL_GROUP_CREATE",
            "BILL_GROUP_ADD_MEMBER",
            "BILL_GROUP_MOVE_MEMBER",
            "BILL_GROUP_DELETE_MEMBER",
            "BILL_GROUP_GET_PARENT",
            "PYMT_COLLECT",
            "COLLECTIONS_GROUP_CREATE",
            "COLLECTIONS_GROUP_ADD_MEMBER",
            "COLLECTIONS_GROUP_DELETE_MEMBER",
            "COLLECTIONS_GROUP_SET_PARENT",
            "COLLECTIONS_GROUP_DELETE",
            "READ_FLDS",
        ),
        "bill_fulfillment": _opcodes(
            "CUST_MODIFY_CUSTOMER",
            "CUST_UPDATE_SERVICES",
            "CUST_SET_BAL_GRP",
            "CUST_CREATE_PROFILE",
            "CUST_MODIFY_PROFILE",
            "CUST_DELETE_PROFILE",
            "SUBSCRIPTION_PURCHASE_DEAL",
            "SUBSCRIPTION_CANCEL_PRODUCT",
            "SUBSCRIPTION_CANCEL_DISCOUNT",
            "SUBSCRIPTION_SET_PRODINFO",
            "SUBSCRIPTION_SET_DISCOUNTINFO",
            "SUBSCRIPTION_SET_PRODUCT_STATUS",
            "SUBSCRIPTION_SET_DISCOUNT_STATUS",
            "SUBSCRIPTION_SET_BUNDLE",
            "SUBSCRIPTION_SERVICE_BALGRP_TRANSFER",
            "SUBSCRIPTION_GET_PURCHASED_OFFERINGS",
        ),
        "xref": _opcodes("READ_FLDS"),
        "billing_care": _opcodes(
            "READ_FLDS",
            "AR_GET_ACCT_BAL_SUMMARY",
            "AR_GET_BILLS",
            "AR_GET_BILL_ITEMS",
            "BILL_ITEM_EVENT_SEARCH",
        ),
    }
)
"""Service to opcodes."""

NEEDED: Final = frozenset().union(*NEEDS.values())
"""What the suite as a whole cannot do without."""
