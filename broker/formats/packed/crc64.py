"""The CRC-64 that Redis ends its dumps with: the polynomial of Jones, reflected, starting from 0.

The check value of b"123456789" is 0xe9c6d914c4b8d9ca. This is crcmod-plus's, which has wheels wherever there may be no
compiler: 200 MB/s. `_crc64.pyx`, used when it was built, has 1.3 GB/s.
"""

from collections.abc import Callable
from functools import cache

from protocol.native import prefer

# With the bit of its degree, as crcmod wants it.
_POLYNOMIAL = 0x1_AD93_D235_94C9_35A9


@cache
def _function() -> Callable[[bytes | bytearray | memoryview, int], int]:
    import crcmod  # 6 ms, which nobody pays where the twin was built

    made: Callable[[bytes | bytearray | memoryview, int], int] = crcmod.mkCrcFun(_POLYNOMIAL, 0, True, 0)
    return made


def crc64(data: bytes | bytearray | memoryview, crc: int = 0) -> int:
    """The checksum of `data`; `crc` is that of what came before it."""
    return _function()(data, crc)


prefer(globals(), "broker.formats.packed._crc64", "crc64")
