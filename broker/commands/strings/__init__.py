"""Commands on strings: whole, in parts, as numbers, bits, bit fields and HyperLogLogs."""
