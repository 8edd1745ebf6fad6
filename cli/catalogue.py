"""Loading what a suite needs to know before its first order: products of CRM and BRM, and the CRM's customers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from libs.errors import O2CError, Reason
from libs.pb.xref.v1 import xref_pb2
from libs.pb.xref.v1.xref_pb2_grpc import XrefServiceStub
from sandbox.crm.admin_client import CrmAdminClient

TABLE = "ITEM_ITEMID"
SOURCE = "SEBL_01"
BATCH = 500


def load_products(xref: XrefServiceStub, path: Path, source: str = SOURCE) -> int:
    """Cross-reference the products in ``path``: ``[{"product_id", "name", "brm": {"BRM_01": "<POID>", …}}, …]``.

    Loading the same file again changes nothing. Returns the number of products. Raises JSON_MALFORMED for another document.
    """
    products = _products(path)
    for start in range(0, len(products), BATCH):
        part = products[start : start + BATCH]
        keys = [xref_pb2.Key(table=TABLE, ref_column=source, ref_value=product["product_id"]) for product in part]
        xref.BatchGetOrCreate(xref_pb2.BatchGetOrCreateRequest(keys=keys))
        items = [
            xref_pb2.PopulateRequest(
                table=TABLE,
                ref_column=source,
                ref_value=product["product_id"],
                column=system,
                value=poid,
                mode=xref_pb2.POPULATE_MODE_LINK,
                idempotent=True,
            )
            for product in part
            for system, poid in product["brm"].items()
        ]
        answer = xref.BatchPopulate(xref_pb2.BatchPopulateRequest(items=items))
        failed = [
            f"{item.ref_value}: {result.error.message}"
            for item, result in zip(items, answer.results, strict=True)
            if result.error.code
        ]
        if failed:
            raise O2CError.of(Reason.XREF_IMPORT_INVALID, f"{path}: " + "; ".join(failed))
    return len(products)


def _products(path: Path) -> list[dict[str, Any]]:
    try:
        products = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise O2CError.of(Reason.JSON_MALFORMED, f"{path}: {error}", field="products", line="") from error
    if not isinstance(products, list):
        raise O2CError.of(Reason.JSON_MALFORMED, f"{path}: a list of products is expected", field="products", line="1")
    for number, product in enumerate(products):
        match product:
            case {"product_id": str(), "brm": dict(brm)} if all(isinstance(poid, str) for poid in brm.values()):
                continue
        where, message = f"products[{number}]", f"{path}: a product has a product_id and, under brm, a POID by system"
        raise O2CError.of(Reason.JSON_MALFORMED, message, field=where, line="")
    return products


def load_customers(crm: CrmAdminClient, folder: Path) -> int:
    """Have the CRM stand-in know the customers of every example order. Returns how many accounts it knows then."""
    known = 0
    for path in sorted(folder.glob("order-*.json")):
        known = crm.load(json.loads(path.read_text(encoding="utf-8")))["accounts"]
    return known
