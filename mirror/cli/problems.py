"""What did not come, for people: who says what, in few words, and what to do about it."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from mirror.cli.output import brief, many, paint, say
from mirror.errors import DisputedError, IntegrityError, UnsoundError
from mirror.transfer.receipt import account_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mirror.sync.outcome import Problem

#: Problems that are told one by one before the rest is only counted.
_MOST = 40


def show(problems: Sequence[Problem]) -> None:
    """Tell every problem on stderr, those with the same remedy together, integrity last.

    An empty line ends those that have none: the next remedy is not theirs.
    """
    remedies: dict[tuple[bool, str], list[Problem]] = {}
    for problem in problems[:_MOST]:
        error = problem.error
        remedies.setdefault((isinstance(error, IntegrityError), error.hint), []).append(problem)
    for (_, hint), group in sorted(remedies.items(), key=lambda item: item[0][0]):
        for problem in group:
            for line in _lines(problem):
                say(line, err=True)
        say(f"  {hint}" if hint else "", err=True)
    if len(problems) > _MOST:
        say(f"… and {len(problems) - _MOST} more; --json lists all", err=True)
    # Weights that are no good are held all the same.
    absent = [problem for problem in problems if not isinstance(problem.error, UnsoundError)]
    ways = ", ".join(f"{number} {way}" for way, number in Counter(map(_word, absent)).most_common())
    said = [f"{len(absent)} did not come: {ways}"] if absent else []
    if unsound := len(problems) - len(absent):
        said.append(f"{many(unsound, 'weight file')} held, and not sound")
    say(f"{paint('error', fg='red')}: {'; '.join(said)}", err=True)


def _lines(problem: Problem) -> Iterator[str]:
    error = problem.error
    if not isinstance(error, DisputedError):
        text = str(error).removeprefix(f"{problem.subject}: ").removeprefix(f"{problem.subject} ")
        yield f"{paint('failed', fg='red')} {problem.subject}: {brief(text)}"
    else:
        yield f"{paint('disputed', fg='red')} {problem.subject}: got {brief(error.actual)}, but"
        for claim in error.claims:
            yield f"    {brief(claim)}"
    if quarantine := account_of(error).quarantine:
        yield f"    kept as evidence in cache/quarantine/{quarantine}"


def _word(problem: Problem) -> str:
    """Return the name of an error's class as words: ``not found``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(problem.error).__name__.removesuffix("Error")).lower()
