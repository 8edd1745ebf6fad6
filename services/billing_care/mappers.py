"""Wire to domain and back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from google.type import date_pb2, money_pb2

from libs.errors import O2CError, Reason, Violation
from libs.pb.billing_care.v1 import billing_care_pb2 as pb
from services.billing_care.domain.cursor import fingerprint
from services.billing_care.domain.model import (
    AccountTotal,
    BalanceSummary,
    Bill,
    BillState,
    Currency,
    InvoiceDetail,
    Item,
    Page,
    ProfileView,
    Scope,
    ServiceCharge,
)
from services.billing_care.domain.rules import Policy, rounded

NANOS = 1_000_000_000

BILL_STATES = {
    BillState.OPEN: pb.INVOICE_STATE_OPEN,
    BillState.PARTIALLY_PAID: pb.INVOICE_STATE_PARTIALLY_PAID,
    BillState.CLOSED: pb.INVOICE_STATE_CLOSED,
}


@dataclass(frozen=True, slots=True)
class InvoiceQuery:
    """A checked ListInvoicesRequest."""

    scope: Scope
    only_open: bool
    page_size: int
    page_token: str
    max_records: int

    @property
    def fingerprint(self) -> str:
        """What a page token of this query is bound to."""
        return fingerprint(self.scope, self.only_open, self.max_records)


def to_domain_money(money: money_pb2.Money) -> Decimal:
    """Exact; raises ValueError when units and nanos disagree in sign or nanos exceed one unit."""
    if abs(money.nanos) >= NANOS or money.units * money.nanos < 0:
        raise ValueError("units and nanos do not form an amount")
    return Decimal(money.units) + Decimal(money.nanos).scaleb(-9)


def to_wire_money(amount: Decimal, currency: Currency) -> money_pb2.Money:
    """The amount rounded half up to the currency's minor digits; units and nanos carry the same sign."""
    units, fraction = divmod(abs(rounded(amount, currency)), 1)
    sign = -1 if amount < 0 else 1
    return money_pb2.Money(currency_code=currency.code, units=sign * int(units), nanos=sign * int(fraction.scaleb(9)))


def to_wire_date(day: date | None) -> date_pb2.Date | None:
    return date_pb2.Date(year=day.year, month=day.month, day=day.day) if day else None


def to_domain_scope(scope: pb.CareScope) -> Scope:
    """Raises FIELD_MISSING when no account is named."""
    O2CError.raise_all(_missing_ids(("scope.account_id", "an account id", scope.account_id)))
    return _scope(scope)


def to_domain_invoice_query(request: pb.ListInvoicesRequest, policy: Policy) -> InvoiceQuery:
    """All violations at once. Zero asks for the default (R5.3); a page larger than allowed is cut to the largest."""
    violations = _missing_ids(("scope.account_id", "an account id", request.scope.account_id))
    for name, value in (("page_size", request.page_size), ("max_records", request.max_records)):
        if value < 0:
            violations.append(Violation(Reason.RANGE_INVALID, f"{name} must not be negative", name, {"field": name}))
    if request.bill_type not in pb.BillType.values():
        violations.append(
            Violation(
                Reason.ENUM_UNKNOWN, f"{request.bill_type} is no BillType", "bill_type", {"value": str(request.bill_type)}
            )
        )
    O2CError.raise_all(violations)
    return InvoiceQuery(
        scope=_scope(request.scope),
        only_open=request.bill_type == pb.BILL_TYPE_OPEN,
        page_size=min(request.page_size or policy.page_size_default, policy.page_size_max),
        page_token=request.page_token,
        max_records=request.max_records or policy.invoice_list_max,
    )


def to_domain_bill_id(request: pb.GetInvoiceRequest) -> tuple[Scope, str]:
    """Raises FIELD_MISSING for the account, the profile and the bill together."""
    O2CError.raise_all(
        _missing_ids(
            ("scope.account_id", "an account id", request.scope.account_id),
            ("scope.billing_profile_id", "a billing profile id", request.scope.billing_profile_id),
            ("bill_id", "a bill id", request.bill_id),
        )
    )
    return _scope(request.scope), request.bill_id


def to_wire_summary(summary: BalanceSummary) -> pb.BalanceSummary:
    """One profile's balances; CRM-only header fields (primary, bill type, profile status) are left to the CRM."""
    view, currency = summary.view, summary.view.unit.currency
    aging = [to_wire_money(amount, currency) for amount in summary.aging]
    return pb.BalanceSummary(
        account_id=view.account_id,
        billing_profile_id=view.profile_id,
        system_id=view.system_id,
        currency=currency.code,
        open_bills_due=to_wire_money(summary.open_bills_due, currency),
        pending_due=to_wire_money(summary.pending_due, currency),
        unapplied_payments=to_wire_money(summary.unapplied_payments, currency),
        unapplied_adjustments=to_wire_money(summary.unapplied_adjustments, currency),
        unapplied_total=to_wire_money(summary.unapplied_total, currency),
        disputed=to_wire_money(summary.disputed, currency),
        total_balance=to_wire_money(summary.total_balance, currency),
        number_of_open_bills=summary.number_of_open_bills,
        oldest_due_date=to_wire_date(summary.oldest_due_on),
        pending_bill_date=to_wire_date(view.unit.next_bill_on),
        aging_0_30=aging[0],
        aging_31_60=aging[1],
        aging_61_90=aging[2],
        aging_over_90=aging[3],
        profile_name=summary.profile_name,
        payment_method=view.unit.payment_method,
    )


def to_wire_balances(summaries: list[BalanceSummary], total: AccountTotal | None) -> pb.GetBalanceSummaryResponse:
    return pb.GetBalanceSummaryResponse(
        profiles=[to_wire_summary(summary) for summary in summaries],
        total_balance=to_wire_money(total.total_balance, total.currency) if total else None,
        total_open_bills_due=to_wire_money(total.open_bills_due, total.currency) if total else None,
    )


def to_wire_page(page: Page, next_page_token: str) -> pb.ListInvoicesResponse:
    return pb.ListInvoicesResponse(
        invoices=[to_wire_invoice(row.view, row.bill) for row in page.rows],
        next_page_token=next_page_token,
        truncated=page.truncated,
    )


def to_wire_invoice(view: ProfileView, bill: Bill) -> pb.Invoice:
    currency = view.unit.currency
    return pb.Invoice(
        bill_id=str(bill.poid),
        bill_number=bill.number,
        billing_profile_id=view.profile_id,
        system_id=view.system_id,
        bill_date=to_wire_date(bill.end_on),
        period_start=to_wire_date(bill.start_on),
        period_end=to_wire_date(bill.end_on),
        due_date=to_wire_date(bill.due_on),
        previous_total=to_wire_money(bill.previous_total, currency),
        current_total=to_wire_money(bill.current_total, currency),
        subordinates_total=to_wire_money(bill.subordinates_total, currency),
        total_due=to_wire_money(bill.total_due, currency),
        adjusted=to_wire_money(bill.adjusted, currency),
        disputed=to_wire_money(bill.disputed, currency),
        received=to_wire_money(bill.received, currency),
        write_off=to_wire_money(bill.write_off, currency),
        amount_due=to_wire_money(bill.due, currency),
        state=BILL_STATES[bill.state],
    )


def to_wire_detail(detail: InvoiceDetail) -> pb.GetInvoiceResponse:
    currency = detail.view.unit.currency
    return pb.GetInvoiceResponse(
        invoice=to_wire_invoice(detail.view, detail.bill),
        service_charges=[_charge(charge, currency) for charge in detail.charges],
        items=[_item(item, currency) for item in detail.items],
    )


def _charge(charge: ServiceCharge, currency: Currency) -> pb.ServiceCharge:
    return pb.ServiceCharge(
        service_id=str(charge.service) if charge.service else "",
        service_type=charge.label.type,
        service_label=charge.label.label,
        gross=to_wire_money(charge.gross, currency),
        discount=to_wire_money(charge.discount, currency),
        tax=to_wire_money(charge.tax, currency),
        net=to_wire_money(charge.net, currency),
    )


def _item(item: Item, currency: Currency) -> pb.InvoiceItem:
    return pb.InvoiceItem(
        item_id=str(item.poid),
        item_type=item.poid.type,
        description=item.name,
        service_id=str(item.service) if item.service else "",
        total=to_wire_money(item.total, currency),
        adjusted=to_wire_money(item.adjusted, currency),
        disputed=to_wire_money(item.disputed, currency),
        received=to_wire_money(item.received, currency),
        write_off=to_wire_money(item.write_off, currency),
        due=to_wire_money(item.due, currency),
        net_amount=to_wire_money(item.net, currency),
        closed=item.closed,
    )


def _scope(scope: pb.CareScope) -> Scope:
    return Scope(
        account_id=scope.account_id,
        billing_profile_id=scope.billing_profile_id,
        currency=scope.currency,
        system_id=scope.system_id,
        service_account_id=scope.service_account_id,
    )


def _missing_ids(*ids: tuple[str, str, str]) -> list[Violation]:
    """One violation per id, given as (field, what it is, value), that is empty."""
    return [
        Violation(Reason.FIELD_MISSING, f"the query needs {what}", field, {"field": field})
        for field, what, value in ids
        if not value
    ]
