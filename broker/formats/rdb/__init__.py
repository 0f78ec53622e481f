"""Writing and reading RDB files and DUMP payloads: values in Redis's serialisation."""
