"""Making the parts of a customer from one input whose element ids are links (1.3): payment records, bill units, groups."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from libs.brm.flist import Array, Flist
from libs.brm.poid import Poid
from sandbox.billing.units import create_group, create_unit
from sandbox.codes import PAYINFO_CLASS, PayType
from sandbox.errors import BrmFault
from sandbox.masking import masked
from sandbox.opcodes.registry import elements
from sandbox.store.pack import copied
from sandbox.store.sqlite import Tx

_METHOD_OF_CLASS: Final = {"/payinfo/cc": "CC_INFO", "/payinfo/dd": "DD_INFO", "/payinfo/invoice": "INV_INFO"}
_REQUIRED_OF_METHOD: Final = {"CC_INFO": ("DEBIT_NUM", "DEBIT_EXP"), "DD_INFO": ("DEBIT_NUM", "BANK_NO"), "INV_INFO": ()}
_OF_EVERY_SERVICE: Final = frozenset(
    {"POID", "ACCOUNT_OBJ", "LOGIN", "SERVICE_ID", "STATUS", "STATUS_FLAGS", "BAL_GRP_OBJ", "SUBSCRIPTION_OBJ", "ALIAS_LIST"}
    | {"EFFECTIVE_T", "CLOSE_WHEN_T", "CREATED_T", "MOD_T"}
)
_PAYINFO_FIELDS: Final = ("NAME", "DUE_DOM", "PAYMENT_TERM", "PAYMENT_OFFSET", "INV_TYPE")


def create_payinfo(tx: Tx, account: Flist, given: Flist) -> Flist:
    """A payment record. Card and account numbers are kept masked, security codes not at all.

    Raises VALIDATION_FAILED when the method's data is missing or malformed.
    """
    type_ = given["POID"].type if given.get("POID") else PAYINFO_CLASS.get(given.get("PAY_TYPE") or PayType.INVOICE, "/payinfo")
    fields = payinfo_fields(type_, given)
    method = _METHOD_OF_CLASS.get(type_)
    if method is not None and _REQUIRED_OF_METHOD[method] and method not in fields:
        raise BrmFault("VALIDATION_FAILED", method, f"{type_} needs {method}")
    return tx.create(type_, {"ACCOUNT_OBJ": account["POID"], **fields})


def payinfo_fields(type_: str, given: Flist, stored: Flist | None = None) -> Flist:
    """The fields of a payment record that an input sets; raises VALIDATION_FAILED for malformed ones.

    Of the method's part, what is not given stays as ``stored`` has it.
    """
    fields: Flist = {name: given[name] for name in _PAYINFO_FIELDS if given.get(name) is not None}
    method = _METHOD_OF_CLASS.get(type_)
    details = elements(given.get("INHERITED_INFO") or {}, method) if method else {}
    if method and details:
        known = elements(stored or {}, method)
        fields[method] = Array(
            {element: _method_details(method, body, known.get(element) or {}) for element, body in details.items()}
        )
    return fields


def _method_details(method: str, given: Flist, known: Flist) -> Flist:
    for name in _REQUIRED_OF_METHOD[method]:
        if not given.get(name, known.get(name)):
            raise BrmFault("VALIDATION_FAILED", name, f"{method} needs {name}")
    expiry = given.get("DEBIT_EXP")
    if expiry is not None and not (len(expiry) == 4 and expiry.isdigit() and 1 <= int(expiry[:2]) <= 12):
        raise BrmFault("VALIDATION_FAILED", "DEBIT_EXP", "expiry is MMYY")
    details: Flist = copied(given)
    details.pop("SECURITY_ID", None)
    if "DEBIT_NUM" in details:
        details["DEBIT_NUM"] = masked(details["DEBIT_NUM"])
    return {**copied(known), **details}


def own_fields(given: Flist) -> Flist:
    """What INHERITED_INFO says of a service; BAD_VALUE @INHERITED_INFO for fields that every service has."""
    fields: Flist = copied(given.get("INHERITED_INFO") or {})
    for name in fields:
        if name in _OF_EVERY_SERVICE or name.startswith("_"):
            raise BrmFault("BAD_VALUE", "INHERITED_INFO", f"{name} is not a field of the subclass")
    return fields


class Links:
    """The parts made so far from one input, by element id."""

    def __init__(self, tx: Tx, account: Flist, effective: datetime) -> None:
        self.tx = tx
        self.account = account
        self.effective = effective
        self.payinfos: dict[int | str, Poid] = {}
        self.units: dict[int | str, Poid] = {}
        self.groups: dict[int | str, Poid] = {}

    def add_payinfos(self, flist: Flist) -> None:
        for element, given in elements(flist, "PAYINFO").items():
            existing = given.get("POID")
            if existing is not None and not existing.is_new:
                self.payinfos[element] = self.tx.get(existing, "PAYINFO")["POID"]
            else:
                self.payinfos[element] = create_payinfo(self.tx, self.account, given)["POID"]

    def add_units(self, flist: Flist) -> None:
        for element, given in elements(flist, "BILLINFO").items():
            unit = create_unit(self.tx, self.account, given, self.payinfo_of(given), self.effective)
            self.units[element] = unit["POID"]

    def payinfo_of(self, given: Flist) -> Poid | None:
        """The payment record a bill unit names by POID or by link; raises BAD_ARG for a dangling link."""
        if given.get("PAYINFO_OBJ") is not None:
            return self.tx.get(given["PAYINFO_OBJ"], "PAYINFO_OBJ")["POID"]  # type: ignore[no-any-return]
        if given.get("PAY_TYPE") == PayType.NONPAYING:
            return None
        return self._linked(given, "PAYINFO", self.payinfos)

    def add_groups(self, flist: Flist, fallback: Poid | None = None) -> None:
        """Balance groups of the input, each on the bill unit it links to, that links to it, or else ``fallback``."""
        claimed = {
            link: self.units[unit]
            for unit, given in elements(flist, "BILLINFO").items()
            for link in given.get("BAL_INFO") or {}
            if unit in self.units
        }
        for element, given in elements(flist, "BAL_INFO").items():
            existing = given.get("POID")
            unit = given.get("BILLINFO_OBJ") or self._linked(given, "BILLINFO", self.units) or claimed.get(element)
            unit = unit or next(iter(self.units.values()), fallback)
            if existing is not None and not existing.is_new:
                self.groups[element] = self._existing_group(existing, given, unit)
            elif unit is None:
                raise BrmFault("BAD_ARG", "BAL_INFO", "balance group without a bill unit", rec_id=_record(element))
            else:
                target = self.tx.get(unit, "BILLINFO_OBJ")
                self.groups[element] = create_group(self.tx, self.account, target, given.get("NAME"), given)["POID"]

    def _existing_group(self, poid: Poid, given: Flist, unit: Poid | None) -> Poid:
        group = self.tx.get(poid, "BAL_INFO")
        if given.get("BILLINFO_OBJ") is not None and unit is not None and group["BILLINFO_OBJ"] != unit:
            self.tx.edit(poid)["BILLINFO_OBJ"] = unit
        stored: Poid = group["POID"]
        return stored

    def add_default_groups(self, flist: Flist) -> None:
        """Every bill unit gets a default balance group: the one it links to, or a new one of its own."""
        for element, given in elements(flist, "BILLINFO").items():
            unit = self.tx.get(self.units[element])
            linked = self._linked(given, "BAL_INFO", self.groups)
            if linked is not None:
                self.tx.edit(unit["POID"])["BAL_GRP_OBJ"] = linked
            elif unit.get("BAL_GRP_OBJ") is None:
                group = create_group(self.tx, self.account, unit, unit["BILLINFO_ID"])
                self.groups.setdefault(element, group["POID"])

    def group_of(self, given: Flist) -> Poid | None:
        """The balance group of a service, named or linked; ``None`` means the account's default."""
        if given.get("BAL_GRP_OBJ") is not None:
            return self.tx.get(given["BAL_GRP_OBJ"], "BAL_GRP_OBJ")["POID"]  # type: ignore[no-any-return]
        return self._linked(given, "BAL_INFO", self.groups)

    def _linked(self, given: Flist, name: str, known: dict[int | str, Poid]) -> Poid | None:
        """Follow a link such as ``BILLINFO[0].PAYINFO[1]``: an element of this input, or a POID in its body."""
        for element, body in (given.get(name) or {}).items():
            if body and body.get("POID") is not None and not body["POID"].is_new:
                return self.tx.get(body["POID"], name)["POID"]  # type: ignore[no-any-return]
            if element not in known:
                raise BrmFault("BAD_ARG", name, f"{name}[{element}] links to nothing", rec_id=_record(element))
            return known[element]
        return None


def _record(element: Any) -> int:
    return element if isinstance(element, int) else 0
