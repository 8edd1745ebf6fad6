"""How results are shown."""

from __future__ import annotations

from collections.abc import Sequence

from bench.harness import Rate


def heading(text: str) -> None:
    print(f"\n## {text}\n")


def rates(found: Sequence[Rate], unit: str) -> None:
    for rate in found:
        print(f"  {rate.name:<46} {rate.median:>12,.0f} {unit}   (min {min(rate.rounds):,.0f}, max {max(rate.rounds):,.0f})")


def figure(name: str, value: float, aim: str = "") -> None:
    print(f"  {name:<46} {value:>12.2f} {aim}")


def rows(columns: Sequence[object], body: Sequence[Sequence[object]]) -> None:
    widths = [max(len(str(row[index])) for row in [columns, *body]) for index in range(len(columns))]
    for row in [columns, *body]:
        print("  " + "  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
