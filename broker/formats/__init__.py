"""Redis's serialisations as pure libraries: nothing here opens a file."""
