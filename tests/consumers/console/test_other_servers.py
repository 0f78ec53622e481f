"""Every page on Valkey, and on a cluster, which other tests leave out."""

import pytest

from consumers.addresses import client_from_url
from consumers.console.app import PAGES
from tests.consumers.clusters import started_cluster, two_nodes
from tests.consumers.console.consoles import open_browser
from tests.consumers.servers import RedisServer
from tests.oracle.servers import find_valkey


async def every_page(url: str) -> dict[str, str]:
    """Fill a server and return the text of each page, and of /metrics."""
    async with client_from_url(url) as client:
        for name in ("a", "b", "c"):
            await client.sadd("rq:queues", [f"rq:queue:{name}"])
            await client.rpush(f"rq:queue:{name}", ["x"])
            await client.xadd(f"events:{name}", {"a": "b"})
    async with open_browser(url) as browser:
        await browser.console.viewpoint.queues.latest(20)
        pages = {page.path: await browser.page(page.path) for page in PAGES}
        response = await browser.get("/metrics")
        assert response.status_code == 200
        return {**pages, "/metrics": response.text}


async def groups_are_changed(url: str) -> None:
    """Create, move and delete a group, settle what it has pending, and trim its stream."""
    async with client_from_url(url) as client, open_browser(url) as browser:
        for number in range(1, 4):
            await client.xadd("{s}", {"a": "b"}, identifier=f"{number}-1")
        text = await browser.confirmed("/streams/create-group?key={s}", group="g", start="0")
        assert "was created." in text and "Change the policy" not in text
        await client.xreadgroup("g", "one", {"{s}": ">"}, count=2)
        own = "key={s}&group=g"
        idle = "999999999"
        assert "delivered again meanwhile" in await browser.confirmed(
            f"/streams/claim?{own}&id=1-1&idle={idle}", 409, consumer="two"
        )
        assert "two has the entry" in await browser.confirmed(f"/streams/claim?{own}&id=1-1&idle=0", consumer="two")
        assert "was acknowledged" in await browser.confirmed(f"/streams/acknowledge?{own}&id=2-1")
        assert "was deleted" in await browser.confirmed(f"/streams/delete-consumer?{own}&consumer=one")
        assert "was set" in await browser.confirmed(f"/streams/move-group?{own}", id="$")
        assert "1 entry was removed" in await browser.confirmed(
            "/streams/trim?key={s}", strategy="maxlen", threshold="2"
        )
        assert "was deleted" in await browser.confirmed(f"/streams/delete-group?{own}")


async def test_valkey() -> None:
    try:
        path, _ = find_valkey()
    except Exception:
        pytest.skip("no valkey-server")
    server = RedisServer(path)
    try:
        server.start()
        pages = await every_page(server.url)
        await groups_are_changed(server.url)
    finally:
        server.stop()
    assert "<h1>Valkey 9" in pages["/"]
    assert "3 of 3 shown." in pages["/queues"]
    assert (
        'kind="Valkey"' in pages["/metrics"] and 'trimaran_stream_entries{stream="events:a"} 1.0' in pages["/metrics"]
    )


async def test_a_cluster() -> None:
    with two_nodes() as nodes:
        async with started_cluster(nodes):
            places = ",".join(f"127.0.0.1:{node.port}" for node in nodes)
        pages = await every_page(f"redis+cluster://{places}")
        await groups_are_changed(f"redis+cluster://{places}")
    assert '<span class="badge">cluster</span>' in pages["/"]
    assert "3 of 3 shown." in pages["/queues"]
    assert pages["/metrics"].count("trimaran_stream_entries{") == 3
