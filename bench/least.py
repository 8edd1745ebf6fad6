"""What each example order costs at least, as worked out in docs/flows/order-to-bill.md; runs are held against it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Least:
    """The smallest numbers one order permits."""

    brm: int
    """Opcode calls."""
    lookups: int
    """BatchLookup: one each for orchestration, customer sync and bill fulfillment; the latter two per BRM instance."""
    claims: int
    """BatchGetOrCreate: one for the order, one per instance in which customers are missing."""
    links: int
    """BatchPopulate: one per wave of calls that made something."""
    components: int
    """SyncOrderCustomers and ProcessFulfillmentOrderBilling: one each per instance."""
    orchestration_commits: int
    """Intake, start, and the end of every component."""
    sync_commits: int
    """Waves + 1 per instance; the answer alone where nothing is missing."""
    billing_commits: int
    """Waves + 1 per instance."""

    @property
    def rpcs(self) -> int:
        """RPCs among the services."""
        return self.lookups + self.claims + self.links + self.components

    @property
    def xref_commits(self) -> int:
        """One per RPC that writes."""
        return self.claims + self.links

    @property
    def commits(self) -> int:
        """Commits of all services."""
        return self.orchestration_commits + self.sync_commits + self.billing_commits + self.xref_commits


LEAST = {
    "1": Least(brm=9, lookups=3, claims=2, links=5, components=2, orchestration_commits=4, sync_commits=4, billing_commits=3),
    "2": Least(brm=6, lookups=3, claims=2, links=4, components=2, orchestration_commits=4, sync_commits=4, billing_commits=2),
    "3": Least(brm=4, lookups=5, claims=3, links=4, components=4, orchestration_commits=6, sync_commits=4, billing_commits=4),
    "4": Least(brm=0, lookups=0, claims=0, links=0, components=0, orchestration_commits=0, sync_commits=0, billing_commits=0),
    "5": Least(brm=1, lookups=3, claims=1, links=1, components=2, orchestration_commits=4, sync_commits=1, billing_commits=2),
}
"""By number of the example order."""
