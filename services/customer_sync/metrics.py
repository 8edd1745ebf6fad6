"""What the service counts besides what the kit counts for every RPC."""

from __future__ import annotations

from prometheus_client import Counter

BRM_CALLS = Counter("o2c_customer_sync_brm_calls", "Writes sent to BRM by plans.")
REPLANS = Counter("o2c_customer_sync_replans", "Times BRM held more than the cross-references told and a plan was made again.")
REPLAYS = Counter("o2c_customer_sync_replays", "Requests answered with the stored answer of an earlier one.")
SUPPRESSED = Counter("o2c_customer_sync_replies_suppressed", "Errors kept from callers because the site replies none.")
UPDATES = Counter(
    "o2c_customer_sync_updates",
    "Updates tried, per account and instance, by how they ended: updated, unchanged, waiting, failed.",
    ["outcome"],
)
FALLOUT = Counter("o2c_customer_sync_updates_given_up", "Updates that a person has to look at.")
