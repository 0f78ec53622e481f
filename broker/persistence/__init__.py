"""What outlives the broker: Redis's file formats, and the journal, saves and recovery that use them.

The formats are a pure library: bytes in, values out; no socket, no clock. Read it from below: `rdb_format`
(constants, version rules), `rdb_primitives`, `rdb_strings` and `rdb_reader` (lengths, strings, numbers, written and
read), the blobs that Redis packs small values into (`listpack`, `intset`, `ziplist`, `zipmap`, `stream_listpack`),
whole values (`rdb_saving`, `rdb_loading` and what they stand on), and what consists of them: `dump_payload`, what
DUMP answers and RESTORE takes; files (`rdb_file_saving`, `rdb_file_loading`, and `rdb_target`, where what a file
holds goes). `rdb_commands` are values as commands instead. `crc64` and `lzf` are the checksum and the compression
below all of them. `aof_writing`, `aof_reading` and `manifest` are the append-only file's.

On them stand the parts of a running broker, which the module `persistence` puts together: `journal` (effects on their
way to the append-only file), `background` (forked children), `saving` (RDB files), `rewriting` (the append-only
folder), `recovery` (start-up); and `check`, which looks at files. All of it touches the disk through `files` alone.
"""
