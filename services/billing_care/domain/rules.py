"""The guide's tables and limits as data, and the policy that a deployment may bend them with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import ROUND_HALF_UP, Decimal

from libs.dvm import COMMON, ValueMaps, standard_maps
from services.billing_care.domain.model import Currency

CURRENCY_MAP = "CURRENCY_CODE"
"""Value map of currencies: ISO 4217 letters in COMMON, BRM's resource ids in its columns. Guide: xref-and-routing.md 9.2."""

PAYMENT_METHOD_MAP = "CUSTOMERPARTY_PAYPROFILE_PAYMETHODECODE"
"""Value map of payment methods. Shown only, hence optional: what it does not know is shown as empty."""

_WHOLE = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
_THOUSANDTHS = "BHD IQD JOD KWD LYD OMR TND"
MINOR_DIGITS: Mapping[str, int] = {**dict.fromkeys(_WHOLE.split(), 0), **dict.fromkeys(_THOUSANDTHS.split(), 3)}
"""ISO 4217 minor digits of the currencies that have other than two (R3.9)."""

AGING_UPPER_BOUNDS: tuple[int, ...] = (30, 60, 90)
"""Days overdue at which a bucket ends, inclusive; a last bucket takes the rest. Guide: billing-care.md 6.1."""

TAX_ITEM_TYPES = ("/item/cycle_tax", "/item/tax")
"""Item classes that hold tax and nothing else."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What a deployment decides. Defaults are the guide's (billing-care.md 13.1)."""

    maps: ValueMaps = field(default_factory=standard_maps)
    source_system: str = "SEBL_01"
    """Cross-reference column that holds the CRM's ids."""
    zone: tzinfo = UTC
    """Time zone of bill and due dates (R3.10)."""
    invoice_list_max: int = 12
    page_size_default: int = 50
    page_size_max: int = 500
    page_token_life: timedelta = timedelta(days=1)
    systems: Mapping[str, str] = field(default_factory=dict)
    """Configured BRM instances: code to POID database number."""
    disabled_systems: frozenset[str] = frozenset()
    """Configured instances that are switched off; a profile that lives there cannot be shown."""

    def with_maps(self, maps: ValueMaps) -> Policy:
        """The same with other value maps."""
        return replace(self, maps=maps)

    def currency_of(self, resource_id: object, system_id: str) -> Currency:
        """The currency behind BRM's id; one without a row is DVM_UNMAPPED (R3.3)."""
        code = self.maps.translate(CURRENCY_MAP, str(resource_id), system_id, COMMON)
        return Currency(code, int(str(resource_id)), MINOR_DIGITS.get(code, 2))

    def payment_method_of(self, pay_type: int, system_id: str) -> str:
        """What the CRM calls BRM's pay type."""
        return self.maps.find(PAYMENT_METHOD_MAP, str(pay_type), system_id, self.source_system) or ""

    def date_of(self, moment: datetime | None) -> date | None:
        """The calendar date of a BRM time; the epoch, as BRM says "unset", is no date."""
        if moment is None or moment.timestamp() == 0:
            return None
        return moment.astimezone(self.zone).date()


def rounded(amount: Decimal, currency: Currency) -> Decimal:
    """Round half up to the currency's minor digits (R3.5)."""
    return amount.quantize(Decimal(1).scaleb(-currency.minor_digits), rounding=ROUND_HALF_UP)
