"""Start-up: what is loaded, in which order, what is cut off or refused, and that a refusal changes nothing."""

import pytest
import trio

from broker import open_broker
from broker.config import Config
from broker.formats.aof.writing import CommandWriter, sealed
from broker.network.listeners import StartError
from broker.persistence.persistence import Storage
from broker.persistence.recovery import Recovery
from broker.server import Server
from protocol.replies import bulks
from tests.broker.inprocess import Broker
from tests.broker.persistence.durable import APPENDONLY, INCREMENT, MANIFEST, InPlace, contents, durable
from tests.broker.persistence.files_made import saved, sealed_file
from tests.broker.persistence.folders import BASE, aof, folder, loaded, rdb, refused
from tests.broker.persistence.payloads import sealed as sealed_payload
from tests.broker.persistence.simulated_disk import SimulatedDisk
from tests.broker.sessions import make_broker, make_session, run

SNAPSHOT = {"save": ""}
SECOND = "appendonlydir/appendonly.aof.2.incr.aof"
FUNCTION = "#!lua name=lib\nredis.register_function('f', function() return 1 end)"
LONG_AGO = 1_000_000_000_000
SOON_ENOUGH = 4_102_444_800_000


# Which files


async def test_with_appendonly_the_snapshot_does_not_count() -> None:
    disk = folder(rdb("SET from base"), aof("SET more increment"))
    snapshot = SimulatedDisk({**disk.files(), "dump.rdb": rdb("SET from snapshot")})
    assert await loaded(snapshot) == {b"from": b"base", b"more": b"increment"}
    assert await contents(snapshot, SNAPSHOT) == {b"from": b"snapshot"}


async def test_with_appendonly_and_no_append_only_file_the_start_is_an_empty_one() -> None:
    disk = SimulatedDisk({"dump.rdb": rdb("SET from snapshot")})
    assert await loaded(disk) == {}
    assert disk.files()["dump.rdb"] == rdb("SET from snapshot") or "dump.rdb" in disk.files()
    assert {BASE, INCREMENT, MANIFEST} <= disk.files().keys()
    for image in disk.crash_images():
        assert await loaded(image) == {}


async def test_without_any_file_the_start_is_an_empty_one() -> None:
    assert await contents(SimulatedDisk(), SNAPSHOT) == {}
    assert await loaded(SimulatedDisk()) == {}


async def test_an_increment_goes_on_where_it_ended() -> None:
    """Also one that redis-server has written, which has no checksums, and has closed."""
    disk = folder(rdb("SET a 1"), aof("SELECT 0", "SET b 1"))
    text = disk.files()[MANIFEST].replace(b"type i", b"type i startoffset 0 endoffset 99")
    disk = SimulatedDisk({**disk.files(), MANIFEST: text})
    for number in range(3):
        async with durable(disk, APPENDONLY) as broker:
            await (await broker.client()).call(f"SET more{number} 1")
            assert b"startoffset 0\n" in disk.files()[MANIFEST]
        assert b"startoffset 0 endoffset 99\n" in disk.files()[MANIFEST]
    assert disk.files()[INCREMENT].startswith(aof("SELECT 0", "SET b 1")) and not disk.files().get(SECOND)
    assert set(await loaded(disk)) == {b"a", b"b", b"more0", b"more1", b"more2"}


async def test_a_rewrite_right_after_the_load_of_an_unsealed_file_leaves_a_readable_one() -> None:
    disk = folder(rdb("SET a 1"), aof("SELECT 0", "SET b 1"))
    async with durable(disk, APPENDONLY) as broker:
        client = await broker.client()
        await client.call("BGREWRITEAOF")
        while broker.broker.persistence.background.active:
            await trio.sleep(0.001)
        await client.call("SET c 1")
    assert set(await loaded(disk)) == {b"a", b"b", b"c"}


async def test_a_folder_without_an_increment_gets_one() -> None:
    disk = folder(rdb("SET a 1"))
    async with durable(disk, APPENDONLY) as broker:
        await (await broker.client()).call("SET b 1")
    assert await loaded(disk) == {b"a": b"1", b"b": b"1"}


async def test_each_file_begins_in_the_first_database() -> None:
    disk = folder(rdb("SET a 1"), aof("SELECT 3", "SET b 1"), aof("SET c 1"))
    assert await loaded(disk) == {b"a": b"1", b"c": b"1"}


async def test_history_and_temporary_files_are_removed() -> None:
    disk = folder(rdb("SET a 1"), aof("SET b 1"), history=aof("SET old 1"))
    orphans = {f"appendonlydir/temp-{name}": b"x" for name in ("rewriteaof-bg-1.aof", "appendonly.aof.incr")}
    others = {
        "temp-9.rdb": b"redis-server's", "temp-save-9-other.rdb": b"another's", "appendonlydir/temp-9.txt": b"mine",
        "template": b"mine",
    }  # fmt: skip
    own = {"temp-save-1-dump.rdb": b"x", "temp-bgsave-22-dump.rdb": b"x"}
    disk = SimulatedDisk({**disk.files(), **orphans, **others, **own})
    assert await loaded(disk, save="3600 1") == {b"a": b"1", b"b": b"1"}
    assert {*disk.files()} == {BASE, INCREMENT, MANIFEST, "appendonlydir.lock", "dump.rdb.lock", "dump.rdb", *others}
    assert b"type h" not in disk.files()[MANIFEST]


async def test_what_is_being_written_in_a_folder_that_is_anothers_stays() -> None:
    """Who keeps no files there has no business there."""
    disk = SimulatedDisk({"temp-save-9-dump.rdb": b"a save under way"})
    assert await contents(disk, SNAPSHOT) == {}
    assert disk.files() == {"temp-save-9-dump.rdb": b"a save under way"}


# What is in them


async def test_functions_and_keys_of_a_dump_and_of_commands() -> None:
    library = bulks([b"FUNCTION", b"LOAD", FUNCTION.replace("lib", "second").replace("'f'", "'g'").encode()])
    disk = folder(rdb("SET a 1", functions=[FUNCTION.encode()], aof_base=True), library)
    async with durable(disk, APPENDONLY) as broker:
        client = await broker.client()
        assert await client.call("FCALL f 0") == await client.call("FCALL g 0") == b":1\r\n"
        assert await client.call("GET a") == b"$1\r\n1\r\n"


async def test_a_library_that_is_wrong_is_refused() -> None:
    text = await refused(folder(rdb("SET a 1", functions=[b"nonsense"], aof_base=True), b""))
    assert text == (
        f"Fatal error loading the DB: /{BASE}: ERR Missing library metadata. The file can't be loaded; nothing was"
        " changed in it"
    )


async def test_what_is_unknown_is_refused() -> None:
    text = await refused(folder(rdb("SET a 1"), aof("SET b 1", "FROBNICATE x y")))
    assert text == f"/{INCREMENT}: unknown command 'FROBNICATE' before byte {len(aof('SET b 1', 'FROBNICATE x y'))}"
    assert "unknown command 'SET'" in await refused(folder(None, aof("SET b")))
    assert "DB index is out of range" in await refused(folder(None, aof("SET a 1", "SELECT 99", "SET b 1")))


async def test_commands_that_have_been_renamed_are_known_by_both_names() -> None:
    disk = folder(None, aof("SET a 1", "DEL a", "SET b 1", "SETTLE c 1"))
    config = Config()
    config.port = 0
    config.renamed_commands = [(b"SET", b"SETTLE")]
    storage = Storage(disk, InPlace)
    async with open_broker({**APPENDONLY, "dir": "/"}, config=config, storage=storage) as server:
        client = await Broker(server).client()
        assert await client.call("MGET a b c") == b"*3\r\n$-1\r\n$1\r\n1\r\n$1\r\n1\r\n"
        assert (await client.call("SET d 1")).startswith(b"-ERR unknown command")
        await client.stream.aclose()


async def test_a_limit_that_is_lower_now_concerns_clients_alone() -> None:
    disk = folder(None, aof("SET s " + "x" * 1000, "SETRANGE s 1100000 xyz", "SETBIT bits 9000000 1"))
    async with durable(disk, {**APPENDONLY, "proto-max-bulk-len": "1mb"}) as broker:
        client = await broker.client()
        assert await client.call("STRLEN s") == b":1100003\r\n"
        assert await client.call("GETBIT bits 9000000") != b":1\r\n"
        assert await client.call("STRLEN bits") == b":1125001\r\n"
        assert (await client.call("SETRANGE s 1100000 xyz")).startswith(b"-ERR string exceeds maximum")


async def test_a_command_that_fails_has_no_effect() -> None:
    disk = folder(rdb("SET a 1"), aof("LPUSH a x", "SET b 1", "LPUSH a x"))
    assert await loaded(disk) == {b"a": b"1", b"b": b"1"}


async def test_keys_past_their_deadline_stay_until_all_is_loaded() -> None:
    commands = [
        "SET gone 1", f"PEXPIREAT gone {LONG_AGO}",
        "SET kept 1", f"PEXPIREAT kept {LONG_AGO}", f"PEXPIREAT kept {SOON_ENOUGH}",
        f"SET later 1 PXAT {LONG_AGO}", "PERSIST later", f"SET dropped 1 PXAT {LONG_AGO}",
        f"SET counted 1 PXAT {LONG_AGO}", "INCR counted", "PERSIST counted",
        "HSET hash f 1 g 1 h 1", f"HPEXPIREAT hash {LONG_AGO} FIELDS 2 f g", "HINCRBY hash f 1",
        "HPERSIST hash FIELDS 1 f",
        f"SET renamed 1 PXAT {LONG_AGO}", "RENAME renamed to", "PERSIST to",
        f"SET copied 1 PXAT {LONG_AGO}", "COPY copied copy", "PERSIST copy",
        f"HSETEX x PXAT {LONG_AGO} FIELDS 1 f v", "HPERSIST x FIELDS 1 f",
        "SET read 1", f"GETEX read PXAT {LONG_AGO}", "GETEX read PERSIST",
    ]  # fmt: skip
    disk = folder(None, aof(*commands))
    async with durable(disk, APPENDONLY) as broker:
        client = await broker.client()
        assert await client.call("EXISTS gone dropped copied") == b":0\r\n"
        assert await client.call("EXISTS kept later to copy x read") == b":6\r\n"
        assert await client.call("GET counted") == b"$1\r\n2\r\n"
        assert await client.call("HGETALL hash") == b"*4\r\n$1\r\nf\r\n$1\r\n2\r\n$1\r\nh\r\n$1\r\n1\r\n"
        # What has expired by now is gone from the file, too.
        assert b"gone" in disk.files()[INCREMENT].split(b"gone", 3)[-2] + b"gone"
    assert b"DEL" in disk.files()[INCREMENT] or b"UNLINK" in disk.files()[INCREMENT]


async def test_a_key_restored_with_a_deadline_of_the_past_may_get_another() -> None:
    broker = make_broker()
    session = make_session(broker)
    run(session, "SET k v")
    payload = run(session, "DUMP k").split(b"\r\n", 1)[1][:-2]
    restored = bulks([b"RESTORE", b"k", b"%d" % LONG_AGO, payload, b"ABSTTL"])
    assert await loaded(folder(None, restored + aof("PERSIST k"))) == {b"k": b"v"}


async def test_entries_of_producers_as_redis_server_writes_them() -> None:
    """The ID in place of `*` where an entry was added, and the command as it came where it was a duplicate."""
    disk = folder(
        None,
        aof("XADD s IDMP p a 1-1 f v", "XADD s IDMP p a * f v", "XADD s IDMP p b 2-1 f v", "XADD s IDMP p a 900-1 f v"),
    )
    async with durable(disk, APPENDONLY) as broker:
        client = await broker.client()
        assert await client.call("XLEN s") == b":3\r\n"
        info = await client.call("XINFO STREAM s")
        assert b"iids-added\r\n:3" in info and b"iids-duplicates\r\n:1" in info
        assert b"can be used only with auto-generated IDs" in await client.call("XADD s IDMP p c 1000-1 f v")


async def test_an_expired_key_of_a_base_stays_until_all_is_loaded_and_one_of_a_snapshot_is_not_loaded() -> None:
    broker = make_broker()
    run(make_session(broker), f"SET k v PXAT {SOON_ENOUGH}")
    data = saved(broker).replace(SOON_ENOUGH.to_bytes(8, "little"), LONG_AGO.to_bytes(8, "little"))[:-8] + bytes(8)
    assert await loaded(folder(data, aof("PERSIST k"))) == {b"k": b"v"}
    async with durable(SimulatedDisk({"dump.rdb": data}), SNAPSHOT) as running:
        assert await (await running.client()).call("DBSIZE") == b":0\r\n"
        assert running.broker.persistence.recovery.loaded.expired == 1


@pytest.mark.parametrize("name", ["SHUTDOWN", "SUBSCRIBE", "BLPOP", "EXEC", "QUIT", "SAVE", "BGREWRITEAOF", "DEBUG"])
async def test_a_file_may_hold_any_command(name: str) -> None:
    """It is loaded or refused; nothing else comes of it."""
    command = bulks([name.encode(), *[b"0"] * {"SUBSCRIBE": 1, "BLPOP": 2, "DEBUG": 1}.get(name, 0)])
    disk = folder(None, aof("SET a 1") + command + aof("SET b 1"))
    try:
        assert await loaded(disk) == {b"a": b"1", b"b": b"1"}
    except* StartError:
        pass


# A file of Redis before 7


OLDER = {
    "commands": aof("SELECT 0", "SET a 1", "multi", "SET b 1", "exec"),
    "a dump and commands": rdb("SET a 1") + aof("SELECT 0", "SET b 1"),
}


@pytest.mark.parametrize("data", OLDER.values(), ids=OLDER)
async def test_a_single_file_of_an_older_redis_is_taken_over(data: bytes) -> None:
    disk = SimulatedDisk({"appendonly.aof": data})
    async with durable(disk, APPENDONLY) as broker:
        await (await broker.client()).call("SET c 1")
    assert "appendonly.aof" not in disk.files() and disk.files()["appendonlydir/appendonly.aof"] == data
    assert set(await loaded(disk)) == {b"a", b"b", b"c"}


@pytest.mark.parametrize("data", OLDER.values(), ids=OLDER)
async def test_power_may_be_lost_at_each_step_of_taking_it_over(data: bytes) -> None:
    disk = SimulatedDisk({"appendonly.aof": data})
    images: list[SimulatedDisk] = []
    original = disk.call

    def call(name: str) -> bool:
        images.extend(disk.crash_images(limit=10, seed=len(images)))
        return original(name)

    disk.call = call  # type: ignore[method-assign]
    await loaded(disk)
    assert len(images) > 20
    for image in images:
        assert set(await loaded(image)) == {b"a", b"b"}


async def test_of_two_single_files_none_is_preferred() -> None:
    disk = SimulatedDisk({"appendonly.aof": aof("SET a 1"), "appendonlydir/appendonly.aof": aof("SET b 1")})
    assert await refused(disk) == (
        "/appendonly.aof: the file is also at /appendonlydir/appendonly.aof, and no manifest says which one counts"
    )


async def test_a_single_file_beside_a_folder_with_data_is_left_alone() -> None:
    disk = SimulatedDisk({**folder(rdb("SET a 1"), b"").files(), "appendonly.aof": aof("SET b 1")})
    assert await loaded(disk) == {b"a": b"1"}
    assert disk.files()["appendonly.aof"] == aof("SET b 1")


# The end of the last file


CUT = aof("SET a 1", "SET b 1")
WHOLE = len(aof("SET a 1"))
MULTI = aof("SET a 1", "MULTI", "SET b 1", "SET c 1")


@pytest.mark.parametrize("data", [CUT[:-1], CUT[: WHOLE + 1], MULTI, MULTI[:-3], aof("SET a 1", "MULTI")])
async def test_a_cut_end_is_cut_off(data: bytes) -> None:
    disk = folder(rdb("SET base 1"), data)
    assert await loaded(disk) == {b"base": b"1", b"a": b"1"}
    assert disk.files()[INCREMENT] == data[:WHOLE]
    async with durable(disk, APPENDONLY) as broker:
        await (await broker.client()).call("SET c 2")
    assert await loaded(disk) == {b"base": b"1", b"a": b"1", b"c": b"2"}


UNEXPECTED_END = "Unexpected end of file reading the append only file"


@pytest.mark.parametrize("data", [CUT[:-1], MULTI])
async def test_a_cut_end_is_refused_where_that_is_asked_for(data: bytes) -> None:
    text = await refused(folder(rdb("SET base 1"), data), **{"aof-load-truncated": "no"})
    assert text.startswith(
        f"{UNEXPECTED_END} /{INCREMENT}: ends in the middle of a command after byte {WHOLE}. Either set"
    )


async def test_empty_increments_may_follow_a_cut_one() -> None:
    disk = folder(None, CUT[:-1], b"")
    async with durable(disk, APPENDONLY) as broker:
        await (await broker.client()).call("SET c 1")
    assert set(await loaded(disk)) == {b"a", b"c"}
    assert disk.files()[INCREMENT] == CUT[:WHOLE]


async def test_a_cut_file_that_others_follow_is_refused() -> None:
    text = await refused(folder(None, CUT[:-1], aof("SET c 1"), b""))
    assert text.startswith(
        f"{UNEXPECTED_END} /{INCREMENT}: ends in the middle of a command after byte {WHOLE}, and other"
    )


async def test_a_cut_base_is_refused() -> None:
    base = rdb("SET a 1")
    text = await refused(folder(base[:-3], b""))
    assert text.startswith(f"Fatal error loading the DB: /{BASE}: ") and "nothing was changed in it" in text


# Damage


BAD_FORMAT = "Bad file format reading the append only file"
DAMAGED = sealed(aof("SET a 1", "SET b 1")).replace(b"\r\nb\r\n", b"\r\nc\r\n")


async def test_a_flipped_bit_is_refused_with_its_place() -> None:
    text = await refused(folder(rdb("SET base 1"), sealed(aof("SET d 1")) + DAMAGED))
    at = len(sealed(aof("SET d 1"))) + len(CUT)
    assert text.startswith(f"{BAD_FORMAT} /{INCREMENT}: wrong checksum at byte {at}. Make a copy of it")


async def test_damage_at_the_end_is_cut_off_where_that_is_asked_for() -> None:
    library = bulks([b"FUNCTION", b"LOAD", FUNCTION.replace("lib", "second").replace("'f'", "'g'").encode()])
    good = sealed(aof("SET d 1") + library)
    base = rdb("SET base 1", functions=[FUNCTION.encode()])
    disk = folder(base, good + DAMAGED)
    assert "wrong checksum" in await refused(disk, **{"aof-load-corrupt-tail-max-size": str(len(DAMAGED) - 1)})
    async with durable(disk, {**APPENDONLY, "aof-load-corrupt-tail-max-size": str(len(DAMAGED))}) as broker:
        client = await broker.client()
        assert await client.call("FCALL g 0") == b":1\r\n"
        assert await client.call("MGET d a b") == b"*3\r\n$1\r\n1\r\n$-1\r\n$-1\r\n"
        assert disk.files()[INCREMENT] == good
        await client.call("SET e 1")
    assert await loaded(disk) == {b"base": b"1", b"d": b"1", b"e": b"1"}


async def test_a_damaged_manifest_is_refused() -> None:
    disk = folder(rdb("SET a 1"), b"")
    text = await refused(SimulatedDisk({**disk.files(), MANIFEST: b"file x seq 1\n"}))
    assert text == f"/{MANIFEST}: Invalid AOF manifest file format (line 1: 'file x seq 1')"
    assert "empty AOF manifest" in await refused(SimulatedDisk({**disk.files(), MANIFEST: b""}))


async def test_a_missing_file_is_refused() -> None:
    files = folder(rdb("SET a 1"), b"").files()
    del files[BASE]
    assert await refused(SimulatedDisk(files)) == f"/{BASE}: the manifest names this file, but it doesn't exist"


async def test_a_damaged_snapshot_is_refused_and_never_replaced() -> None:
    data = rdb("SET a 1")
    for bad in (data[:-1], data[:20], b"", b"junk", data.replace(b"\1a", b"\1b")):
        text = await refused(SimulatedDisk({"dump.rdb": bad}), appendonly="no", save="1 1")
        assert text.startswith("Fatal error loading the DB: /dump.rdb: ") and text.endswith("nothing was changed in it")


# Early clients


async def test_early_clients_are_told_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    writer = CommandWriter()
    data = b"".join(writer.encode([(0, [b"SET", b"k%d" % number, b"v"])]) for number in range(1000))
    begun, may_end = trio.Event(), trio.Event()
    original = Recovery._load

    async def slow(self: Recovery, steps: object, before: int = 0) -> None:
        await original(self, steps, before)  # type: ignore[arg-type]
        begun.set()
        await may_end.wait()

    monkeypatch.setattr(Recovery, "_load", slow)
    disk = folder(None, data)
    servers: list[Server] = []
    async with trio.open_nursery() as nursery:

        async def start() -> None:
            settings = {**APPENDONLY, "dir": "/"}
            storage = Storage(disk, InPlace)
            async with open_broker(settings, started=servers.append, storage=storage) as server:
                client = await Broker(server).client()
                assert await client.call("DBSIZE") == b":1000\r\n"
                assert "loading:0" in await client.text("INFO persistence")
                await client.stream.aclose()

        nursery.start_soon(start)
        await begun.wait()
        client = await Broker(servers[0]).client()
        loading = b"-LOADING Redis is loading the dataset in memory\r\n"
        assert await client.call("GET k1") == await client.call("SET k1 x") == await client.call("DBSIZE") == loading
        assert await client.call("CONFIG SET dir .") != b"+OK\r\n"
        info = await client.text("INFO persistence")
        fields = "loading_rdb_used_mem:0", "loading_loaded_perc:", "loading_eta_seconds:"
        for line in ("loading:1", f"loading_total_bytes:{len(data)}", *fields):
            assert line in info
        await client.stream.aclose()
        may_end.set()


async def test_keys_of_types_that_are_not_there_are_left_out_if_so_configured() -> None:
    array = b"\x1c\x03odd\x01\x00\x00\x03\x01x"
    disk = SimulatedDisk()
    file = disk.create("/dump.rdb")
    file.write(sealed_file(b"\x00\x01k\x01v" + array, 15))
    file.close()
    refusal = await refused(disk, appendonly="no")
    assert "key 'odd' holds an array" in refusal and "rdb-skip-unsupported yes" in refusal
    async with durable(disk, {"appendonly": "no", "save": "", "rdb-skip-unsupported": "yes"}) as broker:
        client = await broker.client()
        assert await client.call("KEYS *") == b"*1\r\n$1\r\nk\r\n"
        assert "trimaran_rdb_keys_skipped:1" in await client.text("INFO persistence")
        reply = await client.call("RESTORE", "k", "0", sealed_payload(array[:1] + array[5:], 15), "REPLACE")
        assert reply == b"-ERR Bad data format: it holds an array, which this broker doesn't have\r\n"
