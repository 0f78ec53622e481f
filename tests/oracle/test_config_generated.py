"""CONFIG SET of any directive to values that people mistype, and to any other: both servers do the same."""

from hypothesis import given
from hypothesis import strategies as st

from broker.config.directives import BY_NAME
from broker.config.valkey import SYNONYMS, ValkeyDeclarations
from tests.oracle.harness import examples, pair, requires
from tests.oracle.wire import parse

pytestmark = requires("8.10")

LEFT_ALONE = {
    # They move the servers, shut the test out, or need what the reference's build or the system lacks.
    "port", "bind", "dir", "logfile", "unixsocket", "tls-port", "tls-cluster", "tls-replication", "maxclients",
    "requirepass", "loglevel", "appendonly", "timeout", "maxmemory", "maxmemory-clients", "client-query-buffer-limit",
    "proto-max-bulk-len", "client-output-buffer-limit", "enable-protected-configs", "io-threads", "locale-collate",
    "server-cpulist", "bio-cpulist", "aof-rewrite-cpulist", "bgsave-cpulist", "watchdog-period", "preload-file",
    # Refused here, as what they ask for does not exist.
    "activedefrag", "key-memory-histograms", "cluster-slot-stats-enabled", "array-slice-size", "array-sparse-kmax",
    "array-sparse-kmin", "replicaof", "slaveof", "min-replicas-to-write", "min-slaves-to-write",
}  # fmt: skip
NAMES = sorted(
    name
    for name, directive in BY_NAME.items()
    if name not in LEFT_ALONE
    and name not in SYNONYMS
    and not directive.own
    and directive.attribute not in vars(ValkeyDeclarations)
)

WORDS = [
    "", "0", "1", "-1", "10", "100", "1000", "65536", "2147483648", "4294967296", "9223372036854775808",
    "18446744073709551616", "-2147483649", "1k", "1Kb", "1gb", "1tb", "10%", "101%", "-1%", "1.5", "1e2", "0x10",
    "010", "+1", " 1", "1 ", "yes", "No", "yes ", "true", "always", "a b", "a  b", '"', "\\", "\0", "1\0", "yes\0",
    "\xff", "ü", "*", "127.0.0.1", "::1", "auto", "none", "KEA", "AKE", "KgKg", "g$lshzxetdm", "save", "nosave",
    "save now", "save nosave", "99.9", "50 99 99.9", "0 0", "100.1", "inf", "nan", "1e400", "0 200 800",
    "-2000 0 2000", "3600 1", "3600 1 300 100", "volatile-lru", "allkeys-lrm", "sdsa", "clients", "optional", "CN",
    "debug", "nothing", "local", "upstart", "disabled", "on-empty-db", "flushdb", "777", "888", "1b", "b", "%",
    "99999999999999999999999999", "1_000", "1;2", "local0", "user", "{title} {port}", "{bad}", "x" * 300,
]  # fmt: skip
_words = st.sampled_from(WORDS)
_values = st.one_of(
    _words,
    st.integers(-(2**65), 2**65).map(str),
    st.integers(-10, 300).map(str),
    st.tuples(_words, st.sampled_from([" ", "", ",", "k"]), _words).map("".join),
    st.text(max_size=12),
)


@examples(200)
@given(st.lists(st.tuples(st.sampled_from(NAMES), _values), min_size=1, max_size=5))
def test_any_value(settings: list[tuple[str, str]]) -> None:
    with pair() as both:
        client = both.client()
        for name, value in settings:
            if client.theirs.call("CONFIG", "GET", name) == b"*0\r\n":
                continue  # only special builds have it, or later versions
            word = value.encode("utf-8", "surrogateescape")
            before = parse(client.do(["CONFIG", "GET", name])).items[1].text
            reply = client.do(["CONFIG", "SET", name, word])
            client.do(["CONFIG", "GET", name])
            if reply == b"+OK\r\n":
                assert client.do(["CONFIG", "SET", name, before]) == reply
