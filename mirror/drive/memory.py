"""What is remembered between two runs: tokens, the calls of the last hour, the last listing.

Tokens have a file of their own, which is written seldom and with care; links are never kept.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mirror.drive import private
from mirror.errors import QuotaError
from mirror.sources.baidu_open.files import Entry
from mirror.sources.baidu_open.oauth import Tokens
from mirror.sources.baidu_open.words import Remedy

if TYPE_CHECKING:
    from pathlib import Path

    from mirror.sources.baidu_open.oauth import App

HOUR = 3600.0


class TokenFile:
    """The file with the tokens of one app.

    Args:
        path: Where it is.
        app: Whose tokens; those of another app count as none.
    """

    def __init__(self, path: Path, app: App) -> None:
        self._path = path
        self._app = hashlib.sha256(f"{app.key}\0{app.name}".encode()).hexdigest()[:16]

    def load(self) -> Tokens | None:
        """Return the tokens; None when nobody is logged in.

        Raises:
            UsageError: Others may read the file.
            StoreError: It cannot be read.
        """
        return private.load(self._path, self._parse)

    def save(self, tokens: Tokens) -> None:
        """Keep tokens; raises as ``private.save``."""
        told = {"app": self._app, "access": tokens.access, "refresh": tokens.refresh, "expires": tokens.expires}
        private.save(self._path, json.dumps(told).encode())

    def _parse(self, data: bytes) -> Tokens | None:
        try:
            told = json.loads(data)
            if told["app"] != self._app:
                return None
            return Tokens(str(told["access"]), str(told["refresh"]), float(told["expires"]))
        except (ValueError, TypeError, KeyError, RecursionError):
            return None


@dataclass(slots=True)
class State:
    """The calls of the last hour, and what the last listing said.

    Attributes:
        calls: When each was made, seconds since 1970.
        blocked: Until when Baidu wants to hear nothing.
        listed_at: When the listing was made; None when there is none.
        entries: Its files.
    """

    calls: list[float] = field(default_factory=list)
    blocked: float = 0.0
    listed_at: float | None = None
    entries: tuple[Entry, ...] = ()

    @classmethod
    def load(cls, path: Path) -> State:
        """Return what a file says; a fresh state when there is none, or none that makes sense.

        Raises:
            UsageError: Others may read the file.
            StoreError: It cannot be read.
        """
        return private.load(path, cls._parse) or cls()

    @classmethod
    def _parse(cls, data: bytes) -> State | None:
        try:
            told: dict[str, Any] = json.loads(data)
            entries = tuple(Entry(int(e[0]), str(e[1]), int(e[2]), int(e[3]), str(e[4])) for e in told["entries"])
            at = told["listed_at"]
            calls = [float(at) for at in told["calls"]]
            return cls(calls, float(told["blocked"]), None if at is None else float(at), entries)
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError):
            return None

    def save(self, path: Path) -> None:
        """Keep it; raises as ``private.save``."""
        told = {"calls": self.calls, "blocked": self.blocked, "listed_at": self.listed_at, "entries": self.entries}
        private.save(path, json.dumps(told).encode())

    def left(self, limit: int, now: float) -> int:
        """Return how many of an hour's ``limit`` calls may still be made."""
        # A clock that was put back must not block us for longer than an hour.
        recent = [at for at in self.calls if -HOUR < now - at < HOUR]
        return 0 if now < self.blocked <= now + HOUR else max(0, limit - len(recent))

    def take(self, limit: int, now: float) -> None:
        """Count one call.

        Raises:
            QuotaError: None is left.
        """
        self.calls = [at for at in self.calls if -HOUR < now - at < HOUR]
        if not self.left(limit, now):
            until = max([self.blocked, *(at + HOUR for at in sorted(self.calls)[:1])])
            wait = min(max(until - now, 1.0), HOUR)
            text = f"all {limit} calls of this hour are used up: the next one in {wait / 60:.0f} min"
            raise QuotaError(text, remedy=Remedy.QUOTA, retry_after=wait)
        self.calls.append(now)
