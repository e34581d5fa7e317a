"""Values as a person reads them."""

from __future__ import annotations

import pytest

from curate.report import words


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (float("nan"), "-"), (0.0, "0"), (1234567, "1,234,567"), (0.123456, "0.123"), (12.3456, "12.3"),
     (1234.5, "1,234"), (2.58e-05, "2.58e-05"), (-0.5, "-0.5"), (3.0, "3")],
)  # fmt: skip
def test_numbers(value: float | None, text: str) -> None:
    assert words.number(value) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(0, 0, "0 %"), (0, 7, "0 %"), (1, 3, "33.3 %"), (1, 2, "50 %"), (7, 7, "100 %"), (1, 10**6, "< 0.1 %"),
     (10**6 - 1, 10**6, "99.9 %")],
)  # fmt: skip
def test_shares_never_round_something_to_nothing_or_all(part: int, whole: int, text: str) -> None:
    assert words.share(part, whole) == text


@pytest.mark.parametrize(
    ("hours", "text"), [(0.0, "0 s"), (0.001, "3.6 s"), (0.27, "16.2 min"), (1.5, "1.50 h"), (1234.56, "1,234.6 h")]
)
def test_lengths(hours: float, text: str) -> None:
    assert words.length(hours) == text


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("file:///a/b%20c.mp4", "/a/b%20c.mp4"),
        ("file:///a/#1 50%?.mp4", "/a/#1 50%?.mp4"),
        ("/a/b.mp4", "/a/b.mp4"), (None, "-"),
     ("s3://key:secret@bucket/a.mp4", "s3://bucket/a.mp4"),
     ("https://host/a.mp4?X-Amz-Signature=secret#frag", "https://host/a.mp4")],
)  # fmt: skip
def test_places_show_no_secrets(url: str | None, text: str) -> None:
    assert words.place(url) == text


def test_file_names() -> None:
    assert words.file_name("s3://bucket/deep/a.mp4") == "a.mp4"


@pytest.mark.parametrize(
    ("given", "text"),
    [('{"min": 0.02, "value": 0.0083512}', "value 0.00835, min 0.02"), ("{}", ""), (None, ""), ("not json", "not json"),
     (f'{{"via": "{"0a" * 16}"}}', "via 0a0a0a0a0a0a"),
     ('{"allow": ["a", "b"], "value": "c"}', "value c, allow a | b"), ('{"detail": "", "attempts": 3}', "attempts 3")],
)  # fmt: skip
def test_evidence(given: str | None, text: str) -> None:
    assert words.evidence(given) == text
