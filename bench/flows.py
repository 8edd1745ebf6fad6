"""What the example orders cost: BRM calls, RPCs and commits, measured beside the least the flow permits."""

from __future__ import annotations

from bench import report
from bench.least import LEAST, Least
from bench.probe import EXAMPLES, Cost, probe
from cli.demo.expectations import ORDERS
from cli.documents import read_order


def beside(measured: int, least: int) -> str:
    """``measured / least``, marked when it is more than the least."""
    return f"{measured} / {least}" + (" (!)" if measured > least else "")


def cells(cost: Cost, least: Least) -> list[str]:
    """One row of the table."""
    rpcs, commits = cost.rpcs, cost.commits
    components = rpcs["customer_sync SyncOrderCustomers"] + rpcs["bill_fulfillment ProcessFulfillmentOrderBilling"]
    return [
        beside(cost.brm.total(), least.brm),
        beside(rpcs["xref BatchLookup"], least.lookups),
        beside(rpcs["xref BatchGetOrCreate"], least.claims),
        beside(rpcs["xref BatchPopulate"], least.links),
        beside(components, least.components),
        beside(rpcs.total(), least.rpcs),
        beside(commits["order_orchestration"], least.orchestration_commits),
        beside(commits["customer_sync"], least.sync_commits),
        beside(commits["bill_fulfillment"], least.billing_commits),
        beside(commits["xref"], least.xref_commits),
        beside(commits.total(), least.commits),
    ]


def run() -> None:
    """Run the orders in a suite of their own and print what each cost."""
    rows = []
    with probe() as suite:
        for example in ORDERS:
            order = read_order(EXAMPLES / example.file)
            cost = suite.cost_of(lambda order=order, number=example.number: suite.run(order, f"bench-{number}"))  # type: ignore[misc]
            rows.append([f"{example.number} {example.title}", *cells(cost, LEAST[example.number])])
    report.heading("Cost of one order: measured / least the flow permits (docs/flows/order-to-bill.md)")
    print("  BRM calls and RPCs among the services (SubmitOrder, WatchOrder and health checks left out)\n")
    heads = ("Order", "BRM calls", "BatchLookup", "BatchGetOrCreate", "BatchPopulate", "sync + fulfill", "RPCs in all")
    report.rows(heads, [row[:7] for row in rows])
    print("\n  Database commits\n")
    services = ("Order", "orchestration", "customer sync", "bill fulfillment", "xref", "commits in all")
    report.rows(services, [[row[0], *row[7:]] for row in rows])
