"""Ids, texts and states that random requests found: refused by name, or left out, before anything is sent."""

from __future__ import annotations

from typing import Any

import customers
import pytest
from customers import account, bundle, order

from libs.errors import O2CError, Reason
from libs.pb.order.v1.order_pb2 import Order
from libs.plan.model import waves
from services.customer_sync.domain.model import Facts

LONG = "x" * 300
WAS_LONG = {"billing_account_id": LONG}


def refused(document: Order) -> list[tuple[Reason, str]]:
    with pytest.raises(O2CError) as caught:
        customers.planned(document)
    return [(violation.reason, violation.field) for violation in caught.value.violations]


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"order_id": "a\x00b"}, "order.order_id"),
        ({"accounts": [account("ANN", parent_account_id=LONG)]}, "order.accounts[0].parent_account_id"),
        ({"accounts": [account("ANN", primary_address={"address_id": LONG})]}, "order.accounts[0].primary_address.address_id"),
        ({"payments": [{"payment_id": LONG}]}, "order.payments[0].payment_id"),
        (
            {"lines": [bundle(1, "ANN", "ANN", "BP", prior={"billing_account_id": LONG})]},
            "order.lines[0].prior.billing_account_id",
        ),
        ({"lines": [bundle(1, "A" * 100, "B" * 100, "C" * 100)]}, "order.lines[0]"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_id_that_nothing_can_be_kept_under_is_refused_where_it_stands(values: dict[str, Any], place: str) -> None:
    document = order(**{"lines": [bundle(1, "ANN", "ANN", "BP")], **values})
    assert (Reason.XREF_VALUE_INVALID, place) in refused(document)


@pytest.mark.parametrize("text", ["a\x1bb", "\ufffe", "ü" * 200], ids=["control", "no character", "too long"])
def test_a_text_that_billing_cannot_hold_is_refused_with_its_field(text: str) -> None:
    ann = account("ANN", primary_contact={"last_name": text})
    document = order([bundle(1, "ANN", "ANN", "BP")], accounts=[ann])
    assert refused(document) == [(Reason.RANGE_INVALID, "order.accounts[0].primary_contact.last_name")]


def test_a_phone_without_number_is_refused_like_one_in_a_wrong_form() -> None:
    ann = account("ANN", primary_contact={"last_name": "Ann", "phones": [{"type": "HOME"}]})
    place = "order.accounts[0].primary_contact.phones[0].number"
    assert refused(order([bundle(1, "ANN", "ANN", "BP")], accounts=[ann])) == [(Reason.PHONE_FORMAT_INVALID, place)]


def test_a_group_without_cross_reference_gets_it_once_though_some_join_it_and_others_move_to_it() -> None:
    prior = {"billing_account_id": "MA", "billing_profile_id": "BP-MA"}
    lines = [bundle(1, "NEW", "PA", "BP"), bundle(2, "KID", "PA", "BP", action="UPDATE", prior=prior)]
    held = {name: f"0.0.0.1 /account {number} 0" for number, name in enumerate(("PA", "KID", "MA"), 1)}
    facts = Facts(
        accounts=held,
        bill_units={"BP": "0.0.0.1 /billinfo 9 0"},
        account_groups={"PA": "0.0.0.1 /group/billing 8 0"},
        unlinked_groups=frozenset({"PA"}),
        parents={"KID": "MA"},
    )
    plan = customers.planned(order(lines), facts).plan
    waves(plan)
    keys = [step.key for step in plan.steps if step.key.startswith("accountgroup")]
    assert sorted(keys) == ["accountgroup-members:PA", "accountgroup-moved:PA"]


@pytest.mark.parametrize("first", [0, 1], ids=["the change first", "the new line first"])
def test_a_change_of_who_pays_for_account_level_products_is_refused_wherever_it_stands(first: int) -> None:
    values = {"billing_type": "SUBSCRIPTION", "billing_service_type": "/account"}
    lines = [
        bundle(1, "ANN", "ANN", "BP", action="UPDATE", prior={"billing_account_id": "PA"}, **values),
        bundle(2, "ANN", "ANN", "BP", **values),
    ]
    place = f"order.lines[{first}].billing_account"
    assert refused(order(lines[first:] + lines[:first])) == [(Reason.ACCOUNT_PRODUCT_PAYER_CHANGED, place)]


def test_blanks_around_a_prior_value_make_no_change_of_payer() -> None:
    prior = {"billing_account_id": " PA ", "billing_profile_id": "BP ", "service_account_id": " KID"}
    whole = customers.planned(order([bundle(1, "KID", "PA", "BP")]))
    changed = customers.planned(order([bundle(1, "KID", "PA", "BP", action="UPDATE", prior=prior)]), customers.after(whole))
    assert [step.key for step in changed.plan.steps] == []
    mentioned = customers.command(order([bundle(1, "KID", "PA", "BP", action="UPDATE", prior=prior)])).lines[0].prior
    assert (mentioned.billing_account_id, mentioned.billing_profile_id, mentioned.service_account_id) == ("PA", "BP", "KID")
