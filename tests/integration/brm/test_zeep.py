"""zeep, made from the sandbox's own WSDL, and the connector ask the same and are answered the same."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import brm_samples
import pytest

from libs.brm import calls
from libs.brm.call import BrmCall
from libs.brm.client import SoapGateway
from libs.brm.conformance import Finding, check
from libs.brm.dialect import Dialect
from libs.brm.errors import BrmError
from libs.brm.flist import Flist
from libs.brm.poid import Poid
from libs.brm.reconcile import FINDERS, Scene, complete_output, find_effect, is_complete, is_gone
from libs.brm.specs import OPCODES
from libs.brm.transport import Instance
from sandbox.testing import RunningSandbox, running_sandbox
from tests.support.brm_flow_samples import FLOW
from tests.support.zeep_gateway import ZeepGateway

PRODUCT = Poid.parse("0.0.0.1 /product 20011 0")
PATHS = {"element": "/metro/jaxws", "string": "/metro/jaxws_str"}


def instance(sandbox: RunningSandbox, payload: Any) -> Instance:
    dialect = Dialect(payload_mode=payload, path_template=f"{PATHS[payload]}/{{service}}")
    return Instance.of("BRM_01", sandbox.url("BRM_01"), "0.0.0.1", dialect=dialect, settle_delays=(0.0,))


def zeep_of(sandbox: RunningSandbox, payload: str) -> ZeepGateway:
    return ZeepGateway(sandbox.url("BRM_01") + PATHS[payload], as_text=payload == "string")


@asynccontextmanager
async def frozen() -> AsyncIterator[RunningSandbox]:
    async with running_sandbox(("BRM_01",)) as sandbox:
        await sandbox.admin("BRM_01").set_clock("2027-01-01T12:00:00Z")
        await sandbox.admin("BRM_01").change_settings(base_writes=True)
        yield sandbox


def outcomes(findings: list[Finding]) -> list[tuple[str, str, str]]:
    return [(finding.opcode, finding.rule, finding.outcome) for finding in findings]


@pytest.mark.parametrize("payload", PATHS)
async def test_zeep_passes_what_the_connector_passes_of_the_conformance_check(payload: str) -> None:
    async with frozen() as first, frozen() as second:
        ours = await check(instance(first, payload), write=True, product=PRODUCT)
        theirs = await check(instance(second, payload), write=True, product=PRODUCT, client=zeep_of(second, payload))
    assert ours.ok and theirs.ok, [finding for finding in theirs.findings if finding.outcome == "FAIL"]
    assert outcomes(theirs.findings) == outcomes(ours.findings)


@pytest.mark.parametrize("payload", PATHS)
async def test_zeep_and_the_connector_are_answered_alike_on_every_opcode_that_is_served(payload: str) -> None:
    """Both make the same calls in the same order, each to a sandbox of its own: state and answers stay the same all along."""
    async with frozen() as first, frozen() as second, SoapGateway([instance(first, payload)]) as connector:
        other = zeep_of(second, payload)
        served = await other.probe("BRM_01")
        assert served == await connector.probe("BRM_01")
        story = await customer(connector)
        assert await customer(other) == story
        asked, accepted = set(), set()
        for name, call in (FLOW | brm_samples.every()).items():
            if call.opcode not in served:
                continue
            ours, theirs = await outcome(connector, call), await outcome(other, call)
            assert theirs == ours, f"{name}: {theirs} instead of {ours}"
            asked.add(call.opcode)
            accepted |= {call.opcode} if isinstance(ours, dict) else set()
    assert asked == served
    assert len(accepted) > len(asked) // 3, "and not only in what is refused"


async def customer(client: Any) -> list[Flist]:
    """A customer with a service, as both clients are told that it was made."""
    made = await client.call("BRM_01", brm_samples.commit())
    account, unit = made["POID"], made["BILLINFO"][0]["POID"]
    service = await client.call("BRM_01", brm_samples.wireless(account, unit))
    read = await client.call("BRM_01", calls.read_obj(account))
    return [shown(each) for each in (made, service, read)]


async def outcome(client: Any, call: BrmCall) -> Any:
    """What the caller gets; with zeep, which only calls, after what the connector does besides (3.3, 4.14)."""
    scene = Scene("BRM_01", "0.0.0.1", lambda read: client.call("BRM_01", read))
    try:
        output = await client.call("BRM_01", call)
        if isinstance(client, ZeepGateway) and not OPCODES[call.opcode].is_read:
            output = await complete_output(scene, call, output)
        return shown(output)
    except BrmError as error:
        if isinstance(client, ZeepGateway) and error.not_found and is_gone(call):
            return shown({"POID": call.input["POID"]})
        known = isinstance(client, ZeepGateway) and error.duplicate and call.opcode in FINDERS
        found = await find_effect(scene, call) if known else None
        return shown(found) if found is not None and is_complete(call, found) else (error.name, error.field)


def shown(value: Any) -> Any:
    """Without what has no value: absent, empty and nil are one to zeep."""
    if isinstance(value, Mapping):
        fields = {name: shown(part) for name, part in value.items()}
        return {name: part for name, part in fields.items() if part not in (None, "", {})}
    return value
