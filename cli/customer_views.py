"""What a person sees of a customer: what the CRM knows, what every BRM instance knows, and hierarchies as trees."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from cli.output import short_poid, table
from cli.views import state
from libs.grpckit.enum_names import short_enum
from libs.pb.customer_sync.v1 import customer_sync_pb2 as sync
from libs.pb.customer_sync.v1 import customer_view_pb2 as pb
from libs.pb.customer_sync.v1 import inspection_pb2

HERE = "◀"
"""Marks the account that was asked for."""


def customer(view: pb.CustomerView) -> Group:
    """One customer from all sides."""
    title = Text.assemble((view.account_id, "bold"), "   COMMON ", view.common_id or "-")
    parts: list[RenderableType] = [title, Text(), *_crm(view)]
    for brm in view.brms:
        parts += [Text(), *_brm(brm, view.account_id)]
    if not view.brms:
        parts += [Text(), Text("in no BRM instance that answers" if view.partial else "in no BRM instance")]
    parts += [Text(f"\n{problem.system_id} is missing: {problem.error.message}", style="red") for problem in view.problems]
    return Group(*parts)


def _crm(view: pb.CustomerView) -> Iterator[RenderableType]:
    if not view.HasField("crm"):
        asked = not any(problem.system_id == "CRM" for problem in view.problems)
        yield Text.assemble(("CRM", "bold"), "   ", "does not have this account" if asked else "did not answer")
        return
    crm = view.crm
    facts = [crm.account_type.title(), crm.account_class.title(), crm.status, crm.currency]
    yield Text.assemble(("CRM", "bold"), f"   {crm.name}", style="")
    known = [fact for fact in [*facts, f"contact {crm.contact_name}" if crm.contact_name else ""] if fact]
    if known:
        yield Text(f"  {', '.join(known)}")
    if crm.ancestors or crm.children:
        yield Text()
        yield _chain(view)
    if crm.billing_profiles:
        rows = [
            (
                profile.billing_profile_id,
                profile.name,
                "primary" if profile.is_primary else "",
                profile.payment_method,
                profile.masked_number,
                profile.bill_frequency,
                ", ".join(profile.system_ids) or "-",
            )
            for profile in crm.billing_profiles
        ]
        yield Text()
        columns = ("Billing profile", "Name", "", "Method", "Number", "Frequency", "In")
        yield table("Billing profiles", columns, rows, flowing=("Name",))


def _chain(view: pb.CustomerView) -> Tree:
    """The CRM's accounts above and right below, the one asked for marked."""
    line = [*view.crm.ancestors, pb.RelatedAccount(account_id=view.account_id, name=view.crm.name)]
    root = at = Tree(_account(line[0].account_id, line[0].name, view.account_id), guide_style="dim")
    for one in line[1:]:
        at = at.add(_account(one.account_id, one.name, view.account_id))
    for child in view.crm.children:
        at.add(_account(child.account_id, child.name, view.account_id))
    return root


def _account(account_id: str, name: str, asked_for: str, poid: str = "") -> Text:
    text = Text(account_id or short_poid(poid), style="bold" if account_id == asked_for else "")
    if name and name != account_id:
        text.append(f"  {name}", style="not bold")
    if poid and account_id:
        text.append(f"  {short_poid(poid)}", style="not bold dim")
    if account_id == asked_for:
        text.append(f"  {HERE}", style="bold green")
    return text


def _brm(brm: pb.BrmCustomerView, asked_for: str) -> Iterator[RenderableType]:
    yield Text.assemble((brm.system_id, "bold"), f"   {brm.name}")
    yield Text.from_markup(f"  {short_poid(brm.account_poid)}, {state(brm.status)}, currency {brm.currency}")
    groups: dict[str, list[str]] = {}
    for group in brm.balance_groups:
        groups.setdefault(group.bill_unit_poid, []).append(short_poid(group.poid).rpartition(" ")[2])
    records = {record.poid: record for record in brm.payment_records}
    rows = [
        (
            unit.bill_unit_id,
            short_poid(unit.poid).rpartition(" ")[2],
            "itself" if unit.paying else unit.payer_billing_profile_id or short_poid(unit.payer_poid),
            unit.pay_type if unit.paying else "",
            _record(records.get(unit.payment_record_poid)),
            unit.months,
            unit.billing_day,
            " ".join(groups.get(unit.poid, ())),
            unit.status,
        )
        for unit in brm.bill_units
    ]
    yield Text()
    columns = ("Bill unit", "Id", "Paid by", "Method", "Payment record", "Months", "Day", "Balance groups", "State")
    yield table("Bill units", columns, rows, right=("Months", "Day"), flowing=("Payment record",))
    for unit in brm.bill_units:
        if unit.superseded_by:
            yield Text(f"{unit.bill_unit_id} is not used any more; {unit.superseded_by} took its place")
    if brm.HasField("hierarchy"):
        yield Text()
        yield Text("Account hierarchy", style="bold")
        yield _hierarchy(brm.hierarchy, asked_for)
        if brm.hierarchy_cut:
            yield Text("… and more accounts", style="yellow")
    for unit in brm.bill_units:
        if unit.legal_owner_id:
            yield Text()
            yield Text.assemble(("In collections", "bold"), f" {unit.legal_owner_id} answers for {unit.bill_unit_id}")
    for legal in brm.legal_groups:
        yield Text()
        members = ", ".join(legal.members) or "nobody"
        yield Text.assemble(("In collections", "bold"), f" this account answers for {members}   {legal.name}")


def _record(record: pb.PaymentRecordView | None) -> str:
    return "-" if record is None else f"{record.name} {record.masked_number}".strip()


def _hierarchy(node: pb.HierarchyNode, asked_for: str, into: Tree | None = None) -> Tree:
    label = _account(node.account_id, node.name, asked_for, node.account_poid)
    here = Tree(label, guide_style="dim") if into is None else into.add(label)
    for child in node.children:
        _hierarchy(child, asked_for, here)
    return here


def sync_table(records: Iterable[inspection_pb2.SyncRecord]) -> RenderableType:
    """Synchronisations, newest first."""
    rows = [
        (
            record.ended_at.ToDatetime().isoformat(sep=" ", timespec="seconds"),
            record.method,
            record.subject_id,
            record.revision or "",
            record.system_id,
            state(short_enum(sync.SyncOutcome.DESCRIPTOR, record.outcome)) + (" (not told)" if record.suppressed else ""),
            "; ".join(status.message for status in record.errors),
        )
        for record in records
    ]
    columns = ("Ended", "Call", "About", "Revision", "BRM", "Outcome", "Errors")
    return table("Synchronisations", columns, rows, right=("Revision",), flowing=("Errors",))
