"""Check the Kubernetes manifests and compose.yaml without a cluster or Docker: ``python -m tools.check_manifests [ROOT]``.

Every file is checked against the schemas of Kubernetes (strict) and against the rules of this house. Where kubectl exists the
overlays are rendered as well, and what they render to is checked the same way, down to the settings each service would read.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import yaml
from kubernetes_validate import utils as schemas
from pydantic import ValidationError

from libs.config import UnknownSettings, load_billing_systems

REPOSITORY = Path(__file__).resolve().parent.parent
ROOT = REPOSITORY / "deploy/k8s"
KUBERNETES = "1.32"
"""Oldest release the manifests must fit."""
KUSTOMIZATION = "kustomization.yaml"
FOLDER_KINDS = ("Deployment", "PodDisruptionBudget", "Service", "ServiceAccount")
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
SYSTEMS = "O2C_BILLING_SYSTEMS"
SYSTEMS_FILE = "O2C_BILLING_SYSTEMS_FILE"
SECRETS = {"DATABASE_URL": "postgresql://user:password@host/database", "_KEYS": f'["{"A" * 43}="]'}
"""Stand for the values of Secrets when settings are tried, by the end of the setting's name; others are any text."""
COMPOSE = REPOSITORY / "compose.yaml"
COMPOSE_KEYS = frozenset(
    ("build", "cap_drop", "command", "environment", "image", "ports", "read_only", "restart", "security_opt", "tmpfs")
)
"""The part of the Compose specification that we use for a service."""

Document = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print every problem; 0 when there is none."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", nargs="?", type=Path, default=ROOT, help="folder with base and overlays")
    root = parser.parse_args(arguments).root.resolve()
    problems = [*file_problems(root), *folder_problems(root, service_names())]
    kubectl = shutil.which("kubectl")
    overlays = sorted(path.parent for path in (root / "overlays").glob(f"*/{KUSTOMIZATION}"))
    for overlay in overlays if kubectl else ():
        problems += overlay_problems(overlay, str(kubectl))
    problems += compose_problems(yaml.safe_load(COMPOSE.read_text()))
    for problem in problems:
        print(problem, file=sys.stderr)
    rendered = f"{len(overlays)} overlays rendered" if kubectl else "overlays not rendered, for there is no kubectl here"
    print(f"manifests: {len(problems)} problems; {rendered}")
    return 1 if problems else 0


def service_names() -> list[str]:
    """Folder names the services of the suite must have: ``customer-sync`` for services/customer_sync."""
    return sorted(path.name.replace("_", "-") for path in (REPOSITORY / "services").iterdir() if (path / "domain").is_dir())


def file_problems(root: Path) -> Iterator[str]:
    """Each file by itself, and that a kustomization uses it."""
    used = {file for path in root.rglob(KUSTOMIZATION) for file in used_files(path)}
    patches = {file for path in root.rglob(KUSTOMIZATION) for file in patch_files(path)}
    for path in sorted(root.rglob("*.yaml")):
        where = str(path.relative_to(root))
        try:
            documents = [document for document in yaml.safe_load_all(path.read_text()) if document is not None]
        except yaml.YAMLError as error:
            yield f"{where}: no YAML: {' '.join(str(error).split())}"
            continue
        if path.name == KUSTOMIZATION:
            yield from (f"{where}: {file.name} does not exist" for file in used_files(path) if not file.exists())
            continue
        if path not in used:
            yield f"{where}: no kustomization uses it"
        if path not in patches:
            for document in documents:
                yield from document_problems(where, document)
        if path.parent.name != "prod":
            yield from (f"{where}: refers to a Secret; only overlays/prod may" for _ in secret_references(documents))


def folder_problems(root: Path, services: Sequence[str]) -> Iterator[str]:
    """Every service has its folder, the base uses it, and it is complete."""
    base = root / "base"
    resources = (_yaml(base / KUSTOMIZATION) or {}).get("resources", []) if (base / KUSTOMIZATION).exists() else []
    for name in services:
        kinds = [document.get("kind") for path in (base / name).glob("*.yaml") for document in _documents(path)]
        yield from (f"base/{name}: no {kind}" for kind in FOLDER_KINDS if kind not in kinds)
        if name not in resources:
            yield f"base/{KUSTOMIZATION}: does not list {name}"


def overlay_problems(overlay: Path, kubectl: str) -> Iterator[str]:
    """What one overlay renders to."""
    where = f"overlays/{overlay.name}"
    done = subprocess.run([kubectl, "kustomize", str(overlay)], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        yield f"{where}: cannot be rendered: {' '.join(done.stderr.split())}"
        return
    documents = [document for document in yaml.safe_load_all(done.stdout) if document]
    for document in documents:
        yield from document_problems(where, document)
    if overlay.name != "prod":
        yield from (f"{where}: refers to the Secret {name}; only overlays/prod may" for name in secret_references(documents))
    yield from rendered_problems(where, documents)


def document_problems(where: str, document: Any) -> Iterator[str]:
    """One resource: its schema, and the rules for pods and Services."""
    if not isinstance(document, dict) or not isinstance(document.get("kind"), str) or "apiVersion" not in document:
        yield f"{where}: not a Kubernetes resource"
        return
    here = f"{where}: {document['kind']} {document.get('metadata', {}).get('name', '?')}"
    try:
        schemas.validate(document, KUBERNETES, strict=True)
    except schemas.ValidationError as error:
        yield f"{here}: {'.'.join(map(str, error.path))}: {error.message}"
        return
    except schemas.SchemaNotFoundError:
        yield f"{here}: Kubernetes {KUBERNETES} knows no such kind in {document['apiVersion']}"
        return
    if document["kind"] == "Secret":
        yield f"{here}: Secrets come from the platform, never from the repository"
    if document["kind"] == "Deployment":
        yield from pod_problems(here, document["spec"]["template"]["spec"])


def pod_problems(here: str, pod: Document) -> Iterator[str]:
    """Not root, nothing writable, no rights, bounded, probed."""
    security = pod.get("securityContext", {})
    if not (security.get("runAsNonRoot") and security.get("runAsUser")):
        yield f"{here}: securityContext needs runAsNonRoot and a numeric runAsUser"
    if security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield f"{here}: securityContext needs seccompProfile RuntimeDefault"
    if pod.get("automountServiceAccountToken") is not False:
        yield f"{here}: automountServiceAccountToken must be false"
    if pod.get("enableServiceLinks") is not False:
        yield f"{here}: enableServiceLinks must be false, or Kubernetes' own variables are taken for misspelt settings"
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        yield from container_problems(f"{here}: container {container['name']}", container)


def container_problems(here: str, container: Document) -> Iterator[str]:
    """One container."""
    own = container.get("securityContext", {})
    if own.get("allowPrivilegeEscalation") is not False or own.get("capabilities", {}).get("drop") != ["ALL"]:
        yield f"{here}: must drop ALL capabilities and forbid privilege escalation"
    if own.get("readOnlyRootFilesystem") is not True:
        yield f"{here}: readOnlyRootFilesystem must be true"
    resources = container.get("resources", {})
    for part, amount in (("requests", "cpu"), ("requests", "memory"), ("limits", "memory")):
        if amount not in resources.get(part, {}):
            yield f"{here}: no resources.{part}.{amount}"
    kind = "grpc" if service_module(container) else "httpGet"
    yield from (f"{here}: {probe} must be a {kind} probe" for probe in PROBES if kind not in container.get(probe, {}))


def rendered_problems(where: str, documents: Sequence[Document]) -> Iterator[str]:
    """What only shows in the whole: that every service could start with the settings it is given."""
    config_maps = {
        document["metadata"]["name"]: document.get("data", {}) for document in documents if document["kind"] == "ConfigMap"
    }
    for name, data in config_maps.items():
        if any(re.search(r"://[^/@]*:[^/@]*@", value) for value in data.values()):
            yield f"{where}: ConfigMap {name}: holds a password"
    for document in documents:
        if document["kind"] != "Deployment":
            continue
        here = f"{where}: Deployment {document['metadata']['name']}"
        pod = document["spec"]["template"]["spec"]
        for container in pod["containers"]:
            if not re.search(r":(?!latest$)[^:/]+$", container["image"]):
                yield f"{here}: image {container['image']} has no tag of its own"
            if service_module(container):
                yield from setting_problems(here, pod, container, config_maps)


def setting_problems(here: str, pod: Document, container: Document, config_maps: Mapping[str, Document]) -> Iterator[str]:
    """Read the settings as the service would at its start."""
    environment: dict[str, str] = {}
    for source in container.get("envFrom", []):
        environment |= config_maps.get(source.get("configMapRef", {}).get("name"), {})
    environment |= {entry["name"]: entry.get("value", _secret(entry["name"])) for entry in container.get("env", [])}
    try:
        systems = _billing_systems(environment, pod, container, config_maps)
    except (KeyError, ValueError) as error:
        yield f"{here}: {SYSTEMS_FILE}: {error}"
        return
    del environment[SYSTEMS_FILE]
    yield from start_problems(here, service_module(container), environment | {SYSTEMS: systems})


def start_problems(here: str, module: str, environment: Mapping[str, str]) -> Iterator[str]:
    """Why a service would not start with these settings."""
    prefix = f"O2C_{module.removeprefix('services.').upper()}_"
    foreign = [name for name in environment if not name.startswith(prefix) and name != SYSTEMS]
    if foreign:
        yield f"{here}: {', '.join(foreign)} is no setting of {module}"
    try:
        with _environment(environment):
            importlib.import_module(f"{module}.config").Settings()
    except (ModuleNotFoundError, UnknownSettings, ValidationError) as error:
        yield f"{here}: {' '.join(str(error).split())}"
    try:
        load_billing_systems(environment)
    except ValueError as error:
        yield f"{here}: {error}"


def compose_problems(compose: Any) -> Iterator[str]:
    """That compose.yaml says what Compose understands, and that its services could start."""
    services = compose.get("services") if isinstance(compose, dict) else None
    if not services:
        yield "compose.yaml: no services"
        return
    for name, service in services.items():
        here = f"compose.yaml: {name}"
        yield from (f"{here}: unknown key {key}" for key in service if key not in COMPOSE_KEYS)
        module = next(iter(service.get("command", [])), "")
        if module.startswith("services."):
            yield from start_problems(here, module, service.get("environment", {}))
    modules = {next(iter(service.get("command", [])), "").replace("_", "-") for service in services.values()}
    yield from (f"compose.yaml: no {name}" for name in service_names() if f"services.{name}" not in modules)


def _secret(name: str) -> str:
    return next((value for ending, value in SECRETS.items() if name.endswith(ending)), "a secret")


def _billing_systems(
    environment: Mapping[str, str], pod: Document, container: Document, config_maps: Mapping[str, Document]
) -> str:
    """The mounted list of billing systems, as the value of an environment variable."""
    folder, _, file = environment[SYSTEMS_FILE].rpartition("/")
    volume = next((mount["name"] for mount in container.get("volumeMounts", []) if mount["mountPath"] == folder), None)
    source = next((each["configMap"]["name"] for each in pod.get("volumes", []) if each["name"] == volume), None)
    if source is None or file not in config_maps.get(source, {}):
        raise ValueError(f"nothing is mounted at {environment[SYSTEMS_FILE]}")
    systems = tomllib.loads(config_maps[source][file]).get("billing_systems", [])
    return orjson.dumps(systems).decode()


def service_module(container: Document) -> str:
    """Module of a service's container, ``services.xref``; empty for others."""
    return next((argument for argument in container.get("args", [])[:1] if argument.startswith("services.")), "")


def secret_references(part: Any) -> Iterator[str]:
    """Names of the Secrets that a document, or part of one, refers to."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key in ("secretKeyRef", "secretRef") or (key == "secret" and isinstance(value, dict)):
                yield str(value.get("name") or value.get("secretName"))
            yield from secret_references(value)
    elif isinstance(part, list):
        for each in part:
            yield from secret_references(each)


def used_files(kustomization: Path) -> list[Path]:
    """Everything a kustomization names; a folder stands for the kustomization in it."""
    body = _yaml(kustomization) or {}
    named = [*body.get("resources", []), *body.get("components", [])]
    files = [(kustomization.parent / name).resolve() for name in named]
    found = [file / KUSTOMIZATION if file.is_dir() else file for file in files]
    for generator in body.get("configMapGenerator", []):
        found += [kustomization.parent / name.rpartition("=")[2] for name in generator.get("files", [])]
    return found + patch_files(kustomization)


def patch_files(kustomization: Path) -> list[Path]:
    """The patches among them; they are parts of resources."""
    body = _yaml(kustomization) or {}
    return [kustomization.parent / patch["path"] for patch in body.get("patches", []) if "path" in patch]


def _yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text())
    except yaml.YAMLError:
        return None


def _documents(path: Path) -> list[Document]:
    try:
        return [document for document in yaml.safe_load_all(path.read_text()) if isinstance(document, dict)]
    except yaml.YAMLError:
        return []


@contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    """The process environment with these settings, and no others of the suite."""
    before = dict(os.environ)
    for name in before:
        if name.startswith("O2C_"):
            del os.environ[name]
    os.environ.update(settings)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


if __name__ == "__main__":
    sys.exit(main())
