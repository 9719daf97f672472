"""The fault script: which request is answered wrongly, and how.

A script is JSON: path patterns, each with steps that requests use up one by one::

    {"*/model.safetensors": [
        {"fault": "cut_after", "bytes": 1000},
        {"fault": "status", "code": 503, "retry_after": 1, "times": 2},
        {"fault": "no_etag", "times": "always", "method": "*"}]}

A step counts for GET unless it says ``method``, with or without a Range unless it says
``range``, on every host unless it says ``host``. One that does not name the hub leaves
its redirects to the CDN alone, so that the file itself is struck. Several patterns that
match give one step each, in the script's order; ``sound`` is a step without fault.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from mirror.upstream import mischief_answers, mischief_open, mischief_wire  # noqa: F401 # they register their faults
from mirror.upstream.host import ROLES
from mirror.upstream.mischief import Effect, effect

if TYPE_CHECKING:
    from mirror.upstream.http import Answer, Request

Rules = Mapping[str, Sequence[Mapping[str, Any]]]


@dataclass(slots=True)
class Step:
    """One fault and the requests it is meant for.

    Attributes:
        times: How many requests it still strikes; None is every one.
        ranged: Whether the request must have a Range, must not, or may.
    """

    effect: Effect
    times: int | None = 1
    method: str = "GET"
    ranged: bool | None = None
    host: str | None = None

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Step:
        """Return the step that JSON describes; ValueError names what is wrong with it."""
        rest = dict(given)
        times = rest.pop("times", 1)
        if times != "always" and (not isinstance(times, int) or times < 1):
            raise ValueError(f'times is a count or "always", not {times!r}')
        method, ranged, host = rest.pop("method", "GET"), rest.pop("range", None), rest.pop("host", None)
        if host is not None and host not in ROLES:
            raise ValueError(f"unknown host {host!r}; there are {', '.join(ROLES)}")
        if ranged not in {None, True, False} or not isinstance(method, str):
            raise ValueError(f"method is a word and range true or false in {dict(given)!r}")
        name = rest.pop("fault", None)
        return cls(effect(name, rest), None if times == "always" else times, method, ranged, host)

    def fits(self, request: Request, host: str, *, redirected: bool) -> bool:
        """Whether this step may strike ``request`` to ``host``."""
        if self.times == 0 or self.method not in {"*", request.method}:
            return False
        if self.ranged is not None and self.ranged is (request.header("range") is None):
            return False
        return self.host == host if self.host else not redirected


@dataclass(slots=True)
class Script:
    """Rules in order; safe to ask and to extend from several threads."""

    rules: list[tuple[str, list[Step]]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def parse(cls, given: Rules | Iterable[Mapping[str, Any]] | None) -> Script:
        """Return the script of JSON: ``{pattern: [step, …]}`` or ``[{"path": …, "steps": […]}, …]``.

        Raises:
            ValueError: An unknown fault, host or parameter; the text names it.
        """
        script = cls()
        if isinstance(given, Mapping):
            given = [{"path": path, "steps": steps} for path, steps in given.items()]
        for rule in given or ():
            if not isinstance(rule, Mapping) or set(rule) != {"path", "steps"}:
                raise ValueError(f"a rule has a path and steps, not {rule!r}")
            script.add(rule["path"], rule["steps"])
        return script

    def add(self, pattern: str, steps: Sequence[Mapping[str, Any]]) -> None:
        """Add a rule after the others; ``pattern`` is a glob over the whole path.

        Raises:
            ValueError: An unknown fault, host or parameter; the text names it.
        """
        parsed = [Step.parse(step) for step in steps]
        with self._lock:
            self.rules.append((pattern, parsed))

    def clear(self) -> None:
        """Forget every rule: from now on all answers are sound."""
        with self._lock:
            self.rules.clear()

    def take(self, names: Sequence[str], request: Request, host: str, reply: Answer | object) -> list[Effect]:
        """Return the faults for one request and count them as used."""
        status = getattr(reply, "status", 200)
        redirected = 300 <= status < 400
        taken: list[Effect] = []
        with self._lock:
            for pattern, steps in self.rules:
                if not any(fnmatchcase(name, pattern) for name in names):
                    continue
                step = next((step for step in steps if step.fits(request, host, redirected=redirected)), None)
                if step is not None:
                    step.times = None if step.times is None else step.times - 1
                    taken.append(step.effect)
        return taken
