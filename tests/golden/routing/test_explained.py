"""Routes as `o2c route explain` prints them, for reading. REGENERATE=1 rewrites them; read what a changed rule changes."""

from __future__ import annotations

import io
import json
import os
from dataclasses import replace
from pathlib import Path

import orders
import pytest
from rich.console import Console

from cli.routes import explanation, subjects_of
from libs.pb.order.v1.order_pb2 import Order
from libs.pb.xref.v1 import routing_pb2 as pb
from libs.routing import BillingInstance, RoutingFacts, RoutingPolicy, RoutingRule, route
from libs.routing.table import table_version
from services.xref import routing_mappers as mappers
from services.xref.domain.systems import Site

HERE = Path(__file__).parent
PLAIN = RoutingPolicy((BillingInstance("BRM_01"), BillingInstance("BRM_02")))
RULES = (
    RoutingRule("BRM_02", {"account_type": ("BUSINESS",)}, "business"),
    RoutingRule("BRM_01", {"postal_code_prefix": ("94", "95")}, "bay area"),
)
SITES = {
    "plain": PLAIN,
    "rules": replace(PLAIN, rules=RULES, default_system="BRM_02"),
    "second-off": replace(PLAIN, instances=(BillingInstance("BRM_01"), BillingInstance("BRM_02", enabled=False))),
}
"""Routing tables of sites: change a rule here and see in the files which decisions change, and why."""

PRODUCTS = {one["product_id"]: tuple(sorted(one["brm"])) for one in json.loads(orders.PRODUCTS.read_text())}
EVERYWHERE = dict.fromkeys(PRODUCTS, ("BRM_01", "BRM_02"))
NEW = RoutingFacts(products=PRODUCTS)
SOLD_TWICE = RoutingFacts(products=EVERYWHERE)
KNOWN = RoutingFacts(
    products=EVERYWHERE,
    assets={"AST-MICHELLE-WIRELESS": ("BRM_01",)},
    profiles={"BP-DENISE-MICHELLE": ("BRM_01",)},
    accounts={"1-DENISE": ("BRM_01",)},
)
CASES = {
    "family-plain": (orders.FAMILY, "plain", NEW),
    "split-bill-plain": (orders.SPLIT, "plain", NEW),
    "two-instances-plain": (orders.TWO_INSTANCES, "plain", NEW),
    "two-instances-second-off": (orders.TWO_INSTANCES, "second-off", NEW),
    "two-instances-sold-twice-plain": (orders.TWO_INSTANCES, "plain", SOLD_TWICE),
    "two-instances-sold-twice-rules": (orders.TWO_INSTANCES, "rules", SOLD_TWICE),
    "voicemail-known-asset": (orders.VOICEMAIL, "rules", KNOWN),
}


def explained(order: Order, policy: RoutingPolicy, facts: RoutingFacts) -> str:
    """What the command prints, 140 columns wide."""
    subjects = subjects_of(order)
    lines, _ = mappers.to_subjects(pb.ResolveRoutesRequest(subjects=subjects))
    routing = route(lines, facts, policy)
    version = table_version(policy)
    answer = pb.ResolveRoutesResponse(results=mappers.to_wire_lines(lines, routing).values(), table_version=version)
    site = Site(policy, version, (), 0)
    table = mappers.to_wire_table(site, "")
    out = io.StringIO()
    Console(file=out, width=140, highlight=False, soft_wrap=True, color_system=None).print(
        explanation(order, table, subjects, answer)
    )
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


@pytest.mark.parametrize("name", CASES)
def test_the_explanation_is_the_golden_one(name: str) -> None:
    file, site, facts = CASES[name]
    text = explained(orders.order(file), SITES[site], facts)
    path = HERE / f"{name}.txt"
    if os.environ.get("REGENERATE"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_every_golden_has_its_case() -> None:
    assert {path.stem for path in HERE.glob("*.txt")} == set(CASES)
