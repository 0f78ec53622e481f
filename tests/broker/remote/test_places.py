"""URLs and options of the commands that talk to servers."""

import pytest

from broker.remote.places import Place, Tls, UsageError, place_of, words_of


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://", None),
        ("redis://h", Place("h")),
        ("redis://h:7000", Place("h", 7000)),
        ("redis://:p%20w@h", Place("h", password="p w")),
        ("redis://me:pw@h:1", Place("h", 1, user="me", password="pw")),
        ("redis://[::1]:7000", Place("::1", 7000)),
        ("rediss://h", Place("h", tls=Tls())),
        ("unix:///run/r.sock", Place(path="/run/r.sock")),
        ("http://h", None),
        ("redis://h:x", None),
        ("unix://", None),
    ],
)
def test_urls(url: str, place: Place | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDISCLI_AUTH", raising=False)
    if place is None:
        with pytest.raises(UsageError):
            place_of(url, Tls())
        return
    assert place_of(url, Tls()) == place


def test_the_password_of_the_environment_is_used_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDISCLI_AUTH", "secret")
    assert place_of("redis://h", Tls()).password == "secret"
    assert place_of("redis://:other@h", Tls()).password == "other"


def test_what_is_shown_has_no_password() -> None:
    place = place_of("rediss://me:secret@h:1", Tls())
    assert (str(place), place.url) == ("h:1", "rediss://h:1")
    assert place_of("unix://:secret@/p", Tls()).url == "unix:///p"


def test_words() -> None:
    words = words_of(
        ["--url=redis://h", "x", "--fast", "--cacert", "f", "--insecure", "y"], {"--url"}, {"--fast"}, others=2
    )
    assert words.values == {"--url": "redis://h", "--cacert": "f"}
    assert words.switches == {"--fast", "--insecure"} and words.others == ["x", "y"]
    assert words.place("--url") == Place("h")
    assert words.place("--other") == Place()
    assert words_of(["--url", "rediss://h", "--insecure"], {"--url"}, set()).place("--url").tls == Tls(insecure=True)


@pytest.mark.parametrize("wrong", [["x"], ["--no"], ["--url"], ["--fast=1"]])
def test_wrong_words(wrong: list[str]) -> None:
    with pytest.raises(UsageError):
        words_of(wrong, {"--url"}, {"--fast"})


def test_seconds() -> None:
    words = words_of(["--a", "1.5", "--b", "0"], {"--a", "--b", "--c"}, set())
    assert words.seconds("--a", 3) == 1.5 and words.seconds("--c", 3) == 3
    with pytest.raises(UsageError, match="--b must be a number of seconds, not '0'"):
        words.seconds("--b", 3)
