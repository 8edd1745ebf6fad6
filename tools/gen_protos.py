"""Generate everything that follows from the contract: reason enums, stubs under ``libs/pb``, the descriptor image.

``python -m tools.gen_protos`` writes; ``--check`` fails when anything committed is stale.
"""

from __future__ import annotations

import argparse
import csv
import filecmp
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import google.rpc
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
REASONS = ROOT / "libs/errors/reasons.tsv"
IMAGE = Path("protos/image.binpb")
PLUGINS = ("protoc-gen-mypy", "protoc-gen-mypy_grpc")
GENERATED = (Path("libs/pb"), Path("libs/errors/reasons.py"), Path("protos/o2c/common/v1/errors.proto"), IMAGE)

PROTO_HEAD = """// The error catalogue: every reason an ErrorInfo of domain "o2c" may carry.
// Generated from libs/errors/reasons.tsv.
syntax = "proto3";

package o2c.common.v1;

// Why something was refused, failed or is worth a notice. Wire form in ErrorInfo.reason is the name without prefix.
enum ErrorReason {
  // Never sent.
  ERROR_REASON_UNSPECIFIED = 0;
"""

PYTHON_HEAD = '''"""The error catalogue as Python. Generated from ``reasons.tsv``; do not edit."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Every reason of the catalogue. The value is the wire form in ``ErrorInfo.reason``."""

'''


def reasons() -> list[dict[str, str]]:
    with REASONS.open(newline="") as table:
        return list(csv.DictReader(table, delimiter="\t"))


def write_reasons(root: Path) -> None:
    proto, python = [PROTO_HEAD], [PYTHON_HEAD]
    codes = []
    for row in reasons():
        number, name, code = row["number"], row["reason"], row["grpc_code"]
        proto.append(f"  // {code}; {row['family']}. Metadata: {row['metadata_keys']}.\n")
        proto.append(f"  ERROR_REASON_{name} = {number};\n")
        python.append(f'    {name} = "{name}"\n')
        codes.append(f'    Reason.{name}: "{code}",\n')
    proto.append("}\n")
    python.append("\n\nCODES: dict[Reason, str] = {\n" + "".join(codes) + '}\n"""gRPC code name of each reason."""\n')
    (root / "protos/o2c/common/v1/errors.proto").write_text("".join(proto))
    (root / "libs/errors/reasons.py").write_text("".join(python))


def write_stubs(root: Path) -> None:
    out = root / "libs/pb"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    includes = [
        str(root / "protos"),
        str(Path(google.rpc.__path__[0]).parent.parent),
        str(Path(protoc.__file__).parent / "_proto"),
    ]
    files = sorted(str(path.relative_to(root / "protos")) for path in (root / "protos/o2c").rglob("*.proto"))
    arguments = [
        "protoc",
        *(f"-I{include}" for include in includes),
        f"--python_out={out}",
        f"--grpc_python_out={out}",
        # The plugins beside this interpreter, wherever PATH points.
        *(f"--plugin={plugin}={Path(sys.executable).parent / plugin}" for plugin in PLUGINS),
        f"--mypy_out=quiet:{out}",
        f"--mypy_grpc_out=quiet:{out}",
        f"--descriptor_set_out={root / IMAGE}",
        "--include_imports",
        "--include_source_info",
        *files,
    ]
    if protoc.main(arguments):
        raise SystemExit("protoc failed")
    shutil.move(str(out / "o2c"), str(out / "moved"))
    for child in (out / "moved").iterdir():
        shutil.move(str(child), str(out / child.name))
    (out / "moved").rmdir()
    for path in out.rglob("*.py*"):
        text = path.read_text()
        text = re.sub(r"^from o2c\.", "from libs.pb.", text, flags=re.M)
        text = re.sub(r"^import o2c\.", "import libs.pb.", text, flags=re.M)
        text = re.sub(r"(?<![\w.'\"/])o2c\.(?=\w+\.v1\.\w+_pb2)", "libs.pb.", text)
        path.write_text(text)
    for folder in [out, *(path for path in out.rglob("*") if path.is_dir())]:
        (folder / "__init__.py").write_text("")


def generate(root: Path) -> None:
    write_reasons(root)
    write_stubs(root)


def stale() -> list[str]:
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch)
        shutil.copytree(ROOT / "protos", fresh / "protos")
        (fresh / "libs/errors").mkdir(parents=True)
        generate(fresh)
        return [str(item) for item in GENERATED if differs(ROOT / item, fresh / item)]


def differs(ours: Path, theirs: Path) -> bool:
    if theirs.is_file():
        return not ours.is_file() or not filecmp.cmp(ours, theirs, shallow=False)
    names = {path.relative_to(theirs) for path in theirs.rglob("*.py*")}
    kept = {path.relative_to(ours) for path in ours.rglob("*.py*") if "__pycache__" not in path.parts}
    return names != kept or any(differs(ours / name, theirs / name) for name in names)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail when something is stale")
    if parser.parse_args(arguments).check:
        old = stale()
        if old:
            print("stale, run `make proto`: " + ", ".join(old))
        return 1 if old else 0
    generate(ROOT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
