"""What the broker does on its own for streams and groups, as their policies say; docs/policies.md is the manual.

- companion_keys: the keys beside a stream where that is stored
- policy_hash: where the policies of a stream are stored
- policies: all policies in force, read from there once
- governed_group: one group under a policy; when its entries are due, and the timer for that
- governed_stream: one stream under a policy; what it may hold, and when its oldest entry is too old
- dead_letters: what becomes of an entry that nobody could handle
- delayed_entries: entries that are added to their stream when they are due
- calls: clients that wait for the answers to entries that they have added
"""
