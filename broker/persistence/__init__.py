"""What outlives the broker: journal, snapshots, rewrites and recovery, on top of the file formats in broker.formats.

`persistence` puts the parts of a running broker together: `journal` (effects on their way to the append-only file),
with `syncing` (the thread that syncs it), `background` (forked children), `saving` (RDB files), `rewriting` (the
append-only folder), `recovery` (start-up) and `claims` (which broker may write which files). `check` examines files.
All of them touch the disk only through `files`.
"""
