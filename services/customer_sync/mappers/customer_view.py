"""What every system knows of a customer, onto the wire. Numbers of cards and bank accounts are masked here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum

from libs.brm.codes import PayType, Status
from libs.brm.flist import Flist, get
from libs.brm.poid import Poid
from libs.brm.text import mask
from libs.grpckit.status import to_status
from libs.pb.customer_sync.v1 import customer_view_pb2 as pb
from libs.xref.client import COMMON
from services.customer_sync.domain.model import Account, CrmCustomer, Profile
from services.customer_sync.lookup_view import BrmSource, CustomerSources, Node

_PAYMENT_PARTS = ("INV_INFO", "CC_INFO", "DD_INFO")


def to_wire_customer(sources: CustomerSources) -> pb.CustomerView:
    """One customer from all sides."""
    return pb.CustomerView(
        account_id=sources.account_id,
        common_id=sources.row.value(COMMON),
        crm=_crm(sources),
        brms=[_brm(source, sources) for source in sources.brms],
        partial=bool(sources.problems),
        problems=[pb.SourceProblem(system_id=name, error=to_status(error)) for name, error in sources.problems],
    )


def _crm(sources: CustomerSources) -> pb.CrmCustomerView | None:
    found = sources.crm.accounts.get(sources.account_id)
    if found is None:
        return None
    account = found.account
    above = list(_above(sources, found))
    below = [each.account for each in sources.crm.accounts.values() if each.account.parent_account_id == account.account_id]
    return pb.CrmCustomerView(
        name=account.name,
        account_type=account.type,
        account_class=account.account_class,
        status=account.status,
        currency=account.currency,
        contact_name=f"{account.contact.first_name} {account.contact.last_name}".strip() if account.contact else "",
        ancestors=[_related(each) for each in reversed(above)],
        children=[_related(each) for each in sorted(below, key=lambda each: each.account_id)],
        billing_profiles=[_profile(profile, sources) for profile in found.profiles],
    )


def _above(sources: CustomerSources, customer: CrmCustomer) -> Iterator[Account]:
    """The accounts above, nearest first; ends in a cycle."""
    seen = {customer.account.account_id}
    parent = sources.crm.accounts.get(customer.account.parent_account_id)
    while parent is not None and parent.account.account_id not in seen:
        seen.add(parent.account.account_id)
        yield parent.account
        parent = sources.crm.accounts.get(parent.account.parent_account_id)


def _related(account: Account) -> pb.RelatedAccount:
    return pb.RelatedAccount(account_id=account.account_id, name=account.name)


def _profile(profile: Profile, sources: CustomerSources) -> pb.CrmProfileView:
    row = sources.profile_rows.get(profile.profile_id)
    number = profile.card.number if profile.card else profile.debit.account_number if profile.debit else ""
    return pb.CrmProfileView(
        billing_profile_id=profile.profile_id,
        name=profile.name,
        payment_method=profile.payment_method,
        bill_frequency=profile.bill_frequency,
        is_primary=profile.is_primary,
        masked_number=_masked(number),
        system_ids=[system_id for system_id in sources.lives_in if row and row.value(system_id)],
    )


def _masked(number: str) -> str:
    return str(mask({"DEBIT_NUM": number})["DEBIT_NUM"])


def _brm(source: BrmSource, sources: CustomerSources) -> pb.BrmCustomerView:
    account = source.account
    units = sorted(
        (_unit(unit, source, sources) for unit in source.units), key=lambda unit: (not unit.paying, unit.bill_unit_id)
    )
    return pb.BrmCustomerView(
        system_id=source.system_id,
        account_poid=str(account["POID"]),
        account_number=account.get("ACCOUNT_NO", ""),
        status=_name(Status, account.get("STATUS", 0)),
        name=_holder(account),
        currency=int(account.get("CURRENCY", 0)),
        bill_units=sorted(units, key=lambda unit: (not unit.paying, unit.bill_unit_id)),
        payment_records=[_record(record) for record in source.payment_records],
        balance_groups=[
            pb.BalanceGroupView(
                poid=str(group["POID"]),
                name=group.get("NAME", ""),
                bill_unit_poid=_named(group.get("BILLINFO_OBJ"), source.units),
            )
            for group in source.balance_groups
        ],
        hierarchy=_node(source.hierarchy, source.system_id, sources) if source.hierarchy else None,
        hierarchy_cut=source.hierarchy_cut,
        legal_groups=[_legal(group, source.system_id, sources) for group in source.legal_groups],
    )


def _holder(account: Flist) -> str:
    """Company, or first and last name, of the first contact."""
    for contact in account.get("NAMEINFO", {}).values():
        person = f"{contact.get('FIRST_NAME', '')} {contact.get('LAST_NAME', '')}".strip()
        return str(contact.get("COMPANY") or person)
    return ""


def _unit(unit: Flist, source: BrmSource, sources: CustomerSources) -> pb.BillUnitView:
    payer = unit.get("PARENT_BILLINFO_OBJ")
    return pb.BillUnitView(
        bill_unit_id=unit.get("BILLINFO_ID", ""),
        poid=str(unit["POID"]),
        paying=payer is None,
        pay_type=_name(PayType, unit.get("PAY_TYPE", 0)),
        payer_poid=_text(payer),
        payer_billing_profile_id=sources.crm_ids.get((source.system_id, payer), "") if payer else "",
        status=_name(Status, unit.get("STATUS", 0)),
        months=int(unit.get("BILL_WHEN", 0)),
        billing_day=int(unit.get("ACTG_CYCLE_DOM", 0)),
        payment_record_poid=_named(unit.get("PAYINFO_OBJ"), source.payment_records) if payer is None else "",
        legal_owner_id=source.owners.get(unit.get("BILLINFO_ID", ""), ""),
        superseded_by=source.superseded.get(unit.get("BILLINFO_ID", ""), ""),
    )


def _named(reference: Poid | None, objects: Iterable[Flist]) -> str:
    """What is referred to, as it names itself: a reference may be to another revision, by which texts would differ."""
    return next((str(each["POID"]) for each in objects if each["POID"] == reference), _text(reference))


def _record(record: Flist) -> pb.PaymentRecordView:
    parts = [part for name in _PAYMENT_PARTS for part in record.get(name, {}).values()]
    number = next((str(part["DEBIT_NUM"]) for part in parts if part.get("DEBIT_NUM")), "")
    name = next((str(part["NAME"]) for part in parts if part.get("NAME")), "")
    return pb.PaymentRecordView(
        poid=str(record["POID"]),
        kind=record["POID"].type.removeprefix("/payinfo/"),
        name=name or record.get("NAME", ""),
        masked_number=_masked(number),
    )


def _node(node: Node, system_id: str, sources: CustomerSources) -> pb.HierarchyNode:
    account_id = sources.crm_ids.get((system_id, node.account), "")
    known = sources.crm.accounts.get(account_id)
    return pb.HierarchyNode(
        account_id=account_id,
        name=known.account.name if known else "",
        account_poid=str(node.account),
        children=[_node(child, system_id, sources) for child in node.children],
    )


def _legal(group: Flist, system_id: str, sources: CustomerSources) -> pb.LegalGroupView:
    units = [member["BILLINFO_OBJ"] for member in group.get("MEMBERS", {}).values()]
    return pb.LegalGroupView(
        poid=str(group["POID"]),
        name=group.get("NAME", ""),
        parent_unit_poid=_text(get(group, "BILLINFO_OBJ")),
        members=sorted(sources.crm_ids.get((system_id, unit)) or str(unit) for unit in units),
    )


def _name(codes: type[IntEnum], number: int) -> str:
    known = codes._value2member_map_.get(int(number))
    return known.name if isinstance(known, IntEnum) else str(number)


def _text(poid: Poid | None) -> str:
    return str(poid) if poid is not None else ""
