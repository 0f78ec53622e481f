"""What the ssl module can't set: cipher suites of TLS 1.3, the session cache, and expected names."""

import ssl
from contextlib import suppress
from pathlib import Path

import pytest

from broker.tls import openssl
from tests.certificates import Certificates


@pytest.fixture
def context() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


def suites(context: ssl.SSLContext) -> list[str]:
    return [cipher["name"] for cipher in context.get_ciphers() if cipher["protocol"] == "TLSv1.3"]


def test_only_the_suites_named_are_left(context: ssl.SSLContext) -> None:
    assert len(suites(context)) > 2
    openssl.set_ciphersuites(context, "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256")
    assert suites(context) == ["TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256"]


def test_suites_that_do_not_exist_are_refused(context: ssl.SSLContext) -> None:
    with pytest.raises(ValueError, match=r"^Failed to configure ciphersuites: nonsense$"):
        openssl.set_ciphersuites(context, "nonsense")


def test_the_cache_is_set_and_disabled(context: ssl.SSLContext) -> None:
    openssl.set_session_cache(context, 7, 11)
    library, pointer = openssl._library(), openssl._pointer(context)
    get_size, get_mode = 43, 45
    assert library.SSL_CTX_ctrl(pointer, get_size, 0, None) == 7
    assert library.SSL_CTX_get_timeout(pointer) == 11
    assert library.SSL_CTX_ctrl(pointer, get_mode, 0, None) != 0
    openssl.disable_session_cache(context)
    assert library.SSL_CTX_ctrl(pointer, get_mode, 0, None) == 0


@pytest.mark.parametrize(
    ("names", "accepted"),
    [
        ([], True),
        (["localhost"], True),
        (["elsewhere", "localhost"], True),
        (["elsewhere"], False),
        (["*"], False),
        ([".example.org"], True),
        (["example.org"], False),
        (["node.example.com"], True),
        (["a.node.example.com"], False),
    ],
)
def test_names_expected_of_a_server(tmp_path: Path, names: list[str], accepted: bool) -> None:
    certificates = Certificates(tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*certificates.issue("server", "localhost", "node.example.org", "*.example.com"))
    client = certificates.client_context()
    client.check_hostname = False
    # What is set later replaces what was set before.
    for expected in (["nobody"], names):
        openssl.set_expected_names(client, expected)
    assert handshake_succeeds(server, client) == accepted


def handshake_succeeds(server: ssl.SSLContext, client: ssl.SSLContext) -> bool:
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = client.wrap_bio(back, there), server.wrap_bio(there, back, server_side=True)
    try:
        for _ in range(3):
            for end in ends:
                with suppress(ssl.SSLWantReadError):
                    end.do_handshake()
    except ssl.SSLCertVerificationError:
        return False
    return ends[0].version() is not None


def test_another_interpreter_is_not_guessed_at(context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openssl.sys.implementation, "name", "another")
    with pytest.raises(openssl.Unavailable):
        openssl.set_session_cache(context, 7, 11)


def test_a_module_that_shows_nothing_is_said_so(context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openssl.ctypes, "CDLL", lambda path: object())
    openssl._library.cache_clear()
    with pytest.raises(openssl.Unavailable):
        openssl.disable_session_cache(context)
    openssl._library.cache_clear()
