"""The contexts that the tls-* directives make, and which of them are refused, with the reason in the log."""

import base64
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from broker.config import Config
from broker.process.log import Log
from broker.tls import openssl
from broker.tls.contexts import DIRECTIVES, TlsContexts
from protocol.errors import CommandError
from tests.certificates import Certificates


class Contexts(TlsContexts):
    """Contexts of a configuration of their own, with a log in the same folder."""

    def __init__(self, certificates: Certificates, **directives: str) -> None:
        self.config = Config()
        self.path = certificates.folder / "log"
        super().__init__(self.config, Log("verbose", str(self.path)))
        self.set(**{name.replace("-", "_"): value for name, value in certificates.directives().items()})
        self.set(**directives)
        self.config.tls_port = 1

    def set(self, **directives: str) -> None:
        self.config.set([(name.replace("_", "-").encode(), value.encode()) for name, value in directives.items()])

    def log_text(self) -> str:
        return self.path.read_text()


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


def test_expected_names_are_set_and_cleared(certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[ssl.SSLContext, list[str]]] = []
    monkeypatch.setattr(openssl, "set_expected_names", lambda context, names: calls.append((context, list(names))))
    contexts = Contexts(certificates, tls_expected_peer_name="a.example.org")
    assert calls == []
    assert contexts.configure() and contexts.client is not None
    contexts.set(tls_expected_peer_name="a.example.org  .example.net")
    contexts.set(tls_expected_peer_name="")
    client = contexts.client
    assert calls == [(client, ["a.example.org"]), (client, ["a.example.org", ".example.net"]), (client, [])]
    assert "begins with a dot: every name below such a domain is accepted" in contexts.log_text()


def configured(certificates: Certificates, **directives: str) -> ssl.SSLContext:
    contexts = Contexts(certificates, **directives)
    assert contexts.configure(), contexts.log_text()
    assert contexts.server is not None
    return contexts.server


@pytest.mark.parametrize(
    ("value", "mode"), [("yes", ssl.CERT_REQUIRED), ("optional", ssl.CERT_OPTIONAL), ("no", ssl.CERT_NONE)]
)
def test_certificates_of_clients(certificates: Certificates, value: str, mode: ssl.VerifyMode) -> None:
    assert configured(certificates, tls_auth_clients=value).verify_mode == mode


@pytest.mark.parametrize(
    ("value", "lowest", "highest"),
    [
        ("", ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3),
        ("TLSv1.3", ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3),
        ("tlsv1.2 TLSv1.1", ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2),
        ("TLSv1 TLSv1.3", ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_3),
    ],
)
def test_protocols(certificates: Certificates, value: str, lowest: ssl.TLSVersion, highest: ssl.TLSVersion) -> None:
    context = configured(certificates, tls_protocols=value)
    assert (context.minimum_version, context.maximum_version) == (lowest, highest)
    assert bool(context.options & ssl.OP_NO_TLSv1_2) == (value in ("TLSv1.3", "TLSv1 TLSv1.3"))


def test_ciphers(certificates: Certificates) -> None:
    context = configured(
        certificates, tls_ciphers="ECDHE-ECDSA-AES256-GCM-SHA384", tls_ciphersuites="TLS_AES_256_GCM_SHA384"
    )
    names = [cipher["name"] for cipher in context.get_ciphers()]
    assert names == ["TLS_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384"]


@pytest.mark.parametrize("value", ["yes", "no"])
def test_who_chooses_the_cipher(certificates: Certificates, value: str) -> None:
    context = configured(certificates, tls_prefer_server_ciphers=value)
    assert bool(context.options & ssl.OP_CIPHER_SERVER_PREFERENCE) == (value == "yes")


def test_clients_can_not_renegotiate(certificates: Certificates) -> None:
    assert configured(certificates).options & ssl.OP_NO_RENEGOTIATION


def test_without_session_caching_no_tickets_are_given_out(certificates: Certificates) -> None:
    assert configured(certificates).num_tickets == 2
    context = configured(certificates, tls_session_caching="no")
    assert context.num_tickets == 0 and context.options & ssl.OP_NO_TICKET


def test_an_encrypted_key(certificates: Certificates) -> None:
    key = serialization.load_pem_private_key(certificates.key.read_bytes(), None)
    certificates.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    assert configured(certificates, tls_key_file_pass="secret")
    for wrong in ("", "wrong"):
        contexts = Contexts(certificates, tls_key_file_pass=wrong)
        assert not contexts.configure()
        assert "Failed to load certificate" in contexts.log_text()
        assert "secret" not in contexts.log_text()


def test_parameters_for_diffie_hellman(certificates: Certificates) -> None:
    path = certificates.folder / "dh.pem"
    der = bytes.fromhex("308201080282010100" + RFC7919_2048 + "020102")
    text = base64.encodebytes(der).decode()
    path.write_text(f"-----BEGIN DH PARAMETERS-----\n{text}-----END DH PARAMETERS-----\n")
    assert configured(certificates, tls_dh_params_file=str(path))


RFC7919_2048 = (
    "ffffffffffffffffadf85458a2bb4a9aafdc5620273d3cf1d8b9c583ce2d3695a9e13641146433fbcc939dce249b3ef9"
    "7d2fe363630c75d8f681b202aec4617ad3df1ed5d5fd65612433f51f5f066ed0856365553ded1af3b557135e7f57c935"
    "984f0c70e0e68b77e2a689daf3efe8721df158a136ade73530acca4f483a797abc0ab182b324fb61d108a94bb2c8e3fb"
    "b96adab760d7f4681d4f42a3de394df4ae56ede76372bb190b07a7c8ee0a6d709e02fce1cdf7e2ecc03404cd28342f61"
    "9172fe9ce98583ff8e4f1232eef28183c3fe3b1b4c6fad733bb5fcbc2ec22005c58ef1837d1683b2c6f34a26c1b2effa"
    "886b423861285c97ffffffffffffffff"
)
"""A prime that is known to be good."""


def test_a_client_certificate_of_its_own(certificates: Certificates) -> None:
    contexts = Contexts(
        certificates,
        tls_client_cert_file=str(certificates.client_certificate),
        tls_client_key_file=str(certificates.key),
    )
    assert not contexts.configure()
    assert f"Failed to load certificate: {certificates.client_certificate}" in contexts.log_text()
    contexts.set(tls_client_key_file=str(certificates.client_key))
    assert contexts.client is not None and contexts.client.verify_mode == ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    ("directives", "reason"),
    [
        ({"tls_cert_file": ""}, "No tls-cert-file configured!"),
        ({"tls_key_file": ""}, "No tls-key-file configured!"),
        ({"tls_ca_cert_file": ""}, "Either tls-ca-cert-file or tls-ca-cert-dir must be specified when tls-cluster,"),
        ({"tls_ca_cert_file": "", "tls_auth_clients": "no", "tls_replication": "yes"}, "Either tls-ca-cert-file or"),
        ({"tls_cert_file": "/nowhere"}, "Failed to load certificate: /nowhere: No such file or directory"),
        ({"tls_key_file": "/nowhere"}, "Failed to load private key: /nowhere: No such file or directory"),
        ({"tls_ca_cert_file": "/nowhere"}, "Failed to configure CA certificate(s) file/directory: "),
        ({"tls_dh_params_file": "/nowhere"}, "Failed to load DH params file: /nowhere: "),
        ({"tls_protocols": "SSLv3"}, "Invalid tls-protocols specified. Use a combination of 'TLSv1', 'TLSv1.1',"),
        ({"tls_protocols": "TLSv1.2  TLSv1.3"}, "Invalid tls-protocols specified."),
        ({"tls_ciphers": "nonsense"}, "Failed to configure ciphers: nonsense"),
        ({"tls_ciphersuites": "nonsense"}, "Failed to configure ciphersuites: nonsense"),
    ],
)
def test_what_can_not_be_is_refused_and_the_old_contexts_stay(
    certificates: Certificates, directives: dict[str, str], reason: str
) -> None:
    contexts = Contexts(certificates)
    assert contexts.configure()
    server, client, values = contexts.server, contexts.client, vars(contexts.config).copy()
    with pytest.raises(CommandError, match=r"Unable to update TLS configuration. Check server logs\.") as raised:
        contexts.set(**directives)
    assert next(iter(directives)).replace("_", "-").encode() in raised.value.text
    assert reason in contexts.log_text()
    assert (contexts.server, contexts.client, vars(contexts.config)) == (server, client, values)


def test_a_file_that_has_changed_is_read_again(certificates: Certificates) -> None:
    contexts = Contexts(certificates)
    assert contexts.configure()
    server = contexts.server
    contexts.set(tls_ciphers="")  # unchanged: nothing to do
    assert contexts.server is server
    contexts.set(tls_cert_file=str(certificates.certificate))
    assert contexts.server is not server


def test_nothing_is_read_while_nothing_uses_it(certificates: Certificates) -> None:
    contexts = Contexts(certificates)
    contexts.config.tls_port = 0
    contexts.set(tls_cert_file="/nowhere")
    assert contexts.server is None and not contexts.log_text()


def test_every_directive_has_an_effect_at_once(certificates: Certificates) -> None:
    contexts = Contexts(certificates)
    assert set(DIRECTIVES) <= contexts.config._listeners.keys()


def test_files_are_loaded_again_only_when_one_has_changed(certificates: Certificates) -> None:
    contexts = Contexts(certificates, tls_auto_reload_interval="1")
    contexts.configure()
    first = contexts.server
    contexts.cron()
    assert contexts.server is first
    certificates.certificate.write_text("nonsense")
    contexts.cron()
    contexts.cron()
    assert contexts.server is first
    assert contexts.log_text().count("Failed to load certificate") == 1
    certificates.issue("server", "127.0.0.1")
    contexts.cron()
    assert contexts.server is not first
    assert "changed files have been loaded" in contexts.log_text()
    certificates.key.unlink()
    contexts.cron()
    assert f"Failed to load private key: {certificates.key}" in contexts.log_text()
