"""Check the contract: Buf's lint, no breaking change since the committed baseline, and our own rules.

``python -m tools.check_protos`` fails with one line per finding. The baseline ``protos/baseline.binpb`` is the descriptor
image of the last release; copy ``protos/image.binpb`` over it when a release is made.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorSet, MethodDescriptorProto

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
IMAGE = PROTOS / "image.binpb"
BASELINE = PROTOS / "baseline.binpb"
READING = re.compile(r"^(Batch|Stream)?(Get(?!OrCreate)|List|Lookup|Watch|Describe|Translate|Resolve|Export|Reconcile)")
"""RPCs that change nothing, by their verb."""


def read_image(path: Path = IMAGE) -> FileDescriptorSet:
    """The descriptor image: every file of the contract and what it imports."""
    return FileDescriptorSet.FromString(path.read_bytes())


def methods(image: FileDescriptorSet) -> Iterator[tuple[str, MethodDescriptorProto]]:
    """Every RPC of ours, with the full name of its service."""
    for file in image.file:
        if file.package.startswith("o2c."):
            for service in file.service:
                for method in service.method:
                    yield f"{file.package}.{service.name}", method


def rule_findings(image: FileDescriptorSet) -> list[str]:
    """What breaks our rules: mutating requests carry ``request_id`` and ``validate_only``, lists are paged."""
    messages = {f".{file.package}.{message.name}": message for file in image.file for message in file.message_type}
    findings = []
    for service, method in methods(image):
        name = f"{service}/{method.name}"
        request, answer = messages[method.input_type], messages[method.output_type]
        if not READING.match(method.name):
            findings += _missing(
                name, request, {"request_id": FieldDescriptorProto.TYPE_STRING, "validate_only": FieldDescriptorProto.TYPE_BOOL}
            )
        if method.name.startswith("List"):
            findings += _missing(
                name, request, {"page_size": FieldDescriptorProto.TYPE_INT32, "page_token": FieldDescriptorProto.TYPE_STRING}
            )
            findings += _missing(name, answer, {"next_page_token": FieldDescriptorProto.TYPE_STRING})
    return findings


def service_config_findings(image: FileDescriptorSet, config: str) -> list[str]:
    """Methods that the service config names and the contract does not have."""
    known = {(service, method.name) for service, method in methods(image)}
    named = [entry for rules in json.loads(config)["methodConfig"] for entry in rules["name"]]
    return [
        f"service_config.json: there is no {entry['service']}/{entry['method']}"
        for entry in named
        if entry["service"].startswith("o2c.") and (entry["service"], entry["method"]) not in known
    ]


def buf_findings() -> list[str]:
    """Findings of ``buf lint`` and ``buf breaking``; both work on images and need no network."""
    buf = shutil.which("buf") or str(Path(sys.executable).with_name("buf"))
    config = ["--config", str(PROTOS / "buf.yaml")]
    findings = []
    for command in (["lint", str(IMAGE), *config], ["breaking", str(IMAGE), "--against", str(BASELINE), *config]):
        done = subprocess.run([buf, *command], capture_output=True, text=True, check=False)
        if done.returncode:
            findings += [f"buf {command[0]}: {line}" for line in (done.stdout + done.stderr).splitlines()]
    return findings


def _missing(name: str, message: DescriptorProto, wanted: dict[str, FieldDescriptorProto.Type.ValueType]) -> list[str]:
    has = {field.name: field.type for field in message.field}
    return [f"{name}: {message.name} lacks {field}" for field, kind in wanted.items() if has.get(field) != kind]


def main() -> int:
    image = read_image()
    findings = (
        rule_findings(image) + service_config_findings(image, (PROTOS / "service_config.json").read_text()) + buf_findings()
    )
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
