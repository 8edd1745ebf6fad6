"""Laws of routing: deterministic, total, blind to the order of lines, obedient to hard evidence."""

from __future__ import annotations

import dataclasses
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from libs.routing import BillingInstance, RoutableLine, Routing, RoutingFacts, RoutingPolicy, RoutingRule, route

SYSTEMS = ("BRM_01", "BRM_02", "BRM_03")
PLACES = st.lists(st.sampled_from(SYSTEMS), max_size=3, unique=True).map(lambda found: tuple(sorted(found)))
KEYS = ("a", "b", "c")
KNOWN = st.dictionaries(st.sampled_from(KEYS), PLACES)
KEY = st.sampled_from(("", *KEYS))
POLICY = st.builds(
    RoutingPolicy,
    instances=st.tuples(*(st.builds(BillingInstance, st.just(code), st.booleans(), st.booleans()) for code in SYSTEMS)),
    rules=st.lists(
        st.builds(
            RoutingRule, st.sampled_from(SYSTEMS), st.dictionaries(st.just("segment"), st.sampled_from([("a",), ("b",)]))
        ),
        max_size=2,
    ).map(tuple),
    default_system=st.sampled_from(("", *SYSTEMS)),
    billing_care_enabled=st.booleans(),
)
FACTS = st.builds(
    RoutingFacts,
    assets=KNOWN,
    profiles=KNOWN,
    products=KNOWN,
    accounts=KNOWN,
    price_lists=st.one_of(st.none(), KNOWN),
)
LINE = st.builds(
    RoutableLine,
    line_id=st.just(""),
    group=st.sampled_from(("", "", "first", "second")),
    components=st.sampled_from((None, None, None, ("0", "1"), ("2", "9"), ())),
    billable=st.booleans(),
    product_id=KEY,
    product_required=st.booleans(),
    asset_id=KEY,
    profile_id=KEY,
    billing_account_id=KEY,
    target=st.sampled_from(("", "", "", *SYSTEMS, "BRM_09")),
    traits=st.sampled_from([{}, {"segment": "a"}, {"segment": "b"}]),
    recorded=st.sampled_from(((), (), (), ("BRM_01",), ("BRM_02",))),
    promotion_groups=st.sampled_from(((), (), ("G1",), ("G1", "G2"))),
    price_list=KEY,
    legal_owner_profile=KEY,
)


def _numbered(lines: list[RoutableLine]) -> list[RoutableLine]:
    return [
        dataclasses.replace(line, line_id=str(at), position=at, group=line.group if line.components is None else "")
        for at, line in enumerate(lines)
    ]


LINES = st.lists(LINE, max_size=6).map(_numbered)


@settings(max_examples=80, deadline=None)
@given(LINES, FACTS, POLICY)
def test_every_line_gets_a_decision_or_a_named_error_and_hard_evidence_is_obeyed(
    lines: list[RoutableLine], facts: RoutingFacts, policy: RoutingPolicy
) -> None:
    routing = route(lines, facts, policy)
    for line in lines:
        decision = routing.decisions.get(line.line_id)
        bundle = [one for one in lines if one is line or (line.group and one.group == line.group)]
        assert decision is not None or any(routing.violations_of(one.line_id) for one in bundle), line
        if decision is None or line.components is not None:
            continue
        assert len(decision.systems) == (1 if line.billable or line.group else 0)
        assert list(decision.candidates) == sorted(decision.candidates)
        if not decision.systems or any(one.recorded for one in bundle):
            continue
        (system,) = decision.systems
        assert system in policy.enabled
        assert line.target in ("", system)
        assert system in (facts.assets.get(line.asset_id) or (system,))
        assert system in (facts.products.get(line.product_id) or (system,))
        if policy.billing_care_enabled:
            assert system in (facts.profiles.get(line.profile_id) or (system,))


@settings(max_examples=60, deadline=None)
@given(LINES, FACTS, POLICY, st.integers(0, 1000))
def test_the_order_in_which_lines_are_given_changes_nothing(
    lines: list[RoutableLine], facts: RoutingFacts, policy: RoutingPolicy, seed: int
) -> None:
    expected = route(lines, facts, policy)
    assert route(random.Random(seed).sample(lines, len(lines)), facts, policy) == expected


@settings(max_examples=60, deadline=None)
@given(LINES, FACTS, POLICY, st.integers(0, 1000))
def test_the_positions_of_lines_do_not_decide_where_they_go(
    lines: list[RoutableLine], facts: RoutingFacts, policy: RoutingPolicy, seed: int
) -> None:
    def places(routing: Routing) -> dict[str, tuple[str, ...]]:
        return {line_id: decision.systems for line_id, decision in routing.decisions.items()}

    moved = random.Random(seed).sample(range(len(lines)), len(lines))
    other = [dataclasses.replace(line, position=position) for line, position in zip(lines, moved, strict=True)]
    assert places(route(other, facts, policy)) == places(route(lines, facts, policy))


@settings(max_examples=50, deadline=None)
@given(LINES, FACTS, POLICY)
def test_what_was_decided_stays_decided_when_it_is_recorded(
    lines: list[RoutableLine], facts: RoutingFacts, policy: RoutingPolicy
) -> None:
    first = route(lines, facts, policy)
    recorded = [
        dataclasses.replace(line, recorded=first.decisions[line.line_id].systems) if line.line_id in first.decisions else line
        for line in lines
    ]
    again = route(recorded, RoutingFacts(), dataclasses.replace(policy, rules=(), default_system=""))
    for line_id, decision in first.decisions.items():
        if decision.systems:
            assert again.decisions[line_id].systems == decision.systems
