"""Client libraries and redis-cli over TLS: pipelines, large values in both directions, pub/sub, slow readers."""

import asyncio
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import coredis
import pytest
import redis
import redis.asyncio
import trio

from consumers.jobs import Queue, Worker
from tests.certificates import Certificates
from tests.clients.conftest import skip_loudly
from tests.oracle.servers import Server, free_port, start


class Encrypted:
    def __init__(self, server: Server, certificates: Certificates, port: int) -> None:
        self.server = server
        self.certificates = certificates
        self.port = port
        self.files = {
            "ssl_ca_certs": str(certificates.ca),
            "ssl_certfile": str(certificates.client_certificate),
            "ssl_keyfile": str(certificates.client_key),
        }
        self.url = f"rediss://127.0.0.1:{port}?" + "&".join(f"{name}={value}" for name, value in self.files.items())

    def client(self, protocol: int = 3) -> redis.Redis:
        return redis.Redis(port=self.port, ssl=True, protocol=protocol, socket_timeout=60, **self.files)


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Encrypted]:
    certificates, port, tls_port = Certificates(tmp_path_factory.mktemp("certificates")), free_port(), free_port()
    directives = {"port": str(port), "tls-port": str(tls_port), "bind": "127.0.0.1", "save": ""}
    named = {f"--{name}": value for name, value in (directives | certificates.directives()).items()}
    words = [word for pair in named.items() for word in pair]
    server = start("broker", [sys.executable, "-m", "broker", "serve", *words], port)
    yield Encrypted(server, certificates, tls_port)
    server.stop()


@pytest.fixture(autouse=True)
def emptied(encrypted: Encrypted) -> Iterator[None]:
    yield
    with encrypted.client() as client:
        client.flushall()
    assert encrypted.server.alive(), encrypted.server.log()


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py(encrypted: Encrypted, protocol: int) -> None:
    with encrypted.client(protocol) as client:
        assert client.set("k", "v") and client.get("k") == b"v"
        with client.pipeline(transaction=False) as pipeline:
            for number in range(20_000):
                pipeline.rpush("list", number)
            assert pipeline.execute() == list(range(1, 20_001))
        assert client.lrange("list", 0, -1) == [b"%d" % number for number in range(20_000)]


def test_a_value_of_100_megabytes_in_both_directions(encrypted: Encrypted) -> None:
    value = bytes(range(256)) * (100 << 12)
    with encrypted.client() as client:
        assert client.set("large", value)
        assert client.strlen("large") == len(value) == 100 << 20
        assert client.get("large") == value


def test_a_slow_reader_does_not_hold_up_the_others(encrypted: Encrypted) -> None:
    with encrypted.client() as client:
        client.set("large", b"x" * 20_000_000)
        slow = client.connection_pool.get_connection()
        for _ in range(5):
            slow.send_command("GET", "large")
        for _ in range(100):
            assert client.ping()
        for _ in range(5):
            assert slow.read_response() == b"x" * 20_000_000
        client.connection_pool.release(slow)


def test_publish_subscribe_and_waiting_clients(encrypted: Encrypted) -> None:
    with encrypted.client() as client, client.pubsub() as subscriber:
        subscriber.subscribe("news")
        while (message := subscriber.get_message(timeout=60)) is None or message["type"] != "subscribe":
            pass
        for number in range(1000):
            client.publish("news", number)
        heard = 0
        while heard < 1000:
            message = subscriber.get_message(timeout=60)
            assert message is not None and message["data"] == b"%d" % heard
            heard += 1
        pushed = threading.Timer(0.05, client.rpush, ["queue", "job"])
        pushed.start()
        assert client.blpop(["queue"], 60) == [b"queue", b"job"]
        pushed.join()


def test_redis_py_asyncio(encrypted: Encrypted) -> None:
    async def run() -> None:
        async with redis.asyncio.Redis(port=encrypted.port, ssl=True, **encrypted.files) as client:
            assert await client.set("k", b"v" * 1_000_000)
            replies = await asyncio.gather(*(client.get("k") for _ in range(20)))
            assert {len(reply) for reply in replies} == {1_000_000}

    asyncio.run(run())


async def test_coredis_and_a_queue_of_jobs(encrypted: Encrypted) -> None:
    queue = Queue("encrypted")

    @queue.job()
    async def double(number: int) -> int:
        return 2 * number

    context = encrypted.certificates.client_context()
    async with coredis.Redis(port=encrypted.port, host="127.0.0.1", ssl_context=context) as client:
        assert await client.ping()
    with trio.fail_after(60):
        async with queue.open(encrypted.url), trio.open_nursery() as nursery:
            worker = Worker(queue)
            nursery.start_soon(worker.run)
            job = await double.enqueue(21)
            assert await job.result() == 42
            nursery.cancel_scope.cancel()


def _tool(name: str, encrypted: Encrypted, *words: str) -> list[str]:
    found = shutil.which(name)
    if found is None:
        skip_loudly(f"{name} is not installed (Debian: redis-tools)")
    certificates = encrypted.certificates
    trust = ["--tls", "--cacert", str(certificates.ca)]
    ours = ["--cert", str(certificates.client_certificate), "--key", str(certificates.client_key)]
    return [str(found), "-p", str(encrypted.port), *trust, *ours, *words]


def test_redis_cli(encrypted: Encrypted) -> None:
    def run(*words: str, data: bytes = b"") -> bytes:
        return subprocess.run(
            _tool("redis-cli", encrypted, *words), input=data, capture_output=True, timeout=60, check=True
        ).stdout

    assert run("SET", "k", "v") == b"OK\n"
    commands = b"".join(b"*3\r\n$3\r\nSET\r\n$5\r\n%05d\r\n$1\r\nx\r\n" % number for number in range(20_000))
    assert b"errors: 0, replies: 20000" in run("--pipe", data=commands)
    assert run("DBSIZE") == b"20001\n"


@pytest.mark.parametrize("pipeline", [1, 16])
def test_redis_benchmark(encrypted: Encrypted, pipeline: int) -> None:
    words = ["-n", "5000", "-c", "20", "-P", str(pipeline), "-t", "set,get,lpush", "--csv"]
    done = subprocess.run(
        _tool("redis-benchmark", encrypted, *words), capture_output=True, timeout=120, check=True
    ).stdout.decode()
    assert [line.split(",")[0] for line in done.splitlines()[1:]] == ['"SET"', '"GET"', '"LPUSH"'], done


def test_certificates_are_renewed_under_load(encrypted: Encrypted) -> None:
    stop = threading.Event()
    failures: list[BaseException] = []

    def busy() -> None:
        try:
            while not stop.is_set():
                with encrypted.client() as client:  # a handshake each time
                    for _ in range(20):
                        assert client.ping()
                    client.connection_pool.disconnect()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=busy) for _ in range(4)]
    for thread in threads:
        thread.start()
    certificates = encrypted.certificates
    with encrypted.client() as client:
        for number in range(20):
            certificate, key = certificates.issue(f"renewed{number}", "127.0.0.1", "localhost")
            assert client.config_set("tls-cert-file", str(certificate), "tls-key-file", str(key))
            with pytest.raises(redis.ResponseError, match="Unable to update TLS configuration"):
                client.config_set("tls-cert-file", str(certificates.ca))
            time.sleep(0.01)
    stop.set()
    for thread in threads:
        thread.join(60)
    assert failures == []
