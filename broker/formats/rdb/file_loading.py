"""Reading a dump file (RDB) of any version, from 1 to Redis 8.10's and Valkey 9.1's, key by key.

Anything wrong with a file raises BadFormat with the reason and the offset. Values of types that this broker doesn't
have (arrays, data of modules) are refused, and the error names the key and the type; on request such keys are left out.

If an append-only file begins with a dump, commands follow its checksum: `Reader.read` continues there.
"""

from collections.abc import Callable, Generator, Iterator
from typing import Any, Final

from broker.formats.rdb.active_times import ACTIVE_TIMES, restore_active_times
from broker.formats.rdb.format import (
    FILE_HEADER_BYTES,
    FIRST_CHECKSUMMED,
    MAGIC,
    OLDEST_VALKEY,
    OP_AUX,
    OP_EOF,
    OP_EXPIRETIME,
    OP_EXPIRETIME_MS,
    OP_FREQ,
    OP_FUNCTION2,
    OP_FUNCTION_PRE_GA,
    OP_HASH_TEMPLATE,
    OP_IDLE,
    OP_KEY_META,
    OP_MODULE_AUX,
    OP_RESIZEDB,
    OP_SELECTDB,
    OP_SLOT_INFO,
    STREAM_LISTPACKS_3,
    STRING,
    VALKEY_MAGIC,
    is_readable,
)
from broker.formats.rdb.hash_loading import read_fields
from broker.formats.rdb.large_values import Steps
from broker.formats.rdb.reader import EmptyValue, Reader, Unsupported
from broker.formats.rdb.target import Target
from broker.formats.rdb.unsupported import UNSUPPORTED, describe, module_name, skip_module_data, skip_value
from broker.formats.rdb.value_loading import STREAM_TYPES, begin_value
from broker.values.streams.limits import StreamLimits

_PAUSE_KEYS: Final = 1000
_PAUSE_BYTES: Final = 1 << 18
"""The caller gets a chance to do other work after this many keys or bytes, which take some milliseconds."""

_NO_DEADLINE: Final = -1

SKIPPED_NAMED: Final = 100
"""How many skipped keys are remembered by name."""


class Loaded:
    """What has been loaded of a file: its version, keys loaded, keys dropped because they had expired or were empty.

    `skipped` is the number of keys left out because this broker doesn't have their types; `skipped_keys` names the
    first of them and what they hold. `checked` is whether the file had a checksum, which then was right.
    """

    __slots__ = ("checked", "empty", "expired", "keys", "skipped", "skipped_keys", "version")

    def __init__(self) -> None:
        self.version = 0
        self.keys = 0
        self.expired = 0
        self.empty = 0
        self.skipped = 0
        self.skipped_keys: list[tuple[bytes, str]] = []
        self.checked = False


def load_rdb(
    reader: Reader,
    target: Target,
    limits: StreamLimits,
    *,
    now: int | None,
    verify: bool = True,
    skip_unsupported: bool = False,
    loaded: Loaded | None = None,
) -> Generator[int, None, Loaded]:
    """Loads a file from its beginning into `target`. Yields its current offset every few milliseconds.

    Returns `loaded`, where the keys are counted meanwhile.

    `limits` are the directives that streams obey. Keys whose deadline is before `now` (wall-clock milliseconds) are
    dropped; for the base of an append-only file `now` is None, since the commands that follow rely on all of them.
    `verify` is whether the checksum is compared (rdbchecksum). With `skip_unsupported`, keys of types that this broker
    doesn't have are left out; without, they are an error.

    Raises BadFormat; `target` keeps what was loaded until then.
    """
    loading = _Loading(reader, target, limits, now, skip_unsupported, loaded if loaded is not None else Loaded())
    loading.loaded.version = reader.version = _read_header(reader)
    yield from loading.records()
    if reader.version >= FIRST_CHECKSUMMED:
        computed = reader.checksum()
        saved = int.from_bytes(reader.take(8), "little")
        if verify and saved:
            if saved != computed:
                raise reader.bad("the checksum is wrong")
            loading.loaded.checked = True
    return loading.loaded


def _read_header(reader: Reader) -> int:
    header = reader.take(FILE_HEADER_BYTES)
    magic = VALKEY_MAGIC if header.startswith(VALKEY_MAGIC) else MAGIC
    digits = header[len(magic) :]
    if not header.startswith(magic) or not digits.isdigit():
        raise reader.bad("Wrong signature trying to load DB from file")
    version = int(digits)
    if not version or not is_readable(version):
        raise reader.bad(f"Can't handle RDB format version {version}")
    return version


class _Loading:
    """A file being loaded: the attributes of the next key, and the templates of hashes."""

    __slots__ = (
        "_active_times", "_deadline", "_frequency", "_idle", "_limits", "_now", "_reader", "_skipping", "_target",
        "_templates", "loaded",
    )  # fmt: skip

    def __init__(
        self, reader: Reader, target: Target, limits: StreamLimits, now: int | None, skipping: bool, loaded: Loaded
    ) -> None:
        self._reader = reader
        self._target = target
        self._limits = limits
        self._now = now
        self._skipping = skipping
        self._templates: dict[int, list[bytes]] = {}
        self._deadline: int | None = None
        self._idle: int | None = None
        self._frequency: int | None = None
        self._active_times: bytes | None = None
        self.loaded = loaded

    def records(self) -> Generator[int, None, None]:
        """Loads everything up to the end mark."""
        reader, loaded = self._reader, self.loaded
        offset = keys = 0
        while True:
            kind = reader.byte()
            if kind == OP_EOF:
                return
            handle = _OPCODES.get(kind)
            if handle is not None:
                handle(self)
            else:
                large = self._load_key(kind)
                if large is not None:
                    yield from self._load_large(kind, large)
                elif kind == STRING:
                    self._load_strings()
            seen = loaded.keys + loaded.expired
            if seen - keys >= _PAUSE_KEYS or reader.offset - offset >= _PAUSE_BYTES:
                keys, offset = seen, reader.offset
                yield offset

    def _load_key(self, kind: int) -> tuple[bytes, Steps] | None:
        """Loads a key; returns its name and Steps if its value takes long to read."""
        reader = self._reader
        if kind in UNSUPPORTED:
            self._leave_out(kind)
            return None
        key = reader.string()
        try:
            value = begin_value(reader, kind, self._limits, self._templates)
        except EmptyValue:
            self._skip()
            return None
        if value.__class__ is Steps:
            return key, value
        self._store(key, value)
        return None

    def _load_large(self, kind: int, large: tuple[bytes, Steps]) -> Iterator[int]:
        """Loads a value in steps: a single one can be as large as all the rest."""
        key, reading = large
        try:
            value = yield from reading.steps
        except EmptyValue:
            self._skip()
            return
        if self._active_times is not None and kind in STREAM_TYPES and kind < STREAM_LISTPACKS_3:
            for _ in restore_active_times(self._active_times, key, value):
                yield self._reader.offset
        self._store(key, value)

    def _skip(self) -> None:
        """Skips an empty value. Redis has had bugs that left such behind; it skips them and loads the rest, too."""
        self.loaded.empty += 1
        self._forget()

    def _store(self, key: bytes, value: Any) -> None:
        deadline, idle, frequency = self._deadline, self._idle, self._frequency
        self._forget()
        if deadline is not None and self._now is not None and deadline < self._now:
            self.loaded.expired += 1
            self._target.drop(value)
            return
        if not self._target.put(key, value, deadline, idle, frequency):
            raise self._reader.bad("a duplicate key")
        self.loaded.keys += 1

    def _forget(self) -> None:
        """Resets the attributes, which apply to a single key."""
        self._deadline = self._idle = self._frequency = self._active_times = None

    def _load_strings(self) -> None:
        """Loads the following keys of plain strings."""
        values: dict[bytes, bytes] = {}
        deadlines: dict[bytes, int] = {}
        count = self._reader.string_keys(_PAUSE_KEYS, values, deadlines)
        if not count:
            return
        if len(values) != count:
            raise self._reader.bad("a duplicate key")
        if deadlines:
            self._drop_expired(values, deadlines)
        if values and not self._target.put_strings(values, deadlines):
            raise self._reader.bad("a duplicate key")
        self.loaded.keys += len(values)
        self.loaded.expired += count - len(values)

    def _drop_expired(self, values: dict[bytes, bytes], deadlines: dict[bytes, int]) -> None:
        now = self._now
        for key, deadline in list(deadlines.items()):
            if deadline == _NO_DEADLINE:
                del deadlines[key]
            elif now is not None and deadline < now:
                del deadlines[key], values[key]

    def _leave_out(self, kind: int) -> None:
        """Skips a key whose value this broker can't hold, if that is allowed. Raises BadFormat."""
        reader = self._reader
        key = reader.string()
        name = repr(key[:100])[1:]
        if not self._skipping:
            raise Unsupported(f"key {name} holds {describe(reader, kind)}", reader.offset)
        what = skip_value(reader, kind)
        self._forget()
        self.loaded.skipped += 1
        if len(self.loaded.skipped_keys) < SKIPPED_NAMED:
            self.loaded.skipped_keys.append((key, what))

    # Opcodes

    def expire_seconds(self) -> None:
        self._deadline = int.from_bytes(self._reader.take(4), "little", signed=True) * 1000

    def expire_milliseconds(self) -> None:
        deadline = self._reader.signed()
        self._deadline = None if deadline == _NO_DEADLINE else deadline

    def idle(self) -> None:
        self._idle = self._reader.length()

    def frequency(self) -> None:
        self._frequency = self._reader.byte()

    def select(self) -> None:
        index = self._reader.length()
        if not self._target.select(index):
            raise self._reader.bad(f"keys of database {index}, which does not exist (see `databases`)")

    def sizes(self) -> None:
        self._reader.length()
        self._reader.length()

    def slot(self) -> None:
        """Skips the sizes of a cluster's slot, which mean nothing here."""
        self.sizes()
        self._reader.length()

    def aux(self) -> None:
        name, value = self._reader.string(), self._reader.string()
        if name == ACTIVE_TIMES:
            self._active_times = value
        else:
            self._target.aux(name, value)

    def function(self) -> None:
        source = self._reader.string()
        try:
            self._target.function(source)
        except ValueError as error:
            raise self._reader.bad(f"a library of functions can't be loaded: {error}") from None

    def function_candidate(self) -> None:
        raise self._reader.bad("functions of a release candidate of Redis 7.0")

    def template(self) -> None:
        """Reads the field names of hashes that are stored as values only."""
        reader = self._reader
        number = reader.length()
        if number in self._templates:
            raise reader.bad("a duplicate template")
        self._templates[number] = read_fields(reader)

    def module(self) -> None:
        reader = self._reader
        name = module_name(reader.length())
        if not self._skipping:
            raise Unsupported(f"data of module type {name}", reader.offset)
        # When it is to be loaded, as a part of the same form.
        reader.length()
        reader.length()
        skip_module_data(reader)

    def metadata(self) -> None:
        """Handles a slot on the move in a cluster (Valkey's files) or modules' metadata of a key (Redis's files)."""
        reader = self._reader
        if reader.version < OLDEST_VALKEY:
            raise reader.bad("a key with metadata of a module")
        reader.string()
        for _ in range(reader.length()):
            self.sizes()


_OPCODES: Final[dict[int, Callable[[_Loading], None]]] = {
    OP_EXPIRETIME: _Loading.expire_seconds,
    OP_EXPIRETIME_MS: _Loading.expire_milliseconds,
    OP_IDLE: _Loading.idle,
    OP_FREQ: _Loading.frequency,
    OP_SELECTDB: _Loading.select,
    OP_RESIZEDB: _Loading.sizes,
    OP_SLOT_INFO: _Loading.slot,
    OP_AUX: _Loading.aux,
    OP_FUNCTION2: _Loading.function,
    OP_FUNCTION_PRE_GA: _Loading.function_candidate,
    OP_HASH_TEMPLATE: _Loading.template,
    OP_MODULE_AUX: _Loading.module,
    OP_KEY_META: _Loading.metadata,
}
