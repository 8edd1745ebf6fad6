"""A private certificate authority and a server's certificate, for tests of TLS."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Certificates:
    """Files in ``folder``: :attr:`authority` (PEM), and the key and certificate of ``localhost``."""

    def __init__(self, folder: Path) -> None:
        self.authority, self._certificate, self._key = folder / "ca.pem", folder / "server.pem", folder / "server.key"
        ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")])
        ca = _builder(ca_name, ca_name, ca_key).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        server = _builder(name, ca_name, key).add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        pem = serialization.Encoding.PEM
        self.authority.write_bytes(ca.sign(ca_key, hashes.SHA256()).public_bytes(pem))
        self._certificate.write_bytes(server.sign(ca_key, hashes.SHA256()).public_bytes(pem))
        secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        self._key.write_bytes(secret)

    def server_context(self) -> ssl.SSLContext:
        """What a server at ``localhost`` needs."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certificate, self._key)
        return context


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )
