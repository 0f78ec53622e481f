"""Keys beside a stream."""

import pytest

from broker.policies.companion_keys import companion_key, stream_beside


@pytest.mark.parametrize(
    ("stream", "key"), [(b"k", b"~x:{k}:k"), (b"{t}k", b"~x:{t}:{t}k"), (b"a}:b}:c", b"~x:{a}:b}:c}:a}:b}:c")]
)
def test_names(stream: bytes, key: bytes) -> None:
    assert companion_key(b"~x:{", stream) == key
    assert stream_beside(b"~x:{", key) == stream
    assert stream_beside(b"~y:{", key) is None


@pytest.mark.parametrize("key", [b"k", b"~x:k", b"~x:{a}:b", b"~x:{a", b"~x:{a}b"])
def test_other_keys(key: bytes) -> None:
    assert stream_beside(b"~x:{", key) is None
