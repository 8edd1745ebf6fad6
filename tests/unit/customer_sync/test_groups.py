"""What has to change for an account hierarchy to become as wanted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.customer_sync.domain.groups import MOST_MEMBERS, GroupAction, GroupChange, group_changes

CREATE, JOIN, MOVE, LEAVE = GroupAction.CREATE, GroupAction.JOIN, GroupAction.MOVE, GroupAction.LEAVE


def test_what_is_so_already_needs_nothing() -> None:
    assert group_changes({"KID": "PA", "LONER": None}, {"KID": "PA"}, {"PA"}) == ()


def test_the_first_children_come_with_the_group_and_later_ones_join_it() -> None:
    assert group_changes({"KID": "PA", "SIS": "PA"}, {}, ()) == (GroupChange(CREATE, "PA", ("KID", "SIS")),)
    assert group_changes({"SIS": "PA"}, {}, {"PA"}) == (GroupChange(JOIN, "PA", ("SIS",)),)


def test_an_account_moves_to_a_parent_whose_group_is_made_first_when_it_has_none() -> None:
    assert group_changes({"KID": "MA"}, {"KID": "PA"}, {"PA", "MA"}) == (GroupChange(MOVE, "MA", ("KID",)),)
    made = group_changes({"KID": "MA", "NEW": "MA"}, {"KID": "PA"}, {"PA"})
    assert made == (GroupChange(CREATE, "MA", ("NEW",)), GroupChange(MOVE, "MA", ("KID",)))


def test_an_account_that_shall_be_below_nobody_leaves() -> None:
    assert group_changes({"KID": None}, {"KID": "PA"}, {"PA"}) == (GroupChange(LEAVE, "PA", ("KID",)),)


def test_members_that_are_too_many_for_one_call_come_in_several() -> None:
    many = [f"K{number}" for number in range(2 * MOST_MEMBERS + 1)]
    first, second, third = many[:MOST_MEMBERS], many[MOST_MEMBERS:-1], many[-1:]
    made = group_changes(dict.fromkeys(many, "PA"), {}, ())
    assert [(each.action, list(each.member_ids)) for each in made] == [(CREATE, first), (JOIN, second), (JOIN, third)]
    below_pa = dict.fromkeys(many, "PA")
    moved = group_changes(dict.fromkeys(many, "MA"), below_pa, {"PA", "MA"})
    assert [(each.action, list(each.member_ids)) for each in moved] == [(MOVE, first), (MOVE, second), (MOVE, third)]
    left = group_changes(dict.fromkeys(many), below_pa, {"PA"})
    assert [(each.action, list(each.member_ids)) for each in left] == [(LEAVE, first), (LEAVE, second), (LEAVE, third)]
    for changes in (made, moved, left):
        assert len({each.key for each in changes}) == 3


def test_a_chain_is_arranged_from_its_root() -> None:
    wanted = {"AMELIA": "MARKETING", "MARKETING": "ACCOUNTING", "ACCOUNTING": "ACME"}
    assert [change.parent_id for change in group_changes(wanted, {}, ())] == ["ACME", "ACCOUNTING", "MARKETING"]


NAMES = ("A", "B", "C", "D", "E")


@st.composite
def trees(draw: st.DrawFn) -> dict[str, str | None]:
    """A forest over all names: each account is below one that comes before it in some order, or below nobody."""
    order = draw(st.permutations(NAMES))
    return {name: draw(st.sampled_from([None, *order[:at]])) for at, name in enumerate(order)}


@given(trees(), trees(), st.sets(st.sampled_from(NAMES)))
def test_any_tree_becomes_any_other_and_nobody_is_ever_above_himself(
    before: dict[str, str | None], after: dict[str, str | None], extra: set[str]
) -> None:
    parents = {name: parent for name, parent in before.items() if parent}
    groups = set(parents.values()) | extra
    for change in group_changes(after, dict(parents), frozenset(groups)):
        assert (change.parent_id in groups) != (change.action is CREATE)
        groups.add(change.parent_id)
        for member in change.member_ids:
            assert (member in parents) == (change.action in (MOVE, LEAVE))
            parents.pop(member, None)
            if change.action is not LEAVE:
                parents[member] = change.parent_id
            above, at = [member], parents.get(member)
            while at:
                assert at not in above
                above, at = [*above, at], parents.get(at)
    assert {name: parents.get(name) for name in NAMES} == after
