"""RDB files and DUMP payloads: values in Redis's serialisation, out and in."""
