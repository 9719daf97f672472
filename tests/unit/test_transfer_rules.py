"""The rules of a transfer: when to try again, when to widen, what a mismatch means, what may be joined."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mirror.errors import (
    AccessError,
    ConnectionDroppedError,
    ImpostorError,
    MirrorError,
    NotFoundError,
    RateLimitedError,
    SourceError,
)
from mirror.evidence import judge
from mirror.model import Authority, Claim, Digest, RemoteFile
from mirror.transfer.policy import Policy
from mirror.transfer.resume import Past, may_resume, source_of
from mirror.transfer.retry import Again, Tries, after_failure, backoff, final_error
from mirror.transfer.ruling import Ruling, rule
from mirror.transfer.widen import FAST, WINDOW, Widening
from mirror.wire import Validator

POLICY = Policy(attempts=6, backoff=1.0, backoff_cap=8.0, retry_after_cap=100.0, now=lambda: datetime.now(UTC))
DROPPED = ConnectionDroppedError("gone")


def step(
    tries: Tries, error: SourceError | ImpostorError = DROPPED, *, progressed: bool = False, urls: int = 1
) -> Again | None:
    return after_failure(tries, error, progressed=progressed, urls=urls, policy=POLICY, draw=1.0)


def test_progress_resets_the_count_so_that_a_bad_line_is_never_given_up() -> None:
    tries = Tries()
    for _ in range(1000):
        again = step(tries, progressed=True)
        assert again is not None
        tries = again.tries


def test_six_attempts_without_a_byte_are_the_end() -> None:
    tries, pauses = Tries(), []
    while (again := step(tries)) is not None:
        pauses.append(again.pause)
        tries = again.tries
    assert pauses == [1.0, 2.0, 4.0, 8.0, 8.0]


def test_a_mute_host_is_left_at_once_for_another_if_there_is_one() -> None:
    def after(urls: int) -> Again | None:
        return after_failure(Tries(), DROPPED, progressed=False, urls=urls, policy=POLICY, draw=1.0, mute=True)

    assert after(1) is None
    assert after(2) == Again(Tries(url=1, spent=frozenset({0})), 0.0)


def test_half_of_a_pause_is_random() -> None:
    assert backoff(3, POLICY, 0.0) == 2.0
    assert backoff(3, POLICY, 0.5) == 3.0


def test_retry_after_is_obeyed_up_to_the_cap() -> None:
    asked = step(Tries(), RateLimitedError("later", retry_after=55.0))
    assert asked is not None
    assert asked.pause == 55.0
    asked = step(Tries(), RateLimitedError("tomorrow", retry_after=86400.0))
    assert asked is not None
    assert asked.pause == 100.0


def test_after_two_fruitless_attempts_another_address_is_asked_at_once() -> None:
    first = step(Tries(), urls=2)
    assert first is not None
    assert first.tries.url == 0
    second = step(first.tries, urls=2)
    assert second == Again(Tries(url=1, fruitless=2), 0.0)


def test_when_every_address_has_had_its_turn_pauses_come_back() -> None:
    tries = Tries(url=1, fruitless=3, here=1)
    again = step(tries, urls=2)
    assert again is not None
    assert again.tries.url == 0
    assert again.pause > 0


def test_an_address_that_failed_for_good_is_not_asked_again() -> None:
    again = step(Tries(), NotFoundError("no"), urls=3)
    assert again == Again(Tries(url=1, spent=frozenset({0})), 0.0)
    again = step(again.tries, ImpostorError("a page"), urls=3)
    assert again == Again(Tries(url=2, spent=frozenset({0, 1})), 0.0)
    assert step(again.tries, AccessError("login"), urls=3) is None


@pytest.mark.parametrize(
    ("errors", "telling"),
    [
        ([NotFoundError("a"), NotFoundError("b")], "b"),
        ([AccessError("a"), NotFoundError("b")], "a"),
        ([ConnectionDroppedError("a"), ImpostorError("b"), NotFoundError("c")], "b"),
    ],
)
def test_the_error_that_says_most_is_the_one_that_is_raised(errors: list[MirrorError], telling: str) -> None:
    assert str(final_error(errors)) == telling


# --- widening ---


def simulate(capped: float, link: float, *, size: int = 400 << 20, most: int = 8) -> tuple[list[int], float]:
    """Return the widths over time, and the seconds, of a file behind such limits (bytes a second)."""
    rule_, now, arrived, widths = Widening(most), 0.0, 0, [1]
    while arrived < size:
        now += 0.01
        arrived += int(0.01 * min(capped * widths[-1], link))
        widths.append(rule_.look(now, arrived, missing=max(size - arrived, 0), flowing=widths[-1]))
    return widths, now


def test_a_fast_link_is_never_split() -> None:
    widths, _ = simulate(capped=2.0 * FAST, link=2.0 * FAST)
    assert set(widths) == {1}


def test_a_server_that_caps_each_connection_gets_as_many_as_are_allowed() -> None:
    widths, seconds = simulate(capped=40e6, link=1e9)
    assert max(widths) == widths[-1] == 8
    assert seconds < (400 << 20) / 40e6 / 3


def test_where_the_link_is_the_limit_the_second_connection_goes_again() -> None:
    widths, _ = simulate(capped=20e6, link=20e6)
    assert set(widths) == {1, 2}
    assert widths[-1] == 1
    assert widths.count(2) < widths.count(1) / 4


def test_where_two_fill_the_link_it_stays_with_two() -> None:
    widths, _ = simulate(capped=20e6, link=40e6)
    assert widths[-1] == 2


def test_a_short_rest_is_not_worth_another_connection() -> None:
    widths, _ = simulate(capped=40e6, link=1e9, size=4 << 20)
    assert set(widths) == {1}


def test_a_connection_that_cannot_be_had_is_not_asked_for_again_at_once() -> None:
    rule_ = Widening(8)
    rule_.look(0.0, 0, missing=1 << 30, flowing=1)
    assert rule_.look(WINDOW, 1 << 20, missing=1 << 30, flowing=1) == 2
    rule_.refuse(WINDOW, 1)
    rule_.look(WINDOW + 0.01, 1 << 20, missing=1 << 30, flowing=1)
    assert rule_.look(1.0, 20 << 20, missing=1 << 30, flowing=1) == 1
    assert rule_.look(3.0, 60 << 20, missing=1 << 30, flowing=1) == 2


# --- mismatches ---

SHA = {name: Digest("sha256", digit * 64) for name, digit in [("a", "a"), ("b", "b")]}


def ruling(actual: str, *claims: tuple[Authority, str], earlier: tuple[str, ...] = ()) -> Ruling:
    evidence = judge({"sha256": SHA[actual]}, [Claim(SHA[name], who, "test") for who, name in claims])
    return rule(evidence, sha256=SHA[actual].hex, earlier=earlier, restarts=3)


def test_bytes_that_nobody_denies_are_kept() -> None:
    assert ruling("a") is Ruling.KEEP
    assert ruling("a", (Authority.LEDGER, "a")) is Ruling.KEEP


def test_what_the_publisher_vouches_for_and_a_pin_denies_is_a_dispute_at_once() -> None:
    assert ruling("a", (Authority.PUBLISHER, "a"), (Authority.CATALOG, "b")) is Ruling.DISPUTE
    assert ruling("a", (Authority.PUBLISHER, "a"), (Authority.LEDGER, "b")) is Ruling.DISPUTE


def test_what_the_publisher_itself_denies_is_fetched_again() -> None:
    assert ruling("a", (Authority.PUBLISHER, "b")) is Ruling.AGAIN


def test_a_broken_pin_is_fetched_again_and_the_same_bytes_twice_are_a_dispute() -> None:
    assert ruling("a", (Authority.LOCK, "b")) is Ruling.AGAIN
    assert ruling("a", (Authority.LOCK, "b"), earlier=(SHA["a"].hex,)) is Ruling.DISPUTE


def test_other_wrong_bytes_every_time_are_a_dispute_in_the_end() -> None:
    earlier = tuple(str(number) for number in range(3))
    assert ruling("a", (Authority.LOCK, "b"), earlier=earlier[:2]) is Ruling.AGAIN
    assert ruling("a", (Authority.LOCK, "b"), earlier=earlier) is Ruling.DISPUTE


# --- resuming ---

URL, OTHER = "https://a.example/x?token=1", "https://b.example/x"
STRONG, WEAK = Validator('"v1"'), Validator('W/"v1"', "Tue, 01 Jan 2030 00:00:00 GMT")


def file_with(*claims: Claim) -> RemoteFile:
    return RemoteFile("m@s", "x.bin", (URL, OTHER), claims=claims)


@pytest.mark.parametrize(
    ("validator", "url", "doubt", "joined"),
    [
        (STRONG, URL, False, True),
        (STRONG, URL, True, False),
        (STRONG, OTHER, False, False),
        (WEAK, URL, False, False),
        (Validator(), URL, False, False),
    ],
)
def test_without_a_promise_only_the_same_version_at_the_same_address_is_joined(
    validator: Validator, url: str, doubt: bool, joined: bool
) -> None:
    past = Past(source_of(URL), validator=validator)
    assert may_resume(past, file_with(), url, doubt=doubt) is joined


def test_a_strong_promise_will_tell_a_mixture_so_everything_is_joined() -> None:
    promise = Claim(SHA["a"], Authority.CATALOG, "catalog.json")
    assert may_resume(Past(), file_with(promise), OTHER, doubt=True)


def test_a_weak_promise_does_not_tell_a_mixture() -> None:
    promise = Claim(Digest("md5", "0" * 32), Authority.PUBLISHER, "header")
    assert not may_resume(Past(), file_with(promise), OTHER, doubt=False)


def test_a_journal_says_what_was_remembered_and_no_secret() -> None:
    claim = Claim(SHA["a"], Authority.PUBLISHER, "host header", secure=False)
    past = Past(source_of(URL), "https://a.example/x", STRONG, 9, (claim,))
    assert Past.from_journal(past.to_journal()) == past
    assert "token" not in str(past.to_journal())


@pytest.mark.parametrize("claims", [None, 3, [1], [["sha256:xyz", "publisher", "w", True]], [["sha256", "nobody"]]])
def test_of_a_damaged_journal_nothing_is_believed(claims: object) -> None:
    assert Past.from_journal({"size": -1, "etag": 7, "claims": claims, "source": []}) == Past()
