"""The TLS contexts that the tls-* directives describe, made again whenever one of them changes.

With Valkey's `tls-auto-reload-interval` they are also made again when a file has changed. A new context is put in place
only when all of it could be made, and holds for clients that connect from then on. Log lines are Redis's, since CONFIG
SET only points to the log.
"""

from __future__ import annotations

import os
import ssl
import warnings
from typing import Final

from broker.config import Config
from broker.process.log import Log
from broker.tls import openssl

PROTOCOLS: Final = {
    "tlsv1": (ssl.TLSVersion.TLSv1, ssl.OP_NO_TLSv1),
    "tlsv1.1": (ssl.TLSVersion.TLSv1_1, ssl.OP_NO_TLSv1_1),
    "tlsv1.2": (ssl.TLSVersion.TLSv1_2, ssl.OP_NO_TLSv1_2),
    "tlsv1.3": (ssl.TLSVersion.TLSv1_3, ssl.OP_NO_TLSv1_3),
}
DEFAULT_PROTOCOLS: Final = ("tlsv1.2", "tlsv1.3")

DIRECTIVES: Final = (
    "tls-cert-file",
    "tls-key-file",
    "tls-key-file-pass",
    "tls-client-cert-file",
    "tls-client-key-file",
    "tls-client-key-file-pass",
    "tls-ca-cert-file",
    "tls-ca-cert-dir",
    "tls-dh-params-file",
    "tls-auth-clients",
    "tls-protocols",
    "tls-ciphers",
    "tls-ciphersuites",
    "tls-prefer-server-ciphers",
    "tls-session-caching",
    "tls-session-cache-size",
    "tls-session-cache-timeout",
    "tls-replication",
    "tls-cluster",
)
"""What the contexts depend on."""

FILES: Final = (
    "tls_cert_file",
    "tls_key_file",
    "tls_client_cert_file",
    "tls_client_key_file",
    "tls_ca_cert_file",
    "tls_ca_cert_dir",
    "tls_dh_params_file",
)
"""The attributes that name the files from which the contexts are made."""

VERIFY: Final = {"yes": ssl.CERT_REQUIRED, "optional": ssl.CERT_OPTIONAL, "no": ssl.CERT_NONE}

NOT_CONFIGURED: Final = "Unable to update TLS configuration. Check server logs."


class TlsContexts:
    """A broker's contexts: `server` for its clients, `client` for where it connects to itself; None until configured.

    `client` has the client certificate if one is configured, and otherwise the server's. As in Redis, the other side's
    certificate is verified, but not for the address: operators name whom they expect in `tls-expected-peer-name`.
    """

    def __init__(self, config: Config, log: Log) -> None:
        self._config = config
        self._log = log
        self.server: ssl.SSLContext | None = None
        self.client: ssl.SSLContext | None = None
        self._files: list[tuple[int, ...] | None] = []
        self._seconds = 0
        for name in DIRECTIVES:
            config.on_change(name, self._changed)
        config.on_change("tls-expected-peer-name", self._peer_names_changed)

    def configure(self) -> bool:
        """Make new contexts; False, with the reason in the log and the old ones in place, if that fails."""
        self._files = self._identify_files()
        try:
            server, client = self._server(), self._client()
        except (ValueError, OSError) as problem:
            self._log.warning("%s", problem)
            return False
        self.server, self.client = server, client
        return True

    def needed(self) -> bool:
        """Whether anything would use the contexts."""
        config = self._config
        return bool(config.tls_port or config.tls_replication or config.tls_cluster)

    def cron(self) -> None:
        """Called once a second: every `tls-auto-reload-interval` seconds, load files that have changed.

        Files that can't be loaded are tried again when one of them has changed again: a certificate may be replaced
        some time before its key.
        """
        self._seconds += 1
        interval = self._config.tls_auto_reload_interval
        if not interval or self._seconds < interval:
            return
        self._seconds = 0
        if self.needed() and self._files != self._identify_files() and self.configure():
            self._log.notice("TLS: changed files have been loaded")

    def _identify_files(self) -> list[tuple[int, ...] | None]:
        return [_identity(getattr(self._config, attribute)) for attribute in FILES]

    def _changed(self, _: object) -> None:
        if self.needed() and not self.configure():
            raise ValueError(NOT_CONFIGURED)

    def _peer_names_changed(self, names: str) -> None:
        if self.client is not None:
            self._expect(self.client, names)

    def _expect(self, context: ssl.SSLContext, names: str) -> None:
        """Accept only servers whose certificate has one of these names, or any without names. Raises ValueError."""
        expected = names.split()
        openssl.set_expected_names(context, expected)
        if domains := sum(name.startswith(".") for name in expected):
            self._log.warning(
                "tls-expected-peer-name begins with a dot: every name below such a domain is accepted", names=domains
            )

    # Making them

    def _server(self) -> ssl.SSLContext:
        config = self._config
        if not config.tls_cert_file:
            raise ValueError("No tls-cert-file configured!")
        if not config.tls_key_file:
            raise ValueError("No tls-key-file configured!")
        verifies = config.tls_auth_clients != "no" or config.tls_cluster or config.tls_replication
        if verifies and not (config.tls_ca_cert_file or config.tls_ca_cert_dir):
            raise ValueError(
                "Either tls-ca-cert-file or tls-ca-cert-dir must be specified when tls-cluster, tls-replication or"
                " tls-auth-clients are enabled!"
            )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._set_common(context)
        _load_certificate(context, config.tls_cert_file, config.tls_key_file, config.tls_key_file_pass)
        context.verify_mode = VERIFY[config.tls_auth_clients]
        context.options |= ssl.OP_NO_RENEGOTIATION
        if config.tls_prefer_server_ciphers:
            context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
        else:
            context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
        if config.tls_dh_params_file:
            try:
                context.load_dh_params(config.tls_dh_params_file)
            except OSError as problem:
                raise ValueError(f"Failed to load DH params file: {config.tls_dh_params_file}: {problem}") from None
        self._set_sessions(context)
        return context

    def _set_sessions(self, context: ssl.SSLContext) -> None:
        config = self._config
        try:
            if config.tls_session_caching:
                openssl.set_session_cache(context, config.tls_session_cache_size, config.tls_session_cache_timeout)
            else:
                context.options |= ssl.OP_NO_TICKET
                context.num_tickets = 0
                openssl.disable_session_cache(context)
        except openssl.Unavailable as problem:
            self._log.verbose("the TLS session cache is as OpenSSL has it: %s", problem)

    def _client(self) -> ssl.SSLContext:
        config = self._config
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        self._set_common(context)
        if config.tls_client_cert_file and config.tls_client_key_file:
            _load_certificate(
                context, config.tls_client_cert_file, config.tls_client_key_file, config.tls_client_key_file_pass
            )
        else:
            _load_certificate(context, config.tls_cert_file, config.tls_key_file, config.tls_key_file_pass)
        if config.tls_expected_peer_name:
            self._expect(context, config.tls_expected_peer_name)
        return context

    def _set_common(self, context: ssl.SSLContext) -> None:
        config = self._config
        _set_protocols(context, config.tls_protocols)
        if config.tls_ca_cert_file or config.tls_ca_cert_dir:
            try:
                context.load_verify_locations(config.tls_ca_cert_file or None, config.tls_ca_cert_dir or None)
            except OSError as problem:
                raise ValueError(f"Failed to configure CA certificate(s) file/directory: {problem}") from None
        try:
            # OpenSSL's own choice, rather than Python's, where none is configured.
            context.set_ciphers(config.tls_ciphers or "DEFAULT")
        except ssl.SSLError:
            raise ValueError(f"Failed to configure ciphers: {config.tls_ciphers}") from None
        if config.tls_ciphersuites:
            openssl.set_ciphersuites(context, config.tls_ciphersuites)


def _identity(path: str) -> tuple[int, ...] | None:
    """Return what differs once a file has been written or replaced; None if there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _set_protocols(context: ssl.SSLContext, value: str) -> None:
    names = value.lower().split(" ") if value else DEFAULT_PROTOCOLS
    if not PROTOCOLS.keys() >= set(names):
        raise ValueError(
            "Invalid tls-protocols specified. Use a combination of 'TLSv1', 'TLSv1.1', 'TLSv1.2' and 'TLSv1.3'."
        )
    with warnings.catch_warnings():
        # The old versions, and leaving out one in the middle, are deprecated; but here someone asks for them.
        warnings.simplefilter("ignore", DeprecationWarning)
        versions = [version for name, (version, _) in PROTOCOLS.items() if name in names]
        context.minimum_version, context.maximum_version = versions[0], versions[-1]
        for name, (_, without) in PROTOCOLS.items():
            if name not in names:
                context.options |= without


def _load_certificate(context: ssl.SSLContext, certificate: str, key: str, password: bytes) -> None:
    """Load a certificate with its chain, and its key. Raises ValueError with the file that is to blame."""
    for path, kind in ((certificate, "certificate"), (key, "private key")):
        try:
            with open(path, "rb"):
                pass
        except OSError as problem:
            raise ValueError(f"Failed to load {kind}: {path}: {problem.strerror}") from None
    try:
        # Without a function OpenSSL would ask for the password of an encrypted key on the terminal.
        context.load_cert_chain(certificate, key, lambda: password)
    except (OSError, ValueError) as problem:
        raise ValueError(f"Failed to load certificate: {certificate} with private key: {key}: {problem}") from None
