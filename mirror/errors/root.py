"""What every error has, and those of the command line, the catalog, and of what waits for a person."""

from __future__ import annotations


class MirrorError(Exception):
    """Root of all our errors; ``exit_code`` and ``hint`` are for the command line.

    ``account`` is what a transfer tells of its failure: see ``mirror.transfer.account_of``.
    """

    exit_code = 1
    hint = ""
    account: object = None

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        if hint is not None:
            self.hint = hint


class UsageError(MirrorError):
    """The command line, or a call, asks for something that does not make sense."""

    exit_code = 2


class SelectorError(UsageError):
    """A selector is malformed, or names nothing that the catalog knows."""

    hint = "see `minibert-mirror catalog list` for every name"

    def __init__(self, message: str, *, nearest: tuple[str, ...] = ()) -> None:
        if nearest:
            message = f"{message}; nearest: {', '.join(nearest)}"
        super().__init__(message)
        self.nearest = nearest


class CatalogError(MirrorError):
    """``catalog.json`` or ``catalog.lock.json`` is not what its schema says."""

    exit_code = 3
    hint = "`minibert-mirror catalog check` names every problem"


class WrongCodeError(CatalogError):
    """A share is there, and does not take the extraction code that the catalog has for it."""

    hint = "correct the code in catalog.json, then `minibert-mirror probe --again` for this share"


class WaitingError(MirrorError):
    """Everything else is done, and something waits for a person (``--strict``)."""

    exit_code = 8
    hint = "`minibert-mirror handoff` lists links and codes, `minibert-mirror ingest` takes in what comes"


class CaptchaError(WaitingError):
    """A host wants to see a person before it answers; no program should go on asking."""

    hint = "ask nobody for a quarter of an hour, or open the link yourself: `minibert-mirror handoff`"


class LoginNeededError(WaitingError):
    """Baidu wants its user to say yes again, in a browser."""

    hint = "minibert-mirror baidu login"
