"""When to try again, where, and after which pause: pure rules.

Progress resets the count, so that a bad line is never given up while it still brings
bytes; attempts that bring nothing are few.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mirror.errors import (
    ChangedError,
    ImpostorError,
    MirrorError,
    NotFoundError,
    OversizeError,
    SourceError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mirror.transfer.policy import Policy

#: Errors that are a source's answer, not a failure to answer.
_ANSWERS = (ChangedError, OversizeError)
#: Transient failures without a new byte after which another URL of the same bytes is asked.
_PATIENCE = 2


class Tries(NamedTuple):
    """What has been tried.

    Attributes:
        url: Index of the URL that is asked now.
        fruitless: Attempts in a row without a new byte.
        here: Those of them at this URL.
        spent: URLs that will not help, however often they are asked.
    """

    url: int = 0
    fruitless: int = 0
    here: int = 0
    spent: frozenset[int] = frozenset()


class Again(NamedTuple):
    """Ask ``tries.url`` after ``pause`` seconds."""

    tries: Tries
    pause: float


def after_failure(
    tries: Tries,
    error: SourceError | ImpostorError,
    *,
    progressed: bool,
    urls: int,
    policy: Policy,
    draw: float,
    mute: bool = False,
) -> Again | None:
    """Return what to do after a failed attempt; None is to give up.

    Args:
        tries: What had been tried before.
        error: Why the attempt failed.
        progressed: Whether it brought bytes that nobody had before.
        urls: How many URLs there are.
        policy: Limits and pauses.
        draw: A random number from 0 up to 1.
        mute: Whether the host has been given up before without any answer.
    """
    if mute or isinstance(error, ImpostorError) or not error.transient or _says_it_again(tries, error, progressed):
        spent = tries.spent | {tries.url}
        url = _next_url(tries.url, urls, spent)
        return None if url is None else Again(Tries(url, tries.fruitless, 0, spent), 0.0)
    if progressed:
        tries = tries._replace(fruitless=0, here=0)
    else:
        tries = tries._replace(fruitless=tries.fruitless + 1, here=tries.here + 1)
    if tries.fruitless >= policy.attempts:
        return None
    pause = max(backoff(tries.fruitless, policy, draw), min(error.retry_after, policy.retry_after_cap))
    elsewhere = _next_url(tries.url, urls, tries.spent | {tries.url})
    if tries.here >= _PATIENCE and elsewhere is not None:
        # Another host owes us nothing yet: it is asked at once, unless all have had their turn.
        first_round = tries.fruitless <= _PATIENCE * (urls - 1 - len(tries.spent))
        return Again(tries._replace(url=elsewhere, here=0), 0.0 if first_round else pause)
    return Again(tries, pause)


def _says_it_again(tries: Tries, error: SourceError, progressed: bool) -> bool:
    """Whether a source means what it says: other bytes, twice in a row, are no accident on the way."""
    return isinstance(error, _ANSWERS) and not progressed and tries.here + 1 >= _PATIENCE


def backoff(fruitless: int, policy: Policy, draw: float) -> float:
    """Return the pause before the next attempt: doubling, capped, and half of it random.

    The random half keeps many clients from coming back at the same moment.
    """
    whole = min(policy.backoff_cap, policy.backoff * 2.0 ** max(0, fruitless - 1))
    return whole * (0.5 + draw / 2)


def final_error(errors: Sequence[MirrorError]) -> MirrorError:
    """Return the error that says most: the last one that is not simply "not found"."""
    telling = [error for error in errors if not isinstance(error, NotFoundError)]
    return telling[-1] if telling else errors[-1]


def _next_url(url: int, urls: int, spent: frozenset[int]) -> int | None:
    """Return the next URL that may help, in order, beginning anew after the last."""
    return next((i % urls for i in range(url + 1, url + urls + 1) if i % urls not in spent), None)
