"""What every plan is written onto while it is drawn up: its steps, the objects they make, and the COMMON ids they need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from libs.plan.model import Claim, Ref, Step
from services.customer_sync.domain import calls
from services.customer_sync.domain.calls import common_ref
from services.customer_sync.domain.model import Address, Contact, Entity, EntityKind, EntityOutcome


@dataclass(slots=True)
class Sheet:
    """The part that plans of orders and of edits have in common."""

    steps: list[Step] = field(init=False, default_factory=list)
    entities: list[Entity] = field(init=False, default_factory=list)
    claims: dict[str, Claim] = field(init=False, default_factory=dict)
    common_ids: Mapping[tuple[str, str], str] = field(init=False, default_factory=dict)
    """(table, CRM id) to COMMON id, of every row that exists."""

    def claim(self, table: str, crm_id: str) -> None:
        """Have a COMMON id for an object of the CRM."""
        if crm_id:
            name = common_ref(table, crm_id)
            self.claims.setdefault(name, Claim(table, crm_id, name))

    def claim_party(self, contact: Contact | None, address: Address | None) -> None:
        """COMMON ids of a contact and an address that BRM receives."""
        self.claim(calls.CONTACTS, contact.contact_id if contact else "")
        self.claim(calls.ADDRESSES, address.address_id if address else "")

    def created(self, kind: EntityKind, table: str, crm_id: str, ref: str, bill_day: int | Ref = 0) -> None:
        """An object the latest step makes."""
        self.claim(table, crm_id)
        common = Ref(common_ref(table, crm_id))
        self.entities.append(Entity(crm_id, kind, common, Ref(ref), EntityOutcome.CREATED, self.steps[-1].key, bill_day))

    def existed(self, kind: EntityKind, table: str, crm_id: str, known: Mapping[str, str]) -> None:
        """An object that is there already, if its id is known."""
        found = known.get(crm_id)
        if found:
            common = self.common_ids.get((table, crm_id), "")
            self.entities.append(Entity(crm_id, kind, common, found, EntityOutcome.EXISTED))

    def updated(self, kind: EntityKind, table: str, crm_id: str, brm_id: str) -> None:
        """An object that is there already and that the latest step changes."""
        common = self.common_ids.get((table, crm_id), "")
        self.entities.append(Entity(crm_id, kind, common, brm_id, EntityOutcome.UPDATED, self.steps[-1].key))
