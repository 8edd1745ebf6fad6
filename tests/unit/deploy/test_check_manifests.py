"""The manifests pass their check, and each kind of slip in them does not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from tools import check_manifests

REPOSITORY = Path(__file__).resolve().parents[3]
needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="rendering needs kubectl")

CARE = "billing-care/deployment.yaml"
SECRET_VALUE = "valueFrom: {secretKeyRef: {name: s, key: k}}"
ORDERS = "base/order-orchestration/kustomization.yaml"

FILE_SLIPS = {
    "a wrong type": ("xref/deployment.yaml", "replicas: 1", "replicas: one", "spec.replicas: 'one' is not of type"),
    "a misspelt field": ("customer-sync/deployment.yaml", "replicas: 1", "replica: 1", "'replica' was unexpected"),
    "a misspelt list": ("xref/service.yaml", "clusterIP: None", "clusterIPs: None", "Service xref: spec.clusterIPs"),
    "a kind of no release": ("bill-fulfillment/deployment.yaml", "apps/v1", "apps/v7", "knows no such kind in apps/v7"),
    "what is no YAML": ("order-orchestration/deployment.yaml", "apps/v1", "[", "deployment.yaml: no YAML"),
    "what is no resource": ("order-orchestration/service.yaml", "kind:", "sort:", "not a Kubernetes resource"),
    "no gRPC probe": (CARE, "grpc:\n              port: 50051\n            period", "period", "must be a grpc probe"),
    "root": (CARE, "runAsNonRoot: true", "runAsNonRoot: false", "needs runAsNonRoot"),
    "a writable root": (CARE, "readOnlyRootFilesystem: true", "", "readOnlyRootFilesystem must be true"),
    "capabilities": (CARE, "drop: [ALL]", "drop: [NET_RAW]", "must drop ALL capabilities"),
    "no memory limit": (CARE, "memory: 384Mi", "cpu: 1", "no resources.limits.memory"),
    "service links": (CARE, "enableServiceLinks: false", "", "enableServiceLinks must be false"),
    "a cluster token": (CARE, "automountServiceAccountToken: false", "", "automountServiceAccountToken must be false"),
    "a Secret in the base": (
        CARE,
        "value: /etc/o2c/billing-systems.toml",
        "valueFrom: {secretKeyRef: {name: s, key: k}}",
        "refers to a Secret",
    ),
    "an unused file": ("xref/kustomization.yaml", "disruption.yaml", "gone.yaml", "disruption.yaml: no kustomization uses it"),
    "a missing file": ("customer-sync/kustomization.yaml", "service.yaml", "gone.yaml", "gone.yaml does not exist"),
    "a service left out": ("kustomization.yaml", "  - billing-care\n", "", "does not list billing-care"),
}
"""File below base, what it says, what it says instead, and what the check says to that. Slips do not hide each other."""

OVERLAY_SLIPS = {
    "an unknown setting": (
        "base/xref/kustomization.yaml",
        "_PLAINTEXT",
        "_PLAIN_TEXT",
        "settings: O2C_XREF_PLAIN_TEXT",
    ),
    "a bad value": ("base/customer-sync/kustomization.yaml", "PORT=9090", "PORT=http", "metrics_port Input should be a valid"),
    "a setting of nobody": (
        ORDERS,
        "O2C_ORDER_ORCHESTRATION_PLAINTEXT",
        "O2C_CRM_PLAINTEXT",
        "O2C_CRM_PLAINTEXT is no",
    ),
    "an unknown service": ("base/" + CARE, "[services.billing_care]", "[services.care]", "No module named 'services.care'"),
    "a moving tag": ("overlays/prod/kustomization.yaml", "newTag: 0.1.0", "newTag: latest", "o2c:latest has no tag of its own"),
    "a bad billing system": ("overlays/prod/billing-systems.toml", '"BRM_01"', '"brm"', "billing systems: 0.code"),
    "a password": ("overlays/dev/kustomization.yaml", "sqlite:////data/", "postgresql://o2c:pw@host/", "holds a password"),
}
"""The same for files that only make sense together."""


def spoiled(folder: Path, base: str, slips: dict[str, tuple[str, str, str, str]]) -> Path:
    """A copy of the manifests with all these slips in it."""
    root = Path(shutil.copytree(REPOSITORY / "deploy/k8s", folder / "k8s"))
    for file, old, new, _ in slips.values():
        path = root / base / file
        text = path.read_text()
        assert old in text, f"{file} does not say {old}"
        path.write_text(text.replace(old, new, 1))
    return root


def problems_in(root: Path, capsys: pytest.CaptureFixture[str]) -> str:
    status = check_manifests.main([str(root)])
    problems = capsys.readouterr().err
    assert status == (1 if problems else 0)
    return problems


@pytest.fixture(scope="module")
def file_problems(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    root = spoiled(tmp_path_factory.mktemp("files"), "base", FILE_SLIPS)
    return [*check_manifests.file_problems(root), *check_manifests.folder_problems(root, check_manifests.service_names())]


@pytest.fixture(scope="module")
def overlay_problems(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    root = spoiled(tmp_path_factory.mktemp("overlays"), "", OVERLAY_SLIPS)
    overlays = (root / "overlays/dev", root / "overlays/prod")
    return [problem for overlay in overlays for problem in check_manifests.overlay_problems(overlay, "kubectl")]


def test_the_manifests_are_sound(capsys: pytest.CaptureFixture[str]) -> None:
    assert problems_in(check_manifests.ROOT, capsys) == ""


@pytest.mark.parametrize("slip", FILE_SLIPS)
def test_a_broken_manifest_is_refused(file_problems: list[str], slip: str) -> None:
    assert any(FILE_SLIPS[slip][3] in problem for problem in file_problems), "\n".join(file_problems)


@needs_kubectl
@pytest.mark.parametrize("slip", OVERLAY_SLIPS)
def test_an_overlay_no_service_could_run_with_is_refused(overlay_problems: list[str], slip: str) -> None:
    assert any(OVERLAY_SLIPS[slip][3] in problem for problem in overlay_problems), "\n".join(overlay_problems)


@needs_kubectl
def test_an_overlay_that_does_not_render_is_refused(tmp_path: Path) -> None:
    root = spoiled(tmp_path, "", {"": ("overlays/prod/secrets.yaml", "  name: xref\n", "  name: xrefs\n", "")})
    (problem,) = check_manifests.overlay_problems(root / "overlays/prod", "kubectl")
    assert "overlays/prod: cannot be rendered" in problem


def test_every_service_of_the_suite_needs_a_folder(tmp_path: Path) -> None:
    root = spoiled(tmp_path, "", {})
    shutil.rmtree(root / "base/billing-care")
    names = check_manifests.service_names()
    assert len(names) == 5
    assert "base/billing-care: no Deployment" in list(check_manifests.folder_problems(root, names))


def test_a_secret_does_not_belong_in_the_repository() -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "xref-database"}, "stringData": {"url": "x"}}
    (problem,) = check_manifests.document_problems("overlays/prod", secret)
    assert "Secrets come from the platform" in problem


def test_compose_is_checked_down_to_the_settings() -> None:
    compose = yaml.safe_load(check_manifests.COMPOSE.read_text())
    assert list(check_manifests.compose_problems(compose)) == []
    compose["services"]["xref"]["comand"] = []
    compose["services"]["billing-care"]["environment"]["O2C_BILLING_CARE_XREF"] = "xref:50051"
    del compose["services"]["customer-sync"]
    found = "\n".join(check_manifests.compose_problems(compose))
    for problem in ("xref: unknown key comand", "unknown settings: O2C_BILLING_CARE_XREF", "compose.yaml: no customer-sync"):
        assert problem in found
    assert list(check_manifests.compose_problems({})) == ["compose.yaml: no services"]


def test_without_kubectl_the_files_are_checked_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    root = spoiled(tmp_path, "base", {"": ("xref/deployment.yaml", "runAsNonRoot: true", "runAsNonRoot: false", "")})
    assert check_manifests.main([str(root)]) == 1
    shown = capsys.readouterr()
    assert "needs runAsNonRoot" in shown.err
    assert "overlays not rendered" in shown.out
