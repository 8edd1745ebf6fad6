"""Terms of an offer, bought or changed: dates, overrides, promotion, rate plan. Guide: appendix D; fields: brm.md 4.3."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from libs.brm.calls import NEVER, Charge
from services.bill_fulfillment.domain.model import BillingDates, Handle
from services.bill_fulfillment.domain.pricing import Overrides

CHARGES: Final = ("purchase", "cycle", "usage")


@dataclass(slots=True)
class Terms:
    """What to say about an offer; what is absent is left to BRM, or left as it is."""

    charges: dict[str, dict[str, datetime | Decimal]] = field(default_factory=dict)
    """By charge and part: ``{"cycle": {"start": …, "fee": …}}``."""
    bundle: Handle | None = None
    rate_plan: str = ""

    def __bool__(self) -> bool:
        return bool(self.charges or self.bundle is not None or self.rate_plan)

    def start(self, dates: BillingDates) -> None:
        """The starts among ``dates``; ``None`` is left out."""
        for charge, moment in zip(CHARGES, (dates.purchase, dates.cycle_start, dates.usage_start), strict=True):
            if moment is not None:
                self.charges.setdefault(charge, {})["start"] = moment

    def end(self, moment: datetime | None) -> None:
        """One date ends purchase, cycle and usage (R-7.27); ``None`` makes the offer endless again (R-1.13)."""
        for charge in CHARGES:
            self.charges.setdefault(charge, {})["end"] = moment or NEVER

    def override(self, values: Overrides) -> None:
        """Adjusted prices."""
        for (charge, part), value in values.items():
            self.charges.setdefault(charge, {})[part] = value

    def arguments(self) -> Mapping[str, Any]:
        """For the constructors of :mod:`libs.brm.calls`."""
        charges: dict[str, Any] = {charge: Charge(**parts) for charge, parts in self.charges.items()}  # type: ignore[arg-type]
        return charges | {"bundle": self.bundle, "rate_plan": self.rate_plan}

    def words(self) -> str:
        """What changes, for a person: ``cycle start, cycle fee, promotion``."""
        found = [f"{charge} {part.replace('_', ' ')}" for charge, parts in self.charges.items() for part in parts]
        found += ["promotion"] if self.bundle is not None else []
        found += [f"rate plan {self.rate_plan}"] if self.rate_plan else []
        return ", ".join(found)
