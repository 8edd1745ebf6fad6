"""Pages of list RPCs: sizes, and tokens that belong to their selection."""

from __future__ import annotations

import pytest

from libs.errors import O2CError, Reason
from libs.grpckit.pages import FROM_THE_START, from_token, page_size, to_token


def test_a_token_leads_to_its_position_in_the_same_selection() -> None:
    token = to_token([17, "id"], {"states": ["QUEUED"]})
    assert from_token(token, [FROM_THE_START, ""], {"states": ["QUEUED"]}) == [17, "id"]
    assert from_token("", [FROM_THE_START, ""], {"states": []}) == [FROM_THE_START, ""]


@pytest.mark.parametrize("token", [to_token([17], ["QUEUED"]), to_token([17, "x"], []), to_token(["x"], []), "rubbish", "%%%"])
def test_other_tokens_are_refused(token: str) -> None:
    with pytest.raises(O2CError) as refused:
        from_token(token, [FROM_THE_START], [])
    assert refused.value.violations[0].reason is Reason.PAGE_TOKEN_INVALID


def test_pages_have_a_usual_and_a_largest_size() -> None:
    assert (page_size(0), page_size(7), page_size(9999)) == (50, 7, 500)
    assert (page_size(0, 100, 100), page_size(101, 100, 100)) == (100, 100)


def test_a_negative_page_size_is_refused_by_name() -> None:
    with pytest.raises(O2CError) as refused:
        page_size(-1)
    (wrong,) = refused.value.violations
    assert (wrong.reason, wrong.field) == (Reason.RANGE_INVALID, "page_size")
