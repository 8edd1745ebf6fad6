"""The contract as a whole: what is committed fits together, and our rules hold for every RPC."""

from __future__ import annotations

import importlib
import re

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from libs.errors import CODES, Reason
from libs.pb.common.v1 import errors_pb2
from tools.check_protos import PROTOS, ROOT, buf_findings, methods, read_image, rule_findings, service_config_findings

IMAGE = read_image()


def stubs() -> set[str]:
    """Every RPC for which there is generated code."""
    found = set()
    for path in sorted((ROOT / "libs/pb").rglob("*_pb2.py")):
        module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        for service in module.DESCRIPTOR.services_by_name.values():
            found |= {f"{service.full_name}/{method.name}" for method in service.methods}
    return found


def declared() -> set[str]:
    """Every RPC that a proto file declares."""
    found = set()
    for path in sorted(PROTOS.glob("o2c/**/*.proto")):
        text = path.read_text()
        package = re.search(r"^package ([\w.]+);", text, re.M)
        service = ""
        for line in text.splitlines():
            if heading := re.match(r"service (\w+)", line):
                service = heading[1]
            elif rpc := re.match(r"\s+rpc (\w+)\(", line):
                assert package is not None
                found.add(f"{package[1]}.{service}/{rpc[1]}")
    return found


def test_files_image_and_stubs_have_the_same_rpcs() -> None:
    in_image = {f"{service}/{method.name}" for service, method in methods(IMAGE)}
    assert declared() == in_image == stubs()
    assert len(in_image) > 10


def test_mutating_requests_can_be_repeated_and_tried_out_and_lists_are_paged() -> None:
    assert rule_findings(IMAGE) == []


def test_the_service_config_names_only_rpcs_that_exist() -> None:
    assert service_config_findings(IMAGE, (PROTOS / "service_config.json").read_text()) == []


def test_buf_finds_nothing_to_say_and_nothing_broken_since_the_baseline() -> None:
    assert buf_findings() == []


def test_the_wire_enum_has_every_reason_and_every_reason_a_grpc_code() -> None:
    wire = {name.removeprefix("ERROR_REASON_") for name in errors_pb2.ErrorReason.keys()}  # noqa: SIM118
    assert wire - {"UNSPECIFIED"} == set(Reason) == set(CODES)


def broken(change: str) -> FileDescriptorSet:
    image = FileDescriptorSet.FromString(IMAGE.SerializeToString())
    xref = next(file for file in image.file if file.name == "o2c/xref/v1/xref.proto")
    messages = {message.name: message for message in xref.message_type}
    message, _, name = change.partition(".")
    field = next(field for field in messages[message].field if field.name == name)
    messages[message].field.remove(field)
    return image


@pytest.mark.parametrize(
    "change",
    [
        "PopulateRequest.request_id",
        "GetOrCreateRequest.validate_only",
        "ListTablesRequest.page_token",
        "ListTablesResponse.next_page_token",
    ],
)
def test_the_rules_find_a_field_that_is_left_out(change: str) -> None:
    assert [finding.rpartition(" ")[2] for finding in rule_findings(broken(change))] == [change.partition(".")[2]]
