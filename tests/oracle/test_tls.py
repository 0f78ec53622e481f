"""Encrypted connections beside a redis-server with TLS, as Debian's has: who is let in, and CONFIG SET."""

import contextlib
import functools
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import trustme

from tests.certificates import Certificates
from tests.oracle.servers import Server, free_port, start
from tests.oracle.wire import encode, frame_end

SECONDS = 60.0


@functools.cache
def _reference() -> str | None:
    """A redis-server with TLS: without, it does not start with a `tls-port` of whatever value, or says so."""
    for path in filter(None, [shutil.which("redis-server"), "/usr/bin/redis-server"]):
        asked = [path, "--port", "0", "--tls-port", "1", "--tls-cert-file", "/nowhere", "--tls-key-file", "/nowhere"]
        said = subprocess.run([*asked, "--bind", "127.0.0.1"], capture_output=True, timeout=60, check=False).stdout
        if b"Failed to configure TLS" in said:
            return path
    return None


class Side:
    """One of the two servers."""

    def __init__(self, server: Server, port: int) -> None:
        self.server = server
        self.port = port

    def plain(self, *words: str) -> bytes:
        connection = self.server.connect()
        reply = connection.call(*words)
        connection.close()
        return reply


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def sides(certificates: Certificates) -> Iterator[tuple[Side, Side]]:
    reference = _reference()
    if reference is None:
        pytest.skip("no redis-server with TLS")
    with contextlib.ExitStack() as stack:
        found = []
        for name, command in (("theirs", [reference]), ("ours", [sys.executable, "-m", "broker", "serve"])):
            port, tls_port = free_port(), free_port()
            options = {"port": str(port), "tls-port": str(tls_port), "bind": "127.0.0.1", "save": ""}
            words = [word for pair in {**options, **certificates.directives()}.items() for word in pair]
            words[::2] = [f"--{word}" for word in words[::2]]
            server = start(name, [*command, *words], port)
            stack.callback(server.stop)
            found.append(Side(server, tls_port))
        yield found[0], found[1]


@pytest.fixture
def restored(sides: tuple[Side, Side], certificates: Certificates) -> Iterator[None]:
    """Both servers' TLS directives, as they were, after the test."""
    yield
    for side in sides:
        reply = side.plain("CONFIG", "SET", *(word for pair in _defaults(certificates).items() for word in pair))
        assert reply == b"+OK\r\n", side.server.log()


def _defaults(certificates: Certificates) -> dict[str, str]:
    empty = (
        "tls-protocols",
        "tls-ciphers",
        "tls-ciphersuites",
        "tls-ca-cert-dir",
        "tls-client-cert-file",
        "tls-client-key-file",
    )
    return {**certificates.directives(tls_auth_clients="yes"), **dict.fromkeys(empty, "")}


def both(sides: tuple[Side, Side], *words: str) -> bytes:
    """The same command to both, unencrypted; returns the reply that they agree on."""
    theirs, ours = (side.plain(*words) for side in sides)
    assert ours == theirs
    return ours


def outcome(port: int, context: ssl.SSLContext, requests: Sequence[Sequence[str]] = (("PING",),)) -> str:
    """What becomes of a client: its replies, or which error it meets."""
    try:
        with (
            socket.create_connection(("127.0.0.1", port), SECONDS) as sock,
            context.wrap_socket(sock, server_hostname="127.0.0.1") as encrypted,
        ):
            encrypted.sendall(b"".join(encode(words) for words in requests))
            replies, data = [], b""
            while len(replies) < len(requests):
                while (end := frame_end(data) if data else -1) < 0:
                    more = encrypted.recv(1 << 16)
                    if not more:
                        return f"closed after {replies}"
                    data += more
                replies.append(data[:end].decode())
                data = data[end:]
            return f"{encrypted.version()} {replies}"
    except ssl.SSLError as error:
        return f"{type(error).__name__} {error.reason}"
    except ConnectionError:
        return "reset"


def client(certificates: Certificates, **settings: object) -> ssl.SSLContext:
    context = certificates.client_context()
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    for name, value in settings.items():
        setattr(context, name, value)
    return context


def _only(version: ssl.TLSVersion) -> Callable[[Certificates], ssl.SSLContext]:
    return lambda certificates: client(certificates, minimum_version=version, maximum_version=version)


def _foreign(certificates: Certificates) -> ssl.SSLContext:
    context = certificates.client_context(certificate=False)
    trustme.CA().issue_cert("mallory@example.org").configure_cert(context)
    return context


def _distrustful(_: Certificates) -> ssl.SSLContext:
    return ssl.create_default_context()


CLIENTS: dict[str, Callable[[Certificates], ssl.SSLContext]] = {
    "with a certificate": lambda certificates: certificates.client_context(),
    "without a certificate": lambda certificates: certificates.client_context(certificate=False),
    "with a certificate of another authority": _foreign,
    "that does not know the server's authority": _distrustful,
    "of TLS 1.1": _only(ssl.TLSVersion.TLSv1_1),
    "of TLS 1.2": _only(ssl.TLSVersion.TLSv1_2),
    "of TLS 1.3": _only(ssl.TLSVersion.TLSv1_3),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("auth", ["yes", "optional", "no"])
@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize("protocols", ["", "TLSv1.2", "TLSv1.3"])
def test_who_is_let_in(
    sides: tuple[Side, Side], certificates: Certificates, restored: None, auth: str, kind: str, protocols: str
) -> None:
    both(sides, "CONFIG", "SET", "tls-auth-clients", auth, "tls-protocols", protocols)
    theirs, ours = (outcome(side.port, CLIENTS[kind](certificates)) for side in sides)
    # Which error a client that is refused gets to see depends on how much it has sent before it reads the alert.
    assert ours == theirs or not any("PONG" in text for text in (theirs, ours))


@pytest.mark.parametrize(
    "words",
    [
        ("tls-cert-file", "/nowhere"),
        ("tls-cert-file", ""),
        ("tls-key-file", "/nowhere"),
        ("tls-key-file", ""),
        ("tls-ca-cert-file", "/nowhere"),
        ("tls-ca-cert-file", ""),
        ("tls-ca-cert-dir", "/nowhere"),
        ("tls-dh-params-file", "/nowhere"),
        ("tls-protocols", "SSLv3"),
        ("tls-protocols", "tlsv1.2 TLSV1.3"),
        ("tls-protocols", "TLSv1.2  TLSv1.3"),
        ("tls-protocols", "TLSv1.2,TLSv1.3"),
        ("tls-ciphers", "nonsense"),
        ("tls-ciphers", "DEFAULT:!MEDIUM"),
        ("tls-ciphersuites", "nonsense"),
        ("tls-ciphersuites", "TLS_AES_256_GCM_SHA384"),
        ("tls-auth-clients", "maybe"),
        ("tls-auth-clients", "NO"),
        ("tls-prefer-server-ciphers", "yes"),
        ("tls-prefer-server-ciphers", "maybe"),
        ("tls-session-caching", "no"),
        ("tls-session-cache-size", "-1"),
        ("tls-session-cache-size", "100"),
        ("tls-session-cache-timeout", "60"),
        ("tls-session-cache-timeout", "x"),
        ("tls-port", "-1"),
        ("tls-port", "65536"),
        ("tls-port", "x"),
        ("tls-replication", "yes"),
        ("tls-replication", "no"),
        ("tls-cluster", "yes"),
        ("tls-cluster", "no"),
        ("tls-ciphers", "nonsense", "tls-cert-file", "/nowhere"),
        ("tls-auth-clients", "no", "tls-ca-cert-file", ""),
        ("maxmemory", "1gb", "tls-cert-file", "/nowhere"),
    ],
)
def test_config_set(sides: tuple[Side, Side], certificates: Certificates, restored: None, words: tuple[str]) -> None:
    both(sides, "CONFIG", "SET", *words)
    for name in words[::2]:
        if name != "tls-port":
            both(sides, "CONFIG", "GET", name)
    theirs, ours = (outcome(side.port, certificates.client_context()) for side in sides)
    assert ours == theirs
    for name, default in (("tls-session-caching", "yes"), ("tls-replication", "no"), ("tls-cluster", "no")):
        both(sides, "CONFIG", "SET", name, default)
    both(sides, "CONFIG", "SET", "maxmemory", "0", "tls-prefer-server-ciphers", "no", "tls-dh-params-file", "")


def test_a_file_is_read_again_under_the_same_name(
    sides: tuple[Side, Side], certificates: Certificates, restored: None
) -> None:
    kept = certificates.certificate.read_bytes()
    try:
        certificates.certificate.write_bytes(b"rubbish")
        both(sides, "CONFIG", "SET", "tls-session-cache-timeout", "300")
        both(sides, "CONFIG", "SET", "tls-cert-file", str(certificates.certificate))
        theirs, ours = (outcome(side.port, certificates.client_context()) for side in sides)
        assert ours == theirs and "PONG" in ours
    finally:
        certificates.certificate.write_bytes(kept)


def test_plain_requests_on_the_encrypted_port(sides: tuple[Side, Side]) -> None:
    endings = []
    for side in sides:
        with socket.create_connection(("127.0.0.1", side.port), SECONDS) as sock:
            sock.sendall(encode(["PING"]))
            with contextlib.suppress(ConnectionError):
                while data := sock.recv(100):
                    # An alert; its kind depends on OpenSSL only.
                    assert data[:1] == b"\x15"
            endings.append("closed")
    assert endings == ["closed", "closed"]


def test_a_port_that_is_taken(sides: tuple[Side, Side], certificates: Certificates) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        both(sides, "CONFIG", "SET", "tls-port", str(other.getsockname()[1]))
        both(sides, "CONFIG", "SET", "port", str(other.getsockname()[1]))
    for side in sides:
        assert "PONG" in outcome(side.port, certificates.client_context())


def test_pipelines_and_large_values(sides: tuple[Side, Side], certificates: Certificates) -> None:
    value = "0123456789abcdef" * 500_000
    requests = [("SET", "k", value), *[("INCR", "n"), ("LPUSH", "l", "x"), ("PING", "y" * 20_000)] * 300, ("GET", "k")]
    theirs, ours = (outcome(side.port, certificates.client_context(), requests) for side in sides)
    assert ours == theirs
    for side in sides:
        side.plain("FLUSHALL")


def test_info_names_the_ports(sides: tuple[Side, Side]) -> None:
    for side in sides:
        assert b"tcp_port:%d\r\n" % side.server.address[1] in side.plain("INFO", "server")


@pytest.fixture(scope="module")
def target(certificates: Certificates) -> Iterator[Side]:
    """A server that keys are migrated to, which asks for certificates."""
    reference = _reference()
    if reference is None:
        pytest.skip("no redis-server with TLS")
    port, tls_port = free_port(), free_port()
    options = {"port": str(port), "tls-port": str(tls_port), "bind": "127.0.0.1", "save": ""}
    words = [word for pair in {**options, **certificates.directives()}.items() for word in pair]
    words[::2] = [f"--{word}" for word in words[::2]]
    server = start("target", [reference, *words], port)
    yield Side(server, tls_port)
    server.stop()


@pytest.mark.parametrize("in_transaction", [False, True])
@pytest.mark.parametrize("encrypted_port", [True, False])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"tls-cluster": "yes"},
        {"tls-replication": "yes"},
        {"tls-cluster": "yes", "tls-protocols": "TLSv1.2"},
        {"tls-cluster": "yes", "tls-protocols": "TLSv1.1"},
        {"tls-cluster": "yes", "tls-client-cert-file": "client", "tls-client-key-file": "client"},
        {"tls-cluster": "yes", "tls-client-cert-file": "foreign", "tls-client-key-file": "foreign"},
        {"tls-cluster": "yes", "tls-ca-cert-file": "foreign"},
    ],
)
def test_keys_are_migrated(
    sides: tuple[Side, Side],
    certificates: Certificates,
    target: Side,
    restored: None,
    tmp_path: Path,
    settings: dict[str, str],
    encrypted_port: bool,
    in_transaction: bool,
) -> None:
    foreign = trustme.CA()
    stranger = foreign.issue_cert("mallory@example.org")
    stranger.private_key_pem.write_to_path(tmp_path / "foreign.key")
    stranger.cert_chain_pems[0].write_to_path(tmp_path / "foreign.pem")
    foreign.cert_pem.write_to_path(tmp_path / "ca.pem")
    files = {
        ("client", "cert"): certificates.client_certificate,
        ("client", "key"): certificates.client_key,
        ("foreign", "cert"): tmp_path / "foreign.pem",
        ("foreign", "key"): tmp_path / "foreign.key",
        ("foreign", "ca"): tmp_path / "ca.pem",
    }
    words = []
    for name, value in settings.items():
        kind = next((kind for kind in ("ca", "cert", "key") if f"-{kind}-" in name), "")
        words += [name, str(files.get((value, kind), value))]
    port = target.port if encrypted_port else target.server.address[1]
    if words:
        both(sides, "CONFIG", "SET", *words)
    # Theirs would go on with a connection that it has kept, whatever the settings.
    target.plain("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    migrate = ["MIGRATE", "127.0.0.1", str(port), "k", "0", "500", "REPLACE"]
    requests = [["SET", "k", "v"], *([["MULTI"], migrate, ["EXEC"]] if in_transaction else [migrate]), ["EXISTS", "k"]]
    replies = []
    for side in sides:
        connection = side.server.connect()
        # Where the target refuses the certificate, timing decides at which step the connection turns out to be closed.
        found = [connection.call(*request) for request in requests]
        replies.append([reply.replace(b"timeout writing to", b"timeout reading to") for reply in found])
        connection.close()
    assert replies[1] == replies[0]
    both(sides, "CONFIG", "SET", "tls-cluster", "no", "tls-replication", "no")


def test_what_is_written_to_a_file(certificates: Certificates, tmp_path: Path) -> None:
    reference = _reference()
    if reference is None:
        pytest.skip("no redis-server with TLS")
    written = []
    for name, command in (("theirs", [reference]), ("ours", [sys.executable, "-m", "broker", "serve"])):
        port = free_port()
        file = tmp_path / f"{name}.conf"
        file.write_text(f"port {port}\nbind 127.0.0.1\nsave ''\n")
        server = start(name, [*command, str(file)], port)
        try:
            side = Side(server, 0)
            directives = {
                **certificates.directives(tls_auth_clients="optional", tls_protocols="TLSv1.2 TLSv1.3"),
                "tls-key-file-pass": 'it\'s "secret"',
                "tls-session-caching": "no",
                "tls-session-cache-size": "5000",
                "tls-ciphers": "DEFAULT:!MEDIUM",
            }
            words = [word for pair in directives.items() for word in pair]
            assert side.plain("CONFIG", "SET", *words) == b"+OK\r\n"
            assert side.plain("CONFIG", "REWRITE") == b"+OK\r\n"
        finally:
            server.stop()
        written.append(sorted(line for line in file.read_text().splitlines() if line.startswith("tls-")))
    assert written[0] == written[1]
