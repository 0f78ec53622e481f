"""How a client checks the server that it talks TLS with, and what it presents itself.

A `rediss://` URL checks the server's certificate and its name; coredis alone would leave out the name. The URL's query
may say otherwise, with the parameters that coredis and redis-py know: ssl_ca_certs, ssl_certfile, ssl_keyfile,
ssl_cert_reqs=none and ssl_check_hostname=false.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping

__all__ = ["context_from_query", "tls_context"]

NO = ("0", "false", "no", "f", "n")


def tls_context(
    authority: str | None = None,
    certificate: str | None = None,
    key: str | None = None,
    *,
    verified: bool = True,
    named: bool = True,
) -> ssl.SSLContext:
    """Return a context for clients.

    `authority` is the file, or folder, of the certificates trusted, the system's by default; `certificate` with `key`
    is presented to the server. Without `verified` any server is trusted, without `named` one with a certificate for
    another name. Raises ValueError with the file that can't be used.
    """
    try:
        if authority is None:
            context = ssl.create_default_context()
        else:
            folder = os.path.isdir(authority)
            context = ssl.create_default_context(
                cafile=None if folder else authority, capath=authority if folder else None
            )
    except OSError as error:
        raise ValueError(f"{authority}: no certificates can be read: {error.strerror or error}") from None
    if certificate is not None:
        try:
            context.load_cert_chain(certificate, key)
        except OSError as error:
            files = certificate if key is None else f"{certificate} with {key}"
            raise ValueError(f"{files}: no certificate and key: {error.strerror or error}") from None
    elif key is not None:
        raise ValueError(f"{key}: a key without a certificate")
    context.check_hostname = verified and named
    context.verify_mode = ssl.CERT_REQUIRED if verified else ssl.CERT_NONE
    return context


def context_from_query(query: Mapping[str, str]) -> ssl.SSLContext:
    """Return the context that a URL's parameters describe. Raises ValueError."""
    return tls_context(
        query.get("ssl_ca_certs"),
        query.get("ssl_certfile"),
        query.get("ssl_keyfile"),
        verified=query.get("ssl_cert_reqs") != "none",
        named=query.get("ssl_check_hostname", "true").lower() not in NO,
    )
