"""The pictures of the documentation, made on request: TRIMARAN_PICTURES=docs/pictures pytest tests/ui/test_pictures.py

They show a small shop at work for a minute. Needs Pillow, which makes the files small.
"""

from __future__ import annotations

import io
import itertools
import math
import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import coredis
import pytest
import redis

from consumers.console.access.policy import Policy
from consumers.console.asking import ask
from consumers.jobs import Queue, Reject, Worker
from tests.consumers.servers import redis_server
from tests.ui.browser import Browser
from tests.ui.conftest import _looked
from tests.ui.sites import Sites

FOLDER = os.environ.get("TRIMARAN_PICTURES")
PLACE = "redis://127.0.0.1:6379/0"
SIZE = (1200, 760)
TALL = {"policy": (1200, 1300), "queue": (1200, 1000)}
SECONDS = 60
LIMIT = 80 * 1024
COLOURS = 255

pytestmark = pytest.mark.skipif(FOLDER is None, reason="pictures are made with TRIMARAN_PICTURES=FOLDER")

DEAD = "/queues/queue?library=consumers&name=emails&state=dead"
PICTURES = {
    "overview": ("/", False),
    "overview-dark": ("/", True),
    "queues": ("/queues", False),
    "queue": (DEAD, False),
    "job": (f"{DEAD} >#jobs tbody a", False),
    "streams": ("/streams?search=event", False),
    "stream": ("/streams/stream?key=events", False),
    "policy": ("/streams/group?key=events&group=billing", False),
    "channels": ("/channels", False),
    "keys": ("/keys?search=customer", False),
    "key": ("/keys/key?key=customer%3A7", False),
    "clients": ("/clients", False),
    "slow-log": ("/slow-log", False),
    "configuration": ("/configuration?search=max", False),
    "users": ("/users", False),
}
"""Each picture's page and whether it is dark; ">" is followed by the link to press there."""


PLAIN = """
for (const name of document.querySelectorAll("dt"))
  if (name.textContent === "System") name.nextElementSibling.textContent = "Linux x86_64";
"""
"""Takes out what is of the machine that makes the pictures."""


@pytest.fixture(scope="module")
def shop(_browser: Browser) -> Iterator[Browser]:
    """A browser of the console of a shop that has been at work for a while, and still is."""
    closed = threading.Event()
    with (
        redis_server("broker", "--stream-extensions", "yes") as process,
        Sites(process.url, {"shop": Policy()}, PLACE) as sites,
    ):
        with redis.Redis.from_url(process.url) as client:
            _store(client)
        staff = [
            threading.Thread(target=anyio.run, args=(_work, process.url, closed)),
            threading.Thread(target=_trade, args=(process.url, closed)),
        ]
        for one in staff:
            one.start()
        try:
            _browser.renew(sites.addresses["shop"])
            _browser.open(DEAD)
            time.sleep(SECONDS)
            sites.call(_looked, sites.consoles["shop"])
            yield _browser
        finally:
            _browser.driver.get("about:blank")
            closed.set()
            for one in staff:
                one.join()


@pytest.mark.parametrize("name", PICTURES)
def test_picture(shop: Browser, name: str) -> None:
    image = pytest.importorskip("PIL.Image")
    address, dark = PICTURES[name]
    path, _, link = address.partition(" >")
    shop.look(dark=dark, size=TALL.get(name, SIZE))
    shop.open(path)
    if link:
        shop.press(shop.find(link))
    for closed in shop.every("#policy summary") if name == "policy" else ():
        closed.click()
        shop.run("scrollTo(0, 0)")
    if shop.every(".chart"):
        shop.until(lambda: shop.every(".chart > svg path"), "the charts are drawn")
    assert shop.problems() == []
    shop.run(PLAIN)
    full = image.open(io.BytesIO(shop.driver.get_screenshot_as_png())).convert("RGB")
    file = Path(FOLDER or "", f"{name}.png")
    file.parent.mkdir(parents=True, exist_ok=True)
    full.quantize(COLOURS, method=image.Quantize.MEDIANCUT, dither=image.Dither.NONE).save(file, optimize=True)
    assert file.stat().st_size < LIMIT


def _store(client: redis.Redis) -> None:
    for number in range(40):
        name = random.Random(number).choice(("Ada", "Grace", "Edsger", "Barbara", "Donald"))
        client.hset(f"customer:{number}", mapping={"name": name, "orders": str(number % 7), "city": "Lisbon"})
        client.expire(f"customer:{number}", 3600 * (number + 1))
    client.acl_setuser("checkout", enabled=True, passwords=["+secret"], keys=["customer:*"], categories=["+@read"])
    client.acl_setuser("reports", enabled=True, passwords=["+secret"], keys=["stats:*"], commands=["+get", "+info"])
    client.config_set("slowlog-log-slower-than", 2000)
    client.config_set("latency-monitor-threshold", 5)
    for queue, waiting in (("thumbnails", 12), ("exports", 3)):
        client.sadd("rq:queues", f"rq:queue:{queue}")
        for number in range(waiting):
            client.rpush(f"rq:queue:{queue}", f"{queue}-{number}")
            client.hset(f"rq:job:{queue}-{number}", mapping={"description": f"{queue}.make({number})"})


async def _work(url: str, closed: threading.Event) -> None:
    async with (
        coredis.Redis.from_url(url, client_name="shop") as client,
        Queue("emails").open(client) as emails,
        Queue("orders").open(client) as orders,
        client.pubsub() as subscribers,
    ):

        @emails.job()
        async def send(to: str, subject: str) -> None:
            if not to.endswith(".example"):
                raise Reject(f"no mail server for {to}")
            await anyio.sleep(0.1)

        @orders.job()
        async def ship(order: int, express: bool = False) -> None:
            await anyio.to_thread.run_sync(closed.wait)

        async with (
            Worker(emails, name="mailer", concurrency=8).open(),
            Worker(orders, name="packer", concurrency=4).open(),
        ):
            for number in range(9):
                to = f"customer{number}@shop.{'example' if number % 3 else 'invalid'}"
                await send.enqueue(to, f"Your order {1000 + number}")
            for number in range(14):
                await ship.enqueue(1000 + number, express=number % 3 == 0)
                await client.xadd("events", {"type": "order", "order": str(1000 + number), "data": '{"items": 3}'})
            for channel in ("prices", "stock", "chat:support"):
                await subscribers.subscribe(channel)
            await client.xgroup_create("events", "billing", "0")
            policy = (b"ACKWAIT", 30_000, b"MAXDELIVER", 5, b"DEADLETTER", b"events.dead", b"ORDERBY", b"order")
            await ask(client, [(b"XGROUP", b"CFGSET", b"events", b"billing", *policy)])
            await client.xreadgroup("billing", "ledger", {"events": ">"}, count=5)
            await ship.enqueue(2000, delay=86400)
            # as much as the mailer can do, now a little more and now a little less
            for number in itertools.count():
                if await anyio.to_thread.run_sync(closed.wait, 0.25):
                    break
                mails = range(int(19 + 9 * math.sin(number / 20)))
                await emails.enqueue_many([send.call(f"customer{one}@shop.example", "News") for one in mails])


def _trade(url: str, closed: threading.Event) -> None:
    """Have the server answer questions, more and fewer of them."""
    numbers, begun = random.Random(1), time.monotonic()
    with redis.Redis.from_url(url, client_name="checkout", protocol=3) as client:
        while not closed.wait(0.05):
            with client.pipeline(transaction=False) as batch:
                for _ in range(int(40 + 30 * math.sin((time.monotonic() - begun) / 4) + numbers.random() * 20)):
                    batch.hgetall(f"customer:{numbers.randrange(50)}")
                    batch.incr("stats:views")
                    batch.get(f"cart:{numbers.randrange(50)}")
                    batch.set(f"cart:{numbers.randrange(40)}", "x" * numbers.randrange(2000), ex=30)
                batch.execute()
            if numbers.random() < 0.01:
                client.eval("local n = 0 for i = 1, 300000 do n = n + i end return n", 0)
