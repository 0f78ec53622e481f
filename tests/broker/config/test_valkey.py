"""valkey.conf: Valkey 9's directives where a redis.conf may have Redis's."""

from pathlib import Path

import pytest

from broker.config import Config, ConfigFileError, load
from broker.config.directives import BY_NAME, TABLE
from broker.config.valkey import SYNONYMS, ValkeyDeclarations

# What Valkey 9.1's CONFIG GET shows (and its hidden directives) where the name or the default is not Redis 8.10's.
LINES = """\
active-defrag-cycle-us 500
aof_rewrite_cpulist ""
availability-zone ""
bgsave_cpulist ""
bio_cpulist ""
cluster-announce-client-ipv4 ""
cluster-announce-client-ipv6 ""
cluster-announce-client-port 0
cluster-announce-client-tls-port 0
cluster-blacklist-ttl 60
cluster-config-save-behavior sync
cluster-databases 1
cluster-manual-failover-timeout 5000
cluster-slave-no-failover no
cluster-slave-validity-factor 10
cluster-slot-migration-log-max-len 1000
commandlog-execution-slower-than 10000
commandlog-large-reply-max-len 128
commandlog-large-request-max-len 128
commandlog-reply-larger-than 1048576
commandlog-request-larger-than 1048576
commandlog-slow-execution-max-len 128
dual-channel-replication-enabled no
extended-redis-compatibility no
hash-max-ziplist-entries 512
hash-max-ziplist-value 64
hash-seed ""
hide-user-data-from-log yes
import-mode no
lazyfree-lazy-eviction yes
lazyfree-lazy-expire yes
lazyfree-lazy-server-del yes
lazyfree-lazy-user-del yes
lazyfree-lazy-user-flush yes
list-max-ziplist-size -2
log-format legacy
log-timestamp-format legacy
lua-time-limit 5000
min-slaves-max-lag 10
min-slaves-to-write 0
mptcp no
prefetch-batch-max-size 16
primaryauth ""
primaryuser ""
rdb-version-check strict
rdma-bind ""
rdma-completion-vector -1
rdma-port 0
rdma-rx-size 1048576
repl-backlog-size 10485760
repl-mptcp no
repl-ping-slave-period 10
replica-lazy-flush yes
server_cpulist ""
slave-announce-ip ""
slave-announce-port 0
slave-ignore-maxmemory yes
slave-lazy-flush yes
slave-priority 100
slave-read-only yes
slave-serve-stale-data yes
slot-migration-max-failover-repl-bytes 0
syslog-ident valkey
tls-auto-reload-interval 0
unixsocketgroup ""
zset-max-ziplist-entries 128
zset-max-ziplist-value 64
aof-disable-auto-gc no
cluster-message-gossip-perc 10
cluster-ping-interval 0
io-threads-always-active no
key-load-delay 0
loading-process-events-interval-bytes 2097152
lua-enable-insecure-api no
min-io-threads-avoid-copy-reply 7
min-string-size-avoid-copy-reply 16384
min-string-size-avoid-copy-reply-threaded 65536
rdb-key-save-delay 0
tcp-keepalive-probes 3
use-exit-on-panic no
watchdog-period 0
"""


@pytest.mark.parametrize("line", LINES.splitlines())
def test_a_line_of_a_valkey_conf(line: str, tmp_path: Path) -> None:
    file = tmp_path / "valkey.conf"
    file.write_text(f"{line}\n")
    load(Config(), [str(file).encode()])


def test_a_valkey_conf_starts_and_names_what_has_no_effect(tmp_path: Path) -> None:
    file = tmp_path / "valkey.conf"
    file.write_text(LINES + "dual-channel-replication-enabled yes\nmptcp yes\n")
    config = Config()
    load(config, [str(file).encode()])
    assert {"dual-channel-replication-enabled", "mptcp"} <= set(config.without_effect())
    assert config.log_format == "text"


def test_every_directive_of_valkey_is_in_a_line() -> None:
    names = {line.split()[0] for line in LINES.splitlines()}
    assert {name for name in TABLE if TABLE[name].attribute in vars(ValkeyDeclarations)} <= names
    assert SYNONYMS.keys() <= names


def test_other_names_mean_the_same_directive() -> None:
    config = Config()
    config.set([(b"primaryauth", b"secret")])
    assert config.masterauth == b"secret"
    assert config.get([b"PrimaryAuth"]) == [(b"PrimaryAuth", b"secret")]
    assert all(BY_NAME[name] is TABLE[meant] for name, meant in SYNONYMS.items())


def test_patterns_find_only_what_redis_has() -> None:
    shown = {name.decode() for name, _ in Config().get([b"*"])}
    assert not shown & SYNONYMS.keys()
    assert not shown & {name for name in TABLE if TABLE[name].attribute in vars(ValkeyDeclarations)}


def test_what_must_not_be_ignored_is_refused(tmp_path: Path) -> None:
    for line, what in (("rdma-port 6379", "RDMA"),):
        with pytest.raises(ConfigFileError, match=f"{what} is not supported"):
            load(Config(), [f"--{line.split()[0]}".encode(), line.split()[1].encode()])
