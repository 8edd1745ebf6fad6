"""A test can only claim scenarios that the specification has."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("claimed", [("customer-sync:NO-SUCH",), ()])
def test_a_marker_that_names_no_scenario_fails_the_collection(request: pytest.FixtureRequest, claimed: tuple[str, ...]) -> None:
    register = next(plugin for plugin in request.config.pluginmanager.get_plugins() if hasattr(plugin, "SPEC_IDS"))
    register.pytest_collection_modifyitems([request.node])
    request.node.add_marker(pytest.mark.spec(*claimed))
    with pytest.raises(pytest.UsageError, match=r"NO-SUCH|no id given"):
        register.pytest_collection_modifyitems([request.node])
