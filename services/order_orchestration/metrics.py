"""What the service counts besides what the kit counts for every RPC."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

ORDERS_TAKEN = Counter("o2c_orders_taken", "Orders submitted, by result: accepted, replayed or planned.", ["result"])
COMPONENTS = Counter(
    "o2c_order_components", "Calls of components, by function and result: done, retried or failed.", ["function", "result"]
)
ORDERS_RESTING = Counter("o2c_orders_resting", "Orders that came to rest, by state.", ["state"])
PASS_SECONDS = Histogram(
    "o2c_order_pass_seconds", "Length of one pass over an order.", buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)
)
