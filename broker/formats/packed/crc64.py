"""The CRC-64 at the end of Redis's dumps: the polynomial of Jones, reflected, starting from 0.

The check value of b"123456789" is 0xe9c6d914c4b8d9ca. This module uses crcmod-plus, which has wheels for platforms that
may lack a compiler: 200 MB/s. `_crc64.pyx`, used when it is built, reaches 1.3 GB/s.
"""

from collections.abc import Callable
from functools import cache

from protocol.native import prefer

# Including the bit of its degree, as crcmod requires.
_POLYNOMIAL = 0x1_AD93_D235_94C9_35A9


@cache
def _function() -> Callable[[bytes | bytearray | memoryview, int], int]:
    import crcmod  # takes 6 ms, which is saved if the twin is built

    made: Callable[[bytes | bytearray | memoryview, int], int] = crcmod.mkCrcFun(_POLYNOMIAL, 0, True, 0)
    return made


def crc64(data: bytes | bytearray | memoryview, crc: int = 0) -> int:
    """Returns the checksum of `data`; `crc` is that of the preceding data."""
    return _function()(data, crc)


prefer(globals(), "broker.formats.packed._crc64", "crc64")
