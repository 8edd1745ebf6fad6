"""What a sandbox instance takes of memory and disk as it fills up to 100,000 objects."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from bench import report
from libs.brm.conformance_calls import throw_away_customer
from sandbox.clock import VirtualClock
from sandbox.instance import Instance

OBJECTS = 100_000
CLASSES = ("/account", "/billinfo", "/payinfo", "/balance_group", "/bill", "/event")


def resident_mb() -> float:
    """Memory of this process now, in MB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1_048_576


def fill(instance: Instance, first: int, count: int) -> None:
    for number in range(first, first + count):
        instance.execute(throw_away_customer(f"M-{number}", "0.0.0.1"))


def run() -> None:
    with tempfile.TemporaryDirectory(prefix="o2c-bench-") as folder:
        path = Path(folder) / "brm.db"
        instance = Instance("BRM_01", "0.0.0.1", path=path, clock=VirtualClock.from_text("2027-01-01T00:00:00Z"))
        fill(instance, 0, 10)
        each = sum(len(list(instance.reader().of_class(class_))) for class_ in CLASSES) / 10
        customers = round(OBJECTS / each)
        rows: list[tuple[str, str, str, str]] = []
        began, done = time.perf_counter(), 10
        for share in (1, 4, 10):
            upto = customers * share // 10
            fill(instance, done, upto - done)
            done = upto
            seconds = time.perf_counter() - began
            disk = sum(file.stat().st_size for file in Path(folder).iterdir()) / 1_048_576
            rows.append((f"{done * each:,.0f}", f"{resident_mb():,.0f}", f"{disk:,.0f}", f"{seconds:.0f}"))
        report.heading("A sandbox instance filling up, without HTTP")
        report.rows(("Objects", "Memory, MB", "Disk, MB", "Seconds"), rows)
        instance.close()
