"""What every plan is written onto while it is drawn up: its steps, the objects they make, and the COMMON ids they need."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace

from libs.plan.model import Claim, Ref, Step, Yield
from services.customer_sync.domain.calls import ACCOUNT_GROUPS, common_ref, group_ref
from services.customer_sync.domain.groups import GroupAction, GroupChange
from services.customer_sync.domain.model import Address, Contact, Entity, EntityKind, EntityOutcome
from services.customer_sync.domain.places import ADDRESSES, CONTACTS


@dataclass(slots=True)
class Sheet:
    """The part that plans of orders and of edits have in common."""

    steps: list[Step] = field(init=False, default_factory=list)
    entities: list[Entity] = field(init=False, default_factory=list)
    claims: dict[str, Claim] = field(init=False, default_factory=dict)
    placed: set[tuple[str, str]] = field(init=False, default_factory=set)
    """(table, CRM id) of what has its place inside an object already."""
    common_ids: Mapping[tuple[str, str], str] = field(init=False, default_factory=dict)
    """(table, CRM id) to COMMON id, of every row that exists."""

    def claim(self, table: str, crm_id: str) -> str:
        """Have a COMMON id for an object of the CRM. Its name; empty for no object."""
        if not crm_id:
            return ""
        name = common_ref(table, crm_id)
        if name not in self.claims:
            self.claims[name] = Claim(table, crm_id, name)
        return name

    def add(self, step: Step) -> None:
        """One more call, with COMMON ids for what has its place inside the objects it makes or changes; the first counts."""
        yields = tuple([self._placing(output) if output.inside else output for output in step.yields])
        self.steps.append(step if yields == step.yields else replace(step, yields=yields))

    def _placing(self, output: Yield) -> Yield:
        new = []
        for link in output.inside:
            if (link.table, link.crm_id) not in self.placed:
                self.placed.add((link.table, link.crm_id))
                self.claim(link.table, link.crm_id)
                new.append(link)
        return output if len(new) == len(output.inside) else output._replace(inside=tuple(new))

    def claim_party(self, contact: Contact | None, address: Address | None) -> None:
        """COMMON ids of a contact and an address that BRM receives."""
        self.claim(CONTACTS, contact.contact_id if contact else "")
        self.claim(ADDRESSES, address.address_id if address else "")

    def created(self, kind: EntityKind, table: str, crm_id: str, ref: str, bill_day: int | Ref = 0) -> None:
        """An object the latest step makes."""
        common = Ref(self.claim(table, crm_id))
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

    def group_changed(self, change: GroupChange, known: Mapping[str, str], unlinked: Container[str]) -> None:
        """The hierarchy group of a parent, which the latest step makes or changes. ``known`` are groups that BRM has, by owner;
        ``unlinked`` those among them that are not cross-referenced yet."""
        owner_id = change.parent_id
        if change.action is GroupAction.CREATE:
            self.created(EntityKind.ACCOUNT_GROUP, ACCOUNT_GROUPS, owner_id, group_ref(owner_id))
        elif owner_id in known and not change.part:
            if owner_id in unlinked:
                self.claim(ACCOUNT_GROUPS, owner_id)
            self.updated(EntityKind.ACCOUNT_GROUP, ACCOUNT_GROUPS, owner_id, known[owner_id])
