"""The encrypted listener: whom it lets in, and CONFIG SET while the broker runs."""

import socket
import ssl
from pathlib import Path

import pytest
import trio
import trio.testing
import trustme

from broker import open_broker
from broker.network.listeners import StartError
from tests.broker.encrypted import serving
from tests.broker.inprocess import Client
from tests.certificates import Certificates
from tests.oracle.servers import free_port

REFUSED = b"-ERR CONFIG SET failed (possibly related to argument '%s') - %s\r\n"
NOT_CONFIGURED = b"Unable to update TLS configuration. Check server logs."


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


async def test_encrypted_and_plain_clients_share_a_broker(certificates: Certificates) -> None:
    plain_port = free_port()
    async with serving(certificates, port=str(plain_port)) as running:
        encrypted = await running.connect()
        async with await trio.open_tcp_stream("127.0.0.1", plain_port) as stream:
            plain = Client(stream)
            assert await encrypted.call("SET k v") == b"+OK\r\n"
            assert await plain.call("GET k") == b"$1\r\nv\r\n"
            info = await plain.text("INFO server")
        assert f"tcp_port:{plain_port}\r\n" in info
        assert f"listener0:name=tcp,bind=127.0.0.1,port={plain_port}\r\n" in info
        assert f"listener1:name=tls,bind=127.0.0.1,port={running.port}\r\n" in info


async def test_without_a_plain_port_the_encrypted_one_is_named(certificates: Certificates) -> None:
    async with serving(certificates) as running:
        info = await (await running.connect()).text("INFO server")
        assert f"tcp_port:{running.port}\r\n" in info
        assert f"listener0:name=tls,bind=127.0.0.1,port={running.port}\r\n" in info


@pytest.mark.parametrize(("value", "let_in"), [("yes", False), ("optional", True), ("no", True)])
async def test_clients_without_a_certificate(certificates: Certificates, value: str, let_in: bool) -> None:
    async with serving(certificates, tls_auth_clients=value) as running:
        client = await running.connect(certificates.client_context(certificate=False))
        if let_in:
            assert await client.call("PING") == b"+PONG\r\n"
        else:
            # With TLS 1.3 a client hears of it only when it reads.
            with pytest.raises(trio.BrokenResourceError) as raised:
                await client.call("PING")
            assert "certificate required" in str(raised.value.__cause__).lower().replace("_", " ")
        assert len(running.broker.sessions) == let_in


@pytest.mark.parametrize("value", ["yes", "optional"])
async def test_certificates_of_another_authority(certificates: Certificates, value: str) -> None:
    context = certificates.client_context(certificate=False)
    trustme.CA().issue_cert("mallory@example.org").configure_cert(context)
    async with serving(certificates, tls_auth_clients=value) as running:
        client = await running.connect(context)
        with pytest.raises(trio.BrokenResourceError):
            await client.call("PING")
        assert not running.broker.sessions


async def test_the_certificate_names_the_user(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path, client="default")
    async with serving(certificates, tls_auth_clients_user="CN", requirepass="secret") as running:
        assert await (await running.connect()).call("PING") == b"+PONG\r\n"
        running.broker.config.set([(b"tls-auth-clients-user", b"off")])
        assert await (await running.connect()).call("PING") == b"-NOAUTH Authentication required.\r\n"


async def test_a_certificate_that_names_no_user_is_not_logged_in(certificates: Certificates) -> None:
    async with serving(certificates, tls_auth_clients_user="CN", requirepass="secret") as running:
        client = await running.connect()
        assert await client.call("PING") == b"-NOAUTH Authentication required.\r\n"
        assert await client.call("AUTH secret") == b"+OK\r\n"


@pytest.mark.parametrize("name", ["default", "stranger"])
async def test_a_certificates_name_is_user_data(tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str) -> None:
    async with serving(Certificates(tmp_path, client=name), tls_auth_clients_user="CN") as running:
        log = running.broker.log
        log.level = "verbose"
        for hide in (False, True):
            log.hide_user_data(hide)
            await (await running.connect()).call("PING")
            lines = [line for line in capfd.readouterr().out.splitlines() if "TLS: " in line]
            assert len(lines) == 1 and (name in lines[0]) is not hide


async def test_protected_mode_refuses_in_an_encrypted_reply(certificates: Certificates) -> None:
    async with serving(certificates) as running:
        admit = running.server.listeners.handshakes._complete
        running.server.listeners.handshakes._complete = lambda sock, _, endpoint: admit(sock, b"10.0.0.1:1", endpoint)
        client = await running.connect()
        assert (await client.receive()).startswith(b"-DENIED ")
        assert running.broker.stats.clients_refused == 1


@pytest.mark.parametrize("missing", ["tls-cert-file", "tls-key-file", "tls-ca-cert-file"])
async def test_a_broker_does_not_start_without_what_it_needs(certificates: Certificates, missing: str) -> None:
    directives = certificates.directives(tls_port=str(free_port()), bind="127.0.0.1")
    del directives[missing]
    with pytest.raises(StartError, match=r"^Failed to configure TLS"):
        async with open_broker(directives):
            pytest.fail("it has started")


async def test_config_set_opens_and_closes_the_port(certificates: Certificates) -> None:
    async with open_broker({"bind": "127.0.0.1"}) as server, await server.connect() as stream:
        client, port = Client(stream), free_port()
        assert await client.call("CONFIG", "SET", "tls-port", port) == REFUSED % (b"tls-port", NOT_CONFIGURED)
        assert await client.call("CONFIG GET tls-port") == b"*2\r\n$8\r\ntls-port\r\n$1\r\n0\r\n"
        pairs = [word for pair in certificates.directives().items() for word in pair]
        assert await client.call("CONFIG", "SET", *pairs) == b"+OK\r\n"
        assert await client.call("CONFIG", "SET", "tls-port", port) == b"+OK\r\n"
        encrypted = trio.SSLStream(
            await trio.open_tcp_stream("127.0.0.1", port), certificates.client_context(), server_hostname="127.0.0.1"
        )
        assert await Client(encrypted).call("PING") == b"+PONG\r\n"
        assert await client.call("CONFIG SET tls-port 0") == b"+OK\r\n"
        with pytest.raises(OSError):
            await trio.open_tcp_stream("127.0.0.1", port)
        # Who is connected stays so.
        assert await Client(encrypted).call("PING") == b"+PONG\r\n"
        await trio.aclose_forcefully(encrypted)


async def test_a_port_that_is_taken_leaves_the_old_one(certificates: Certificates) -> None:
    async with serving(certificates) as running:
        client = await running.connect()
        with socket.create_server(("127.0.0.1", 0)) as other:
            taken = other.getsockname()[1]
            reply = await client.call("CONFIG", "SET", "tls-port", taken)
            assert reply == REFUSED % (b"tls-port", b"Unable to listen on this port. Check server logs.")
        assert await (await running.connect()).call("PING") == b"+PONG\r\n"
        assert await client.call("CONFIG GET tls-port") == b"*2\r\n$8\r\ntls-port\r\n$5\r\n%d\r\n" % running.port


async def test_moving_the_address_moves_both_listeners(certificates: Certificates) -> None:
    async with serving(certificates) as running:
        client = await running.connect()
        assert await client.call("CONFIG", "SET", "bind", "127.0.0.2") == b"+OK\r\n"
        async with await trio.open_tcp_stream("127.0.0.2", running.port):
            pass
        with pytest.raises(OSError):
            await running.open()


async def test_an_address_that_is_taken_for_one_listener_moves_neither(certificates: Certificates) -> None:
    async with serving(certificates, port=str(free_port())) as running:
        client = await running.connect()
        with socket.create_server(("127.0.0.2", running.port)):
            reply = await client.call("CONFIG SET bind 127.0.0.2")
        assert reply == REFUSED % (b"bind", b"Failed to bind to specified addresses.")
        assert await (await running.connect()).call("PING") == b"+PONG\r\n"
        async with await trio.open_tcp_stream("127.0.0.1", running.broker.config.port) as stream:
            assert await Client(stream).call("CONFIG GET bind") == b"*2\r\n$4\r\nbind\r\n$9\r\n127.0.0.1\r\n"


async def test_a_new_certificate_is_used_without_a_restart(certificates: Certificates) -> None:
    async with serving(certificates) as running:
        before = await running.connect()
        certificate, key = certificates.issue("new", "127.0.0.1", "localhost")
        reply = await before.call("CONFIG", "SET", "tls-cert-file", str(certificate))
        assert reply == REFUSED % (b"tls-cert-file", NOT_CONFIGURED)  # it isn't that key's
        assert await (await running.connect()).call("PING") == b"+PONG\r\n"
        reply = await before.call("CONFIG", "SET", "tls-cert-file", str(certificate), "tls-key-file", str(key))
        assert reply == b"+OK\r\n"
        after = await running.connect()
        assert isinstance(after.stream, trio.SSLStream) and isinstance(before.stream, trio.SSLStream)
        shown = after.stream.getpeercert(binary_form=True)
        assert shown == ssl.PEM_cert_to_DER_cert(certificate.read_text())
        assert shown != before.stream.getpeercert(binary_form=True)
        assert await before.call("PING") == b"+PONG\r\n"


async def test_files_that_change_are_loaded_after_the_interval(
    certificates: Certificates, mock_clock: trio.testing.MockClock
) -> None:
    async def seconds(count: int) -> None:
        for _ in range(count):
            mock_clock.jump(1)
            await trio.testing.wait_all_tasks_blocked()

    async def shown() -> bytes | None:
        stream = (await running.connect()).stream
        assert isinstance(stream, trio.SSLStream)
        certificate: bytes | None = stream.getpeercert(binary_form=True)
        return certificate

    async with serving(certificates, tls_auto_reload_interval="2") as running:
        client = await running.connect()
        old = await shown()
        certificate, key = certificates.issue("new", "127.0.0.1", "localhost")
        new = ssl.PEM_cert_to_DER_cert(certificate.read_text())
        certificate.replace(certificates.certificate)
        await seconds(4)
        assert await shown() == old  # the key is still the old one's
        key.replace(certificates.key)
        await seconds(1)
        assert await shown() == old
        await seconds(1)
        assert await shown() == new
        assert await client.call("PING") == b"+PONG\r\n"
        assert await client.call("CONFIG SET tls-auto-reload-interval 0") == b"+OK\r\n"
        certificates.issue("server", "127.0.0.1", "localhost")
        await seconds(5)
        assert await shown() == new
