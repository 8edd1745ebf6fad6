"""The image cannot be built in a test, so its steps are taken one by one in a folder and a clean virtual environment."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SOURCE, TARGET = "/src", "/opt/o2c"
IMPORT_ALL = """
import importlib, pathlib, sys
site = pathlib.Path(importlib.import_module("libs").__file__).parent.parent
for package in ("libs", "services", "sandbox", "cli"):
    for path in sorted((site / package).rglob("*.py")):
        # The plugin is for test runs of other projects; the image has no test runner.
        if path.name not in ("__main__.py", "pytest_plugin.py"):
            name = ".".join(path.relative_to(site).with_suffix("").parts)
            importlib.import_module(name.removesuffix(".__init__"))
from libs.grpckit.channel import service_config
assert service_config(), "no service config"
print(site)
"""


def stages() -> list[list[str]]:
    """Instructions of the Dockerfile per stage, one per line."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    found: list[list[str]] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith("FROM "):
            found.append([])
        found[-1].append(line)
    return found


def is_ignored(path: str) -> bool:
    """Whether .dockerignore keeps ``path`` out of the build: the last rule that fits it, or one of its folders, decides."""
    ignored = False
    parts = path.split("/")
    names = ["/".join(parts[: end + 1]) for end in range(len(parts))]
    for rule in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = rule.removeprefix("!").removeprefix("**/")
        candidates = parts if "**/" in rule else names
        if rule and not rule.startswith("#") and any(fnmatch(name, pattern) for name in candidates):
            ignored = not rule.startswith("!")
    return ignored


def copy(origin: str, target: Path) -> None:
    """COPY one path of the repository, as the build would see it."""
    assert not is_ignored(origin), f".dockerignore keeps {origin} out"
    if (ROOT / origin).is_dir():
        shutil.copytree(ROOT / origin, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / origin, target)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What the build stage leaves in its target folder; removed afterwards, for it is large."""
    work = tmp_path_factory.mktemp("image")
    source, target = work / "src", work / "o2c"
    for line in stages()[0]:
        instruction, _, rest = line.partition(" ")
        words = shlex.split(rest)
        if instruction == "COPY":
            *origins, to = words
            for origin in origins:
                copy(origin, source / to)
        elif instruction == "RUN":
            command = [word.replace(SOURCE, str(source)).replace(TARGET, str(target)) for word in words]
            environment = {**os.environ, "PYTHON": sys.executable}
            subprocess.run(command, cwd=source, env=environment, check=True, capture_output=True, text=True, timeout=280)
    yield target
    shutil.rmtree(work)


def run(image: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], **more}
    command = [str(image / "bin/python"), *arguments]
    return subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_every_module_of_the_suite_imports_from_the_image_alone(image: Path) -> None:
    done = run(image, "-c", IMPORT_ALL)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().startswith(str(image))


def test_the_image_has_neither_pip_nor_tools_for_development(image: Path) -> None:
    for module in ("pip", "pytest", "mypy", "grpc_tools"):
        assert run(image, "-c", f"import {module}").returncode != 0, module


@pytest.mark.parametrize("service", ["xref", "customer_sync", "bill_fulfillment", "billing_care", "order_orchestration"])
def test_the_command_picks_the_service(image: Path, service: str) -> None:
    done = run(image, "-m", f"services.{service}", **{f"O2C_{service.upper()}_NO_SUCH_SETTING": "1"})
    assert done.returncode == 2
    assert f"O2C_{service.upper()}_NO_SUCH_SETTING" in done.stderr


def test_dependencies_are_a_layer_that_code_does_not_change() -> None:
    build = stages()[0]
    first_run = next(index for index, line in enumerate(build) if line.startswith("RUN "))
    assert [word for line in build[:first_run] if line.startswith("COPY") for word in line.split()[1:-1]] == [
        "requirements.lock",
        "deploy/install.sh",
    ]


def test_the_container_runs_as_a_numeric_user_who_is_not_root() -> None:
    users = [line.split()[1] for line in stages()[-1] if line.startswith("USER ")]
    assert users
    assert all(user.split(":")[0].isdigit() and int(user.split(":")[0]) > 0 for user in users)


def test_a_dependency_that_is_not_what_was_pinned_is_refused(tmp_path: Path) -> None:
    pinned = next(line for line in (ROOT / "requirements.lock").read_text().splitlines() if line.startswith("tenacity=="))
    (tmp_path / "requirements.lock").write_text(f"{pinned}\n    --hash=sha256:{'0' * 64}\n")
    done = subprocess.run(
        ["sh", str(ROOT / "deploy/install.sh"), "dependencies", str(tmp_path), str(tmp_path / "o2c")],
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in done.stderr
