"""Certificates for tests of TLS: an authority's, a server's for 127.0.0.1, and those of clients."""

from __future__ import annotations

import ssl
from functools import cache
from pathlib import Path

import trustme


@cache
def _authority() -> trustme.CA:
    return trustme.CA()


class Certificates:
    """Files in a folder, which the directives and a client's context name."""

    def __init__(self, folder: Path, client: str = "alice") -> None:
        """`client` is the common name of the client's certificate."""
        authority = _authority()
        self.folder = folder
        self.ca = folder / "ca.pem"
        authority.cert_pem.write_to_path(self.ca)
        self.certificate, self.key = self.issue("server", "127.0.0.1", "localhost")
        self.client_certificate, self.client_key = self.issue("client", f"{client}@example.org", common_name=client)

    def issue(self, file: str, *names: str, common_name: str | None = None) -> tuple[Path, Path]:
        """Write another certificate of the authority, and its key; returns their paths."""
        issued = _authority().issue_cert(*names, common_name=common_name)
        certificate, key = self.folder / f"{file}.pem", self.folder / f"{file}.key"
        certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(key)
        return certificate, key

    def directives(self, **more: str) -> dict[str, str]:
        """What a broker needs for TLS; `more` are further directives, with underscores for dashes."""
        return {
            "tls-cert-file": str(self.certificate),
            "tls-key-file": str(self.key),
            "tls-ca-cert-file": str(self.ca),
            **{name.replace("_", "-"): value for name, value in more.items()},
        }

    def client_context(self, *, certificate: bool = True) -> ssl.SSLContext:
        """A client that trusts the authority and, with `certificate`, presents its own certificate."""
        context = ssl.create_default_context(cafile=str(self.ca))
        if certificate:
            context.load_cert_chain(self.client_certificate, self.client_key)
        return context
