"""Keys beside a stream."""

from itertools import product

import pytest

from broker.policies.companion_keys import companion_key, stream_beside


@pytest.mark.parametrize(
    ("stream", "key"),
    [(b"k", b"~x:{k}:k"), (b"{t}k", b"~x:{t}:{t}k"), (b"{", b"~x:{{}:{"), (b"", b"~x:{}:"),
     (b"a}:b}:c", b"~x:{}:a}:b}:c"), (b"{}k", b"~x:{}:{}k")],
)  # fmt: skip
def test_names(stream: bytes, key: bytes) -> None:
    assert companion_key(b"~x:{", stream) == key
    assert stream_beside(b"~x:{", key) == stream
    assert stream_beside(b"~y:{", key) is None


def test_no_two_streams_share_a_key() -> None:
    names = [bytes(letters) for size in range(8) for letters in product(b"q{}:", repeat=size)]
    assert len({companion_key(b"~x:{", name) for name in names}) == len(names)


@pytest.mark.parametrize("key", [b"k", b"~x:k", b"~x:{a}:b", b"~x:{a", b"~x:{a}b", b"~x:{a}:b}:a}:b"])
def test_other_keys(key: bytes) -> None:
    assert stream_beside(b"~x:{", key) is None
