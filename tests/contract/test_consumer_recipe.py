"""The page for consumers: its Python recipe makes a client in a folder that knows nothing of this project."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_documented_python_recipe_makes_an_importable_client(tmp_path: Path) -> None:
    page = (ROOT / "docs/consumers.md").read_text()
    (recipe,) = re.findall(r"^(python -m grpc_tools\.protoc .*?)\n```", page, flags=re.M | re.S)
    (tmp_path / "protos").symlink_to(ROOT / "protos")
    (tmp_path / "gen").mkdir()
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    recipe = recipe.replace("$(find protos/o2c", "$(find -L protos/o2c")
    subprocess.run(["bash", "-c", recipe], cwd=tmp_path, env=environment, check=True, timeout=60)
    code = "from o2c.billing_care.v1 import billing_care_pb2_grpc as care; print(care.BillingCareServiceStub.__name__)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "gen", capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "BillingCareServiceStub"
