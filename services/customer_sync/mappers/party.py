"""Accounts and billing profiles of the order model into the domain, whoever sent them: an order or the CRM."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from libs.pb.crm.v1 import crm_pb2
from libs.pb.order.v1 import order_pb2
from services.customer_sync.domain.model import Account, Address, Card, Contact, CrmCustomer, Debit, Phone, Profile

_TYPES: Final = {order_pb2.ACCOUNT_TYPE_RESIDENTIAL: "RESIDENTIAL", order_pb2.ACCOUNT_TYPE_BUSINESS: "BUSINESS"}
_CLASSES: Final = {
    order_pb2.ACCOUNT_CLASS_CUSTOMER: "CUSTOMER",
    order_pb2.ACCOUNT_CLASS_SERVICE: "SERVICE",
    order_pb2.ACCOUNT_CLASS_BILLING: "BILLING",
}
_PHONES: Final = {
    order_pb2.PHONE_TYPE_HOME: "HOME",
    order_pb2.PHONE_TYPE_WORK: "WORK",
    order_pb2.PHONE_TYPE_FAX: "FAX",
    order_pb2.PHONE_TYPE_MOBILE: "MOBILE",
}


def to_domain_account(reference: order_pb2.AccountRef, path: str, currency: str) -> Account:
    """An account; ``currency`` stands in where it names none."""
    return Account(
        account_id=reference.account_id.strip(),
        path=path,
        name=reference.name.strip(),
        type=_TYPES.get(reference.type, ""),
        account_class=_CLASSES.get(getattr(reference, "class"), ""),
        parent_account_id=reference.parent_account_id.strip(),
        contact=_contact(reference.primary_contact) if reference.HasField("primary_contact") else None,
        address=_address(reference.primary_address) if reference.HasField("primary_address") else None,
        currency=(reference.currency or currency).strip(),
        status=reference.status.strip(),
    )


def _contact(contact: order_pb2.Contact) -> Contact:
    return Contact(
        contact_id=contact.contact_id.strip(),
        salutation=contact.salutation.strip(),
        first_name=contact.first_name.strip(),
        last_name=contact.last_name.strip(),
        job_title=contact.job_title.strip(),
        email=contact.email.strip(),
        phones=tuple(Phone(_PHONES.get(phone.type, ""), phone.number.strip()) for phone in contact.phones),
    )


def _address(address: order_pb2.Address) -> Address:
    return Address(
        address_id=address.address_id.strip(),
        street=address.street.strip(),
        city=address.city.strip(),
        state=address.state.strip(),
        province=address.province.strip(),
        country=address.country.strip(),
        postal_code=address.postal_code.strip(),
    )


def to_domain_profile(reference: order_pb2.BillingProfileRef, path: str) -> Profile:
    """A billing profile with the details of its payment method."""
    return Profile(
        profile_id=reference.billing_profile_id.strip(),
        path=path,
        name=reference.name.strip(),
        account_id=reference.account_id.strip(),
        payment_method=reference.payment_method.strip(),
        bill_frequency=reference.bill_frequency.strip(),
        billing_day=reference.billing_day,
        bill_media=reference.bill_media.strip(),
        email_bill_to=reference.email_bill_to.strip(),
        contact=_contact(reference.contact) if reference.HasField("contact") else None,
        address=_address(reference.address) if reference.HasField("address") else None,
        card=_card(reference.card) if reference.HasField("card") else None,
        debit=_debit(reference.debit) if reference.HasField("debit") else None,
        is_primary=reference.is_primary,
    )


def _card(card: order_pb2.CardDetails) -> Card:
    return Card(card.number.strip(), card.expiry_month, card.expiry_year, card.holder_name.strip(), card.security_code.strip())


def _debit(debit: order_pb2.DebitDetails) -> Debit:
    return Debit(
        debit.account_number.strip(), debit.routing_number.strip(), debit.account_name.strip(), debit.account_type.strip()
    )


def to_domain_customer(found: crm_pb2.CrmAccount) -> CrmCustomer:
    """An account as the CRM knows it now; of a profile that it tells twice, the first counts. Field paths name the record:
    ``crm.accounts[1-ABC]``."""
    account_id = found.account.account_id.strip()
    profiles = (
        to_domain_profile(profile, f"crm.billing_profiles[{profile.billing_profile_id.strip()}]")
        for profile in found.billing_profiles
    )
    once: dict[str, Profile] = {}
    for profile in profiles:
        once.setdefault(profile.profile_id, profile)
    return CrmCustomer(
        account=to_domain_account(found.account, f"crm.accounts[{account_id}]", ""),
        profiles=tuple(once.values()),
        modified_at=_moment(found.modified_at) if found.HasField("modified_at") else None,
    )


def _moment(stamp: Timestamp) -> datetime | None:
    """``None`` for what is no moment in time: then the CRM does not say when the record changed."""
    try:
        return stamp.ToDatetime(UTC)
    except (ValueError, OverflowError):
        return None
