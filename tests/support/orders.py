"""The example orders as test data: as they are, or as other customers' orders of the same shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cli.documents import parse_order
from libs.pb.order.v1.order_pb2 import Order

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PRODUCTS = EXAMPLES / "products.json"
FAMILY = "order-1-denise-family.json"
SPLIT = "order-2-scott-split-bill.json"
TWO_INSTANCES = "order-3-priya-two-instances.json"
VOICEMAIL = "order-5-michelle-adds-voicemail.json"

OWN_IDS = frozenset(
    {
        "order_id",
        "order_number",
        "account_id",
        "parent_account_id",
        "billing_profile_id",
        "contact_id",
        "address_id",
        "line_id",
        "parent_line_id",
        "root_line_id",
        "promotion_line_id",
        "asset_integration_id",
        "promotion_asset_integration_id",
        "service_id",
    }
)


def document(name: str, suffix: str = "") -> dict[str, Any]:
    """An example order as JSON data; with a suffix every id of its own carries it, so that it is another customer's order."""
    return renamed(json.loads((EXAMPLES / name).read_text()), suffix)


def order(name: str, suffix: str = "") -> Order:
    """An example order as a message."""
    return parse_order(json.dumps(document(name, suffix)))


def renamed(value: Any, suffix: str) -> Any:
    if isinstance(value, list):
        return [renamed(item, suffix) for item in value]
    if isinstance(value, dict):
        return {key: item + suffix if key in OWN_IDS else renamed(item, suffix) for key, item in value.items()}
    return value


def for_system(whole: Order, system_id: str, products: frozenset[str] | None = None) -> Order:
    """The part of an order that goes to one BRM instance, stamped; ``products`` limits it to lines of these bundles' roots."""
    part = Order()
    part.CopyFrom(whole)
    del part.lines[:]
    for line in whole.lines:
        if products is None or (line.root_line_id or line.line_id) in products:
            part.lines.add().CopyFrom(line)
            part.lines[-1].target_system_id = system_id
    return part
