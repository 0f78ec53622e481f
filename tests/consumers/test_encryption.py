"""What a client checks of a server, and what it presents: by default everything, and nothing."""

import ssl
from pathlib import Path

import pytest

from consumers.encryption import context_from_query, tls_context
from tests.certificates import Certificates


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


def test_the_certificate_and_its_name_are_checked() -> None:
    context = tls_context()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.cert_store_stats()["x509_ca"] == ssl.create_default_context().cert_store_stats()["x509_ca"]


def test_only_the_authority_given_is_trusted(certificates: Certificates) -> None:
    assert tls_context(str(certificates.ca)).cert_store_stats()["x509_ca"] == 1
    assert tls_context(str(certificates.folder)).cert_store_stats()["x509_ca"] == 0  # a folder is read when needed


@pytest.mark.parametrize(
    ("query", "mode", "named"),
    [
        ({}, ssl.CERT_REQUIRED, True),
        ({"ssl_cert_reqs": "required"}, ssl.CERT_REQUIRED, True),
        ({"ssl_cert_reqs": "none"}, ssl.CERT_NONE, False),
        ({"ssl_check_hostname": "False"}, ssl.CERT_REQUIRED, False),
        ({"ssl_check_hostname": "true"}, ssl.CERT_REQUIRED, True),
    ],
)
def test_what_a_url_says(query: dict[str, str], mode: ssl.VerifyMode, named: bool) -> None:
    context = context_from_query(query)
    assert (context.verify_mode, context.check_hostname) == (mode, named)


def test_files_of_a_url(certificates: Certificates) -> None:
    files = {"ssl_certfile": str(certificates.client_certificate), "ssl_keyfile": str(certificates.client_key)}
    context = context_from_query({"ssl_ca_certs": str(certificates.ca), **files})
    assert context.cert_store_stats()["x509_ca"] == 1


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("/nowhere",), "/nowhere: no certificates can be read: No such file or directory"),
        ((None, "/nowhere"), "/nowhere: no certificate and key: No such file or directory"),
        ((None, "/nowhere", "/key"), "/nowhere with /key: no certificate and key: No such file or directory"),
        ((None, None, "/key"), "/key: a key without a certificate"),
    ],
)
def test_files_that_can_not_be_used_are_named(words: tuple[str | None, ...], reason: str) -> None:
    with pytest.raises(ValueError) as raised:
        tls_context(*words)
    assert str(raised.value) == reason
