"""The tests. Folders mirror the tree; oracle/ hostile/ crash/ clients/ benchmarks/ stand beside it."""
