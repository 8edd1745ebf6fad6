"""Edits of the CRM as people type them."""

from __future__ import annotations

import pytest

from cli.commands.crm import patch_of
from libs.errors import O2CError


def test_assignments_become_one_merge_patch() -> None:
    changes = ["primary_contact.last_name=Reed", "primary_contact.salutation=", "status=Active", "name=a=b", "is_primary=true"]
    assert patch_of([*changes, 'primary_contact.phones=[{"type": "HOME", "number": "1"}]', "odd={no json"]) == {
        "primary_contact": {"last_name": "Reed", "salutation": None, "phones": [{"type": "HOME", "number": "1"}]},
        "status": "Active",
        "name": "a=b",
        "is_primary": True,
        "odd": "{no json",
    }


@pytest.mark.parametrize("wrong", ["status", "=x", "a..b=1"])
def test_what_is_no_assignment_is_refused(wrong: str) -> None:
    with pytest.raises(O2CError, match="FIELD=VALUE"):
        patch_of([wrong])
