"""Who gets in: certificates, bearer tokens, roles."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from libs.config import ServiceSettings, SettingsError, local_settings
from libs.errors import Reason
from libs.grpckit.auth import Access
from libs.grpckit.channel import open_channel
from libs.grpckit.context import current_call
from libs.grpckit.server import running_server
from libs.grpckit.status import from_rpc_error
from libs.pb.xref.v1 import xref_pb2 as pb
from libs.pb.xref.v1.xref_pb2_grpc import XrefServiceServicer, XrefServiceStub, add_XrefServiceServicer_to_server

XREF = "o2c.xref.v1.XrefService"


class Whoami(XrefServiceServicer):
    async def Lookup(self, request: pb.LookupRequest, context: Any) -> pb.LookupResponse:
        return pb.LookupResponse(value=current_call().caller)

    async def ListTables(self, request: pb.ListTablesRequest, context: Any) -> pb.ListTablesResponse:
        return pb.ListTablesResponse()


@asynccontextmanager
async def stub(server: ServiceSettings, client: ServiceSettings) -> AsyncIterator[Any]:
    servicers = [(add_XrefServiceServicer_to_server, Whoami())]
    async with (
        running_server(server, servicers=servicers, service_names=[XREF]) as address,
        open_channel(address.replace("127.0.0.1", "localhost"), client) as channel,
    ):
        yield XrefServiceStub(channel)


async def reason(call: Any) -> Reason:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value).violations[0].reason


@pytest.fixture
def access_file(tmp_path: Path) -> Path:
    file = tmp_path / "access.toml"
    digests = [hashlib.sha256(token.encode()).hexdigest() for token in ("open sesame", "other")]
    file.write_text(
        f"""
        [clients.crm]
        token_sha256 = "{digests[0]}"
        roles = ["reader"]

        [clients.nobody]
        token_sha256 = "{digests[1]}"

        [clients.orchestrator]
        certificate = "orchestrator.o2c"
        roles = ["all"]

        [roles]
        reader = ["/{XREF}/Lookup"]
        all = ["/{XREF}/*"]
        """
    )
    return file


async def test_a_token_opens_only_what_its_roles_allow(access_file: Path) -> None:
    server = local_settings(access_file=access_file)
    async with stub(server, local_settings(token="open sesame")) as xref:
        assert (await xref.Lookup(pb.LookupRequest())).value == "crm"
        assert await reason(xref.ListTables(pb.ListTablesRequest())) is Reason.ROLE_MISSING
    async with stub(server, local_settings(token="other")) as xref:
        assert await reason(xref.Lookup(pb.LookupRequest())) is Reason.ROLE_MISSING


@pytest.mark.parametrize("client", [local_settings(), local_settings(token="wrong")])
async def test_without_a_good_token_nothing_opens(access_file: Path, client: ServiceSettings) -> None:
    async with stub(local_settings(access_file=access_file), client) as xref:
        assert await reason(xref.Lookup(pb.LookupRequest())) is Reason.UNAUTHENTICATED


async def test_an_access_file_without_clients_lets_nobody_in(tmp_path: Path) -> None:
    (tmp_path / "empty.toml").write_text("")
    async with stub(local_settings(access_file=tmp_path / "empty.toml"), local_settings()) as xref:
        assert await reason(xref.Lookup(pb.LookupRequest())) is Reason.UNAUTHENTICATED


@pytest.mark.parametrize(
    "text",
    ['[clients.x]\ntoken_sha256 = "00"\nroles = ["typo"]', "[clients.x]\nroles = []", '[clients.x]\ntoken = "clear text"'],
)
def test_a_slip_in_the_access_file_stops_the_start(tmp_path: Path, text: str) -> None:
    (tmp_path / "access.toml").write_text(text)
    with pytest.raises(SettingsError, match="client x"):
        Access.load(tmp_path / "access.toml")


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, a server certificate for localhost, and certificates of two clients."""
    folder = tmp_path_factory.mktemp("certificates")
    new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(folder, *new, "-x509", "-days", "2", "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem")
    for name, host in [("server", "localhost"), ("orchestrator", "orchestrator.o2c"), ("stranger", "stranger.o2c")]:
        openssl(folder, *new, "-subj", f"/CN={host}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        (folder / "extension").write_text(f"subjectAltName=DNS:{host}")
        signing = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "extension")
        openssl(folder, "x509", "-req", "-in", f"{name}.csr", *signing, "-out", f"{name}.pem")
    return folder


def tls(folder: Path, name: str, **more: Any) -> ServiceSettings:
    return local_settings(
        tls_certificate=folder / f"{name}.pem", tls_key=folder / f"{name}.key", tls_ca=folder / "ca.pem", **more
    )


async def test_a_client_certificate_names_the_caller(certificates: Path, access_file: Path) -> None:
    server = tls(certificates, "server", access_file=access_file)
    async with stub(server, tls(certificates, "orchestrator")) as xref:
        assert (await xref.Lookup(pb.LookupRequest())).value == "orchestrator"
    async with stub(server, tls(certificates, "stranger")) as xref:
        assert await reason(xref.Lookup(pb.LookupRequest())) is Reason.UNAUTHENTICATED


async def test_only_named_certificates_get_in_when_names_are_given(certificates: Path) -> None:
    server = tls(certificates, "server", tls_clients=("orchestrator.o2c",))
    async with stub(server, tls(certificates, "orchestrator")) as xref:
        assert (await xref.Lookup(pb.LookupRequest())).value == "orchestrator.o2c"
    async with stub(server, tls(certificates, "stranger")) as xref:
        assert await reason(xref.Lookup(pb.LookupRequest())) is Reason.UNAUTHENTICATED


async def test_a_client_without_a_certificate_does_not_connect(certificates: Path) -> None:
    async with stub(tls(certificates, "server"), local_settings(tls_ca=certificates / "ca.pem")) as xref:
        assert await reason(xref.Lookup(pb.LookupRequest(), timeout=5)) is Reason.SERVICE_UNAVAILABLE
