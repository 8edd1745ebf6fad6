"""Where BRM keeps what it has no objects for: contact, address, phones and mail address are inside their account.

Their cross-references hold the account's id and a slot (customer-sync 13): ``0.0.0.1 /account 10013 0 NAMEINFO[1]``. A phone's
slot is its type, by which BRM tells phones apart; the number of its element changes when another phone goes. A contact that
several accounts share has the place that it got first.
"""

from __future__ import annotations

from typing import Final

from libs.brm import calls as brm
from libs.plan.model import XrefLink
from services.customer_sync.domain.party import Account

CONTACTS: Final = "CUSTOMERPARTY_CONTACTID"
ADDRESSES: Final = "CUSTOMERPARTY_ADDRESSID"
PHONES: Final = "CUSTOMERPARTY_CONTACT_PHONECOMMID"
FAXES: Final = "CUSTOMERPARTY_CONTACT_FAXCOMMID"
MAILS: Final = "CUSTOMERPARTY_CONTACT_EMAILCOMMID"
SLOT: Final = "NAMEINFO[1]"
"""The block of the primary contact and address; no other is sent."""
FAX: Final = "FAX"
MAIL: Final = "EMAIL"


def places_of(account: Account, sent: brm.NameInfo) -> tuple[XrefLink, ...]:
    """The rows of an account's primary contact and address, and of the contact's phones and mail address, each with its slot;
    ``sent`` is what BRM is sent of them. What has no id in the CRM has no row."""
    links: dict[tuple[str, str], XrefLink] = {}

    def put(table: str, crm_id: str, slot: str) -> None:
        links.setdefault((table, crm_id), XrefLink(table, crm_id, slot=slot))

    contact, address = account.contact, account.address
    if contact is not None and contact.contact_id:
        put(CONTACTS, contact.contact_id, SLOT)
        given = [phone.kind for phone in contact.phones if phone.number]
        for kind, phone in zip(given, sent.phones, strict=False):
            if kind:
                table = FAXES if kind == FAX else PHONES
                put(table, f"{contact.contact_id}|{kind}", f"{SLOT}.PHONES[TYPE={int(phone.type)}]")
        if sent.email:
            put(MAILS, f"{contact.contact_id}|{MAIL}", f"{SLOT}.EMAIL_ADDR")
    if address is not None and address.address_id:
        put(ADDRESSES, address.address_id, SLOT)
    return tuple(links.values())
