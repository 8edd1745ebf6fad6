"""The opcode tables themselves."""

from __future__ import annotations

import pytest

from libs.brm import specs
from libs.brm.specs import FieldType, Kind, Timeout, UnknownOpcode, opcode


def test_operation_names_are_the_opcode_in_camel_case() -> None:
    assert opcode("PCM_OP_CUST_COMMIT_CUSTOMER").operation == "pcmOpCustCommitCustomer"


@pytest.mark.parametrize(
    ("name", "service", "kind", "timeout"),
    [
        ("PCM_OP_CUST_COMMIT_CUSTOMER", "BRMCUSTServices_v2", Kind.WRITE, Timeout.LONG),
        ("PCM_OP_SUBSCRIPTION_SET_PRODINFO", "BRMSUBSCRIPTIONServices_v2", Kind.STATE_SETTING, Timeout.WRITE),
        ("PCM_OP_BILL_GROUP_GET_PARENT", "BRMBillServices_v2", Kind.READ, Timeout.READ),
        ("PCM_OP_AR_GET_BILLS", "BRMARServices_v2", Kind.READ, Timeout.READ),
        ("PCM_OP_SEARCH", "BRMReadServices_v2", Kind.READ, Timeout.READ),
        ("PCM_OP_ACT_FIND", "BRMACTServices_v2", Kind.READ, Timeout.READ),
    ],
)
def test_opcodes_know_their_service_kind_and_patience(name: str, service: str, kind: Kind, timeout: Timeout) -> None:
    spec = opcode(name)
    assert (spec.service, spec.kind, spec.timeout) == (service, kind, timeout)


def test_every_field_of_every_opcode_has_the_type_of_the_dictionary() -> None:
    def check(group: specs.Group) -> int:
        seen = 0
        for spec in group.fields:
            known = specs.field_spec(spec.name)
            assert known is not None
            assert (known.type, known.length) == (spec.type, spec.length)
            assert (spec.group is not None) == (spec.type in (FieldType.ARRAY, FieldType.SUBSTRUCT))
            seen += 1 + (check(spec.group) if spec.group else 0)
        return seen

    assert sum(check(spec.input) + check(spec.output) for spec in specs.OPCODES.values()) > 1000


def test_a_poid_comes_first_and_is_required_in_every_input() -> None:
    for spec in specs.OPCODES.values():
        assert (spec.input.fields[0].name, spec.input.fields[0].required) == ("POID", True), spec.name


def test_an_unknown_opcode_is_named() -> None:
    with pytest.raises(UnknownOpcode, match="no field table for PCM_OP_NOPE"):
        opcode("PCM_OP_NOPE")
    assert "PCM_OP_NOPE" not in specs.OPCODES


@pytest.mark.parametrize(
    ("group", "message"),
    [(["NOPE"], "no such field"), (["ACCTINFO"], "members and type"), (["$nope"], "no shape"), (["POID", "POID"], "twice")],
)
def test_a_table_that_cannot_be_read_says_where(group: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        specs._Reader({}).group(group, "PCM_OP_X")
