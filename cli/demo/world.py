"""What exists at the end of the demo: objects per BRM instance, cross-references, and the account tree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.table import Table
from rich.tree import Tree

from cli.connection import CALL_SECONDS, Clients
from cli.demo.expectations import BILLS, NONPAYING
from cli.output import short_poid, table, to_dict
from cli.suite import INSTANCES
from libs.brm.poid import Poid
from libs.pb.xref.v1 import xref_pb2

CLASSES = {
    "/account": "accounts",
    "/billinfo": "bill units",
    "/payinfo": "payment records",
    "/group/billing": "hierarchy groups",
    "/service": "services",
    "/purchased_bundle": "promotions",
    "/purchased_product": "products",
    "/purchased_discount": "discounts",
    "/bill": "bills",
}
CATALOGUE = ("/product", "/discount")
NONPAYING_TYPE = 10007
Object = Mapping[str, Any]


@dataclass(slots=True)
class World:
    """Everything the demo made, read back from where it lives."""

    created: dict[str, dict[str, int]] = field(default_factory=dict)
    """BRM instance to number of objects by kind."""
    objects: dict[str, dict[str, list[Object]]] = field(default_factory=dict)
    """BRM instance to objects by class."""
    rows: dict[str, xref_pb2.Row] = field(default_factory=dict)
    """Cross-reference rows by ``table key``."""

    def created_table(self) -> Table:
        rows = [[name, *(self.created[code].get(name, 0) for code in self.created)] for name in CLASSES.values()]
        return table("In BRM", ("Objects", *self.created), rows, right=tuple(self.created))

    def xref_tables(self) -> list[Table]:
        """Per table of the cross-reference service: what each CRM id is in the suite and in every BRM instance."""
        tables: dict[str, list[tuple[str, xref_pb2.Row]]] = {}
        for name, row in self.rows.items():
            xref_table, _, key = name.partition(" ")
            tables.setdefault(xref_table, []).append((key, row))
        return [
            table(
                f"Cross-references: {name}",
                ("SEBL_01", "COMMON", *INSTANCES),
                [(key, brief(cells(row, "COMMON")), *(cells(row, code) for code in INSTANCES)) for key, row in rows],
            )
            for name, rows in tables.items()
        ]

    def xrefs_as_json(self) -> dict[str, Any]:
        return {name: to_dict(row) for name, row in self.rows.items()}

    def tree(self) -> Tree:
        """Accounts with their bill units, services and offers; children below the account they belong to."""
        root = Tree("[bold]Accounts[/bold]")
        for code, objects in self.objects.items():
            branch = root.add(f"[bold]{code}[/bold]")
            children = {member: Poid.parse(group["PARENT"]) for group in objects["/group/billing"] for member in members(group)}
            nodes: dict[Poid, Tree] = {}
            accounts = {Poid.parse(account["POID"]): account for account in objects["/account"]}
            for poid in sorted(accounts, key=lambda poid: (poid in children, poid.id)):
                parent = nodes.get(children[poid], branch) if poid in children else branch
                nodes[poid] = parent.add(name_of(accounts[poid]))
                self.add_belongings(nodes[poid], poid, objects)
        return root

    def add_belongings(self, node: Tree, account: Poid, objects: Mapping[str, list[Object]]) -> None:
        units = {Poid.parse(unit["POID"]): unit for unit in objects["/billinfo"]}
        for unit in of_account(units.values(), account):
            payer = self.paid_by(unit, units)
            node.add(f"nonpaying bill unit{payer}" if payer else f"bill unit {unit['BILLINFO_ID']}")
        for bundle in of_account(objects["/purchased_bundle"], account):
            node.add(f"promotion {bundle['NAME']}")
        offers = [*objects["/purchased_product"], *objects["/purchased_discount"]]
        names = {Poid.parse(item["POID"]).id: str(item["NAME"]) for class_ in CATALOGUE for item in objects[class_]}
        for service in of_account(objects["/service"], account):
            held = node.add(f"{Poid.parse(service['POID']).type} {service['LOGIN']}")
            for offer in offers:
                if offer.get("SERVICE_OBJ") and Poid.parse(offer["SERVICE_OBJ"]).refers_to(Poid.parse(service["POID"])):
                    held.add(offered(offer, names))
        for offer in of_account(offers, account):
            if not offer.get("SERVICE_OBJ"):
                node.add(f"account-level {offered(offer, names)}")

    def paid_by(self, unit: Object, units: Mapping[Poid, Object]) -> str:
        if unit["PAY_TYPE"] != NONPAYING_TYPE:
            return ""
        return f"[dim], paid through {units[Poid.parse(unit['PARENT_BILLINFO_OBJ'])]['BILLINFO_ID']}[/dim]"


def read_world(clients: Clients) -> World:
    """Read every object of the sandbox and the cross-references of the customers."""
    world = World()
    for code in INSTANCES:
        admin = clients.sandbox(code)
        world.objects[code] = {class_: list(admin.objects(class_)) for class_ in (*CLASSES, *CATALOGUE)}
        world.created[code] = {name: len(world.objects[code][class_]) for class_, name in CLASSES.items()}
    accounts = [*dict.fromkeys(bill.account for bill in BILLS), *NONPAYING]
    keys = [("CUSTOMERPARTY_ACCOUNTID", account) for account in accounts]
    keys += [("CUSTOMERPARTY_BILLPROFILEID", bill.profile) for bill in BILLS]
    wanted = [xref_pb2.Key(table=name, ref_column="SEBL_01", ref_value=value) for name, value in keys]
    answer = clients.xref.BatchLookup(xref_pb2.BatchLookupRequest(keys=wanted), timeout=CALL_SECONDS)
    world.rows = {f"{name} {value}": row for (name, value), row in zip(keys, answer.rows, strict=True)}
    return world


def members(group: Object) -> list[Poid]:
    return [Poid.parse(member["ACCOUNT_OBJ"]) for member in group.get("MEMBERS", {}).values()]


def of_account(objects: Iterable[Object], account: Poid) -> list[Object]:
    return [item for item in objects if Poid.parse(item["ACCOUNT_OBJ"]) == account]


def name_of(account: Object) -> str:
    person: Object = next(iter(account.get("NAMEINFO", {}).values()), {})
    name = " ".join(part for part in (person.get("FIRST_NAME"), person.get("LAST_NAME")) if part)
    return f"[bold]{name}[/bold] [dim]{short_poid(account['POID'])}[/dim]"


def offered(offer: Object, names: Mapping[int, str]) -> str:
    poid = Poid.parse(offer.get("PRODUCT_OBJ") or offer["DISCOUNT_OBJ"])
    name = names.get(poid.id, "")
    return f"{poid.type.removeprefix('/')} {poid.id} {name}[dim], line {offer.get('DESCR', '')}[/dim]"


def cells(row: xref_pb2.Row, column: str) -> str:
    return "\n".join(short_poid(cell.value) for cell in row.cells if cell.column == column) or "-"


def brief(common_id: str) -> str:
    """The beginning of an id that is told apart by it; ``--json`` gives the whole."""
    return f"{common_id[:8]}…" if len(common_id) > 12 else common_id
