"""Glob patterns: the rules one by one, and a naive matcher that says the same about generated ones."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.process import globs as globbing
from broker.process.globs import MAX_INNER_STARS, MAX_SPECIALS, Glob


def does_match(pattern: bytes, text: bytes, nocase: bool = False) -> bool:
    return Glob(pattern, nocase).match(text)


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        (b"", b"", True),
        (b"", b"a", False),
        (b"a", b"a", True),
        (b"a", b"ab", False),
        (b"a", b"", False),
        (b"a*", b"a", True),
        (b"a**", b"a", True),
        (b"a*", b"ba", False),
        (b"*a", b"a", True),
        (b"*a", b"bca", True),
        (b"*a", b"ab", False),
        (b"a*b", b"a--b", True),
        (b"ab*ba", b"aba", False),
        (b"*a*b*", b"xxaxxbxx", True),
        (b"*a*b*", b"xxbxxaxx", False),
        (b"h?llo", b"hello", True),
        (b"h?llo", b"hllo", False),
        (b"*?", b"", False),
        (b"*??", b"abc", True),
        (b"**", b"", False),
        (b"h[ae]llo", b"hallo", True),
        (b"h[ae]llo", b"hillo", False),
        (b"h[^e]llo", b"hallo", True),
        (b"h[^e]llo", b"hello", False),
        (b"[a-c]x", b"bx", True),
        (b"[c-a]x", b"bx", True),
        (b"[a-c]x", b"dx", False),
        (b"[]x", b"x", False),
        (b"[^]x", b"ax", True),
        (b"*[0-9]*x", b"ab1cx", True),
        (b"*[0-9]y*", b"1x2y", True),
        (b"*[0-9]y*", b"1x2z", False),
        (b"*a[0-9]b*", b"a1aa2b", True),
        (b"[abc", b"c", True),
        (b"[abc", b"d", False),
        (b"[", b"a", False),
        (b"[^", b"a", True),
        (b"[a-", b"-", True),
        (b"[a-]", b"b", False),
        (b"[a-]", b"^", True),
        (b"[\\]]", b"]", True),
        (b"[\\a-c]", b"b", False),
        (b"[\\a-c]", b"-", True),
        (b"[a\\", b"\\", True),
        (b"\\*", b"*", True),
        (b"\\*", b"a", False),
        (b"a\\", b"a\\", True),
        (b"\\a", b"a", True),
        (b"[a-\xff]", b"\x00", True),
        (b"[a-\xff]", b"b", False),
        (b"\x00*\x00", b"\x00a\x00", True),
    ],
)
def test_rule(pattern: bytes, text: bytes, matches: bool) -> None:
    assert Glob(pattern).match(text) is matches


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        (b"MAX*", b"maxmemory", True),
        (b"*POLICY", b"maxmemory-policy", True),
        (b"h[A-C]llo", b"hbllo", True),
        (b"h[a-c]llo", b"hBllo", True),
        (b"h[xy]?LLO", b"hX-llo", True),
        (b"[^a]", b"A", False),
        (b"[\\a]", b"A", False),
        (b"A", b"b", False),
    ],
)
def test_rule_without_regard_to_case(pattern: bytes, text: bytes, matches: bool) -> None:
    assert Glob(pattern, nocase=True).match(text) is matches


def test_only_star_alone_matches_the_empty_text() -> None:
    assert Glob(b"*").matches_all
    assert Glob(b"*").match(b"")
    assert not Glob(b"**").matches_all
    assert not Glob(b"**").match(b"")


def test_gives_up_beyond_the_number_of_stars_where_redis_does() -> None:
    text = b"a" * (MAX_INNER_STARS + 10)
    assert Glob(b"*a" * MAX_INNER_STARS).match(text)
    assert Glob(b"*a" * MAX_INNER_STARS + b"*").match(text)
    assert not Glob(b"*a" * (MAX_INNER_STARS + 1)).match(text)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (b"a*" * 900 + b"b", b"a" * 20_000),
        (b"*a?a" * 900 + b"b", b"a" * 20_000),
        (b"*" + b"[a]" * 500 + b"b", b"a" * 2_000),
        (b"*" + b"[ab]" * 1000 + b"c*", b"a" * 100_000),
        (b"*a" + b"?" * 1000 + b"[c]*", b"a" * 100_000),
        (b"*" + b"a" * 1000 + b"[c]*", b"a" * 100_000),
        (b"?" * 100_000, b"a" * 100_000),
        (b"[" * 100_000, b"["),
        (b"\\" * 100_000, b"\\" * 50_000),
    ],
)
def test_hostile_pattern_takes_bounded_time(pattern: bytes, text: bytes) -> None:
    started = time.process_time()
    Glob(pattern).match(text)
    assert time.process_time() - started < 2


def _class(pattern: bytes, byte: int) -> tuple[bool, bytes]:
    """Whether the class that starts at the front of `pattern` holds `byte`; and what follows the class."""
    negated = pattern[:1] == b"^"
    rest = pattern[negated:]
    found = False
    while rest and rest[:1] != b"]":
        if rest[:1] == b"\\" and len(rest) > 1:
            found |= rest[1] == byte
            rest = rest[2:]
        elif rest[1:2] == b"-" and len(rest) > 2:
            low, high = sorted((rest[0], rest[2]))
            found |= low <= byte <= high
            rest = rest[3:]
        else:
            found |= rest[0] == byte
            rest = rest[1:]
    return found != negated, rest[1:]


def _naive(pattern: bytes, text: bytes) -> bool:
    if not pattern or not text:
        return not text and not pattern.strip(b"*")
    head, rest = pattern[:1], pattern[1:]
    if head == b"*":
        return any(_naive(rest, text[start:]) for start in range(len(text) + 1))
    if head == b"?":
        return _naive(rest, text[1:])
    if head == b"[":
        found, rest = _class(rest, text[0])
        return found and _naive(rest, text[1:])
    if head == b"\\" and rest:
        head, rest = rest[:1], rest[1:]
    return head == text[:1] and _naive(rest, text[1:])


_patterns = st.lists(st.sampled_from(list(b"**??[[]]^-\\abc")), max_size=10).map(bytes)
_texts = st.lists(st.sampled_from(list(b"abc[]^-\\")), min_size=1, max_size=7).map(bytes)


@given(_patterns, _texts)
def test_agrees_with_a_naive_matcher(pattern: bytes, text: bytes) -> None:
    assert Glob(pattern).match(text) is _naive(pattern, text)


@pytest.mark.parametrize("nocase", [False, True])
@given(st.data())
def test_all_places_at_once(nocase: bool, data: st.DataObject) -> None:
    """The way taken for long texts finds what the other one finds."""
    middle = data.draw(st.lists(st.sampled_from([b"?", b"[ab]", b"[^a]", b"[B-c]", b"a", b"B", b"aa"]), max_size=5))
    pattern = b"*%b*" % b"".join(middle)
    text = bytes(data.draw(st.lists(st.sampled_from(list(b"aAbBc")), min_size=1, max_size=12)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(globbing, "MAX_COMPARISONS", 1 << 30)
        one_by_one = does_match(pattern, text, nocase)
        patch.setattr(globbing, "MAX_COMPARISONS", -1)
        patch.setattr(globbing._Segment, "_checks_at_once", lambda self, size: -1)
        assert does_match(pattern, text, nocase) is one_by_one


_HUGE = 32 << 20


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        (b"?" * _HUGE, b"a", False),
        (b"a?" * (_HUGE // 2), b"a", False),
        (b"*" * _HUGE, b"a", True),
        (b"*" * _HUGE + b"a", b"ba", True),
        (b"a*" * (_HUGE // 2), b"a" * 10_000, False),
        (b"a" * _HUGE + b"*", b"a", False),
        (b"a" * _HUGE + b"*", b"a" * _HUGE, True),
        (b"?" + b"a" * _HUGE, b"a" * (_HUGE + 1), True),
        (b"*?" + b"a" * _HUGE + b"*", b"ba" + b"a" * _HUGE, True),
        (b"[" * _HUGE, b"a", False),
        (b"[a]" * (_HUGE // 3), b"a", False),
        (b"\\a" * (_HUGE // 2), b"a", False),
        ((b"x" * 1001 + b"?") * (_HUGE // 1002), b"a", False),
        ((b"x" * 10_000 + b"?") * 3000, b"x" * 30_003_000, True),
    ],
    ids=range(14),
)
def test_a_huge_pattern_takes_no_time_to_speak_of(pattern: bytes, text: bytes, matches: bool) -> None:
    started = time.process_time()
    assert does_match(pattern, text) is matches
    # Some 50 ms on an idle machine.
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("wildcard", "text", "specials"),
    [(b"?", b"a", 1), (b"a?", b"aa", 1), (b"[a]", b"a", 3), (b"\\a", b"a", 1), (b"[\\a]", b"a", 4)],
)
def test_the_bound_of_wildcards(wildcard: bytes, text: bytes, specials: int) -> None:
    count = MAX_SPECIALS // specials
    assert does_match(wildcard * count, text * count)
    assert not does_match(wildcard * (count + 1), text * (count + 1))


def test_a_class_longer_than_the_bound() -> None:
    assert does_match(b"[" + b"a-b" * (MAX_SPECIALS // 3 - 2) + b"c]", b"c")
    assert not does_match(b"[" + b"a-b" * MAX_SPECIALS + b"c]", b"c")


@pytest.mark.parametrize("before", [0, 99, 100, 101, 899, 900, 901, 7000, 100_000])
@pytest.mark.parametrize("special", [b"*", b"?", b"[b]", b"\\b"])
def test_a_special_byte_far_into_a_pattern(special: bytes, before: int) -> None:
    pattern = b"a" * before + special + b"c"
    assert does_match(pattern, b"a" * before + b"bc")
    assert not does_match(pattern, b"a" * before + b"bd")
    assert not does_match(pattern, b"a" * (before + 1) + b"d")


@pytest.mark.parametrize("before", [0, 1, 999, 100_000])
def test_a_match_far_into_a_long_text(before: int) -> None:
    hit = b"ab" * 500 + b"c-x"
    text = b"ab" * before + hit + b"ab" * 1000
    assert does_match(b"*" + b"[ab]" * 1000 + b"c?[x-z]*", text)
    assert does_match(b"*abab" + b"[ab]" * 996 + b"c?[x-z]ab*ab", text)
    assert not does_match(b"*" + b"[ab]" * 1000 + b"c?[y-z]*", text)
