"""What a pull is asked to do, and what came of it: values only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from mirror.errors import (
    IntegrityError,
    LedgerError,
    MirrorError,
    SourceError,
    StoreError,
    WaitingError,
)

if TYPE_CHECKING:
    from mirror.catalog import Artifact
    from mirror.ledger import FileState
    from mirror.model import Event
    from mirror.plan import Plan

#: Which family of errors a mixed bag is reported as: the gravest first.
_GRAVEST = (IntegrityError, StoreError, LedgerError, SourceError, MirrorError)


class Request(NamedTuple):
    """What one pull is asked to do.

    Attributes:
        artifacts: What to pull, in catalog order.
        formats: Narrow repositories to these formats; empty takes them whole.
        update: Ask the sources again what they have, and show the difference.
        offline: Open no socket.
        locked: Take only what ``catalog.lock.json`` or the catalog pins.
        peer: Another mirror's address or folder, asked first for every file whose sha256 is known.
        jobs: The most transfers at once; by default about as many as curl's ``--parallel`` has.
        dry_run: Stop after the plan.
        limit_rate: Bytes a second over all transfers; None for no limit.
        stall: Seconds without a byte after which a connection is given up.
        retries: Further tries in a row for a file that brings no new byte; then it is given up.
        retry_pause: Seconds before the first of them; each further pause is twice as long.
        look_inside: List the members of archives and hold them against the catalog.
    """

    artifacts: tuple[Artifact, ...]
    formats: tuple[str, ...] = ()
    update: bool = False
    offline: bool = False
    locked: bool = False
    peer: str | None = None
    jobs: int = 48
    dry_run: bool = False
    limit_rate: float | None = None
    stall: float = 60.0
    retries: int = 5
    retry_pause: float = 0.5
    look_inside: bool = True


class Planned(NamedTuple):
    """How much a pull is going to fetch; said once to whoever shows progress."""

    files: int
    bytes: int


class Problem(NamedTuple):
    """One artifact or file that did not come, or is not what it should be, and why."""

    subject: str
    error: MirrorError


class Change(NamedTuple):
    """What ``--update`` found at a source.

    Attributes:
        artifact: Name of the artifact.
        before: Revision that was held; None where there are no revisions.
        after: Revision that the source offers now.
        added: Paths that are new.
        changed: Paths whose promised digest or size is another.
        removed: Paths that are gone upstream.
    """

    artifact: str
    before: str | None
    after: str | None
    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(slots=True)
class Outcome:
    """What came of a pull; filled while it runs.

    Attributes:
        plan: What had to be done; None when it never came to a plan.
        stored: Files that came from a source and were stored.
        wire_bytes: Body bytes that were received for them.
        adopted: Files whose bytes were here already.
        came: Names of the artifacts of which something came.
        noted: Files that were held before and that the caller wanted to know of.
        problems: What did not come or came and is no good, and why.
        events: What the ledger has still to be told.
        changes: What ``--update`` found.
        levels: How many of the files that came are known how well.
        notes: What a person should know, and is no problem.
        sound: Weight files that were loaded and are what their model needs.
        findings: What is strange about weights, and is no problem.
        unchecked: What could not be checked of weights, with their names.
        seconds: Wall time.
    """

    plan: Plan | None = None
    stored: int = 0
    wire_bytes: int = 0
    adopted: int = 0
    came: set[str] = field(default_factory=set)
    noted: list[FileState] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    levels: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    sound: int = 0
    findings: list[str] = field(default_factory=list)
    unchecked: dict[str, list[str]] = field(default_factory=dict)
    seconds: float = 0.0

    def gravest(self) -> MirrorError | None:
        """Return the error that decides the exit code; None when everything came."""
        for family in _GRAVEST:
            for problem in self.problems:
                if isinstance(problem.error, family):
                    return problem.error
        return None

    def raise_for_problems(self, *, strict: bool) -> None:
        """Raise one error that stands for all problems; nothing when there are none.

        Args:
            strict: Whether something that waits for a person counts.

        Raises:
            MirrorError: Of the gravest family among the problems.
            WaitingError: Something waits for a person, in strict mode only.
        """
        gravest = self.gravest()
        if gravest is not None:
            if len(self.problems) == 1:
                raise gravest
            family = next(family for family in _GRAVEST if isinstance(gravest, family))
            raise family(
                f"{len(self.problems)} things are not as they should be; the gravest: {gravest}", hint=gravest.hint
            )
        if strict and self.plan is not None and self.plan.waiting:
            names = ", ".join(self.plan.waiting[:3]) + (", …" if len(self.plan.waiting) > 3 else "")
            raise WaitingError(f"waiting for a person: {names}")
