"""What INFO says about a server and its part in replication."""

from __future__ import annotations

from dataclasses import dataclass

from broker.remote.connection import Connection


@dataclass(frozen=True)
class Follower:
    """A replica as its master sees it: what it has acknowledged, in bytes, and seconds since it said so."""

    address: str
    state: str
    offset: int
    lag: int


@dataclass(frozen=True)
class Info:
    """INFO's fields by name, and what is read from them."""

    fields: dict[str, str]

    def number(self, name: str, default: int = 0) -> int:
        """A field's number; the default if there is no such field, or no number in it."""
        try:
            return int(self.fields.get(name, default))
        except ValueError:
            return default

    @property
    def is_master(self) -> bool:
        return self.fields.get("role") == "master"

    @property
    def master(self) -> str:
        """The address that a replica follows."""
        return f"{self.fields.get('master_host')}:{self.fields.get('master_port')}"

    @property
    def link_is_up(self) -> bool:
        return self.fields.get("master_link_status") == "up"

    @property
    def offset(self) -> int:
        """The bytes of the stream of writes that a master has produced, or that a replica has received."""
        return self.number("master_repl_offset" if self.is_master else "slave_repl_offset")

    @property
    def product(self) -> str:
        """The server's name and version."""
        fields = self.fields
        if "trimaran_version" in fields:
            return f"Trimaran {fields['trimaran_version']}"
        if fields.get("server_name") == "valkey":
            return f"Valkey {fields.get('valkey_version', '?')}"
        return f"Redis {fields.get('redis_version', '?')}"

    @property
    def keys(self) -> dict[str, int]:
        """The number of keys in each database that has any."""
        found = {}
        for name, value in self.fields.items():
            if name.startswith("db") and name[2:].isdecimal():
                found[name] = int(_parts(value).get("keys", 0))
        return found

    @property
    def followers(self) -> list[Follower]:
        """A server's replicas."""
        found = []
        for name, value in self.fields.items():
            if name.startswith("slave") and name[5:].isdecimal():
                parts = _parts(value)
                address = f"{parts.get('ip', '?')}:{parts.get('port', '?')}"
                found.append(
                    Follower(address, parts.get("state", "?"), int(parts.get("offset", 0)), int(parts.get("lag", 0)))
                )
        return found


def read_info(connection: Connection) -> Info:
    """The server's INFO. Raises ReplyError, TimeoutError and OSError."""
    lines = connection.text("INFO").split("\r\n")
    return Info(dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#")))


def _parts(value: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in value.split(",") if "=" in part)
