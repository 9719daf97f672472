"""One round of ``verify``: the blobs of a portion, and at the deeper levels the weights in them.

Of a portion, artifacts take turns, the one with what was judged longest ago first: its blobs
are read, then its weights are judged. So however little time there is, it goes to both, and
what was begun is judged to its end. The age of a blob is its age at the level of the round.
"""

from __future__ import annotations

import math
import time
from contextlib import ExitStack, nullcontext
from typing import TYPE_CHECKING, NamedTuple

from mirror.load.naming import is_archive, loadable
from mirror.prove import Proof, Shelf, prove
from mirror.recheck import WHOLE, Portion, Rechecked, due, recheck
from mirror.verify import Status, VerifyLevel

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from mirror.catalog import Artifact
    from mirror.ledger import Ledger, Reader


class Left(NamedTuple):
    """How many blobs of a portion were not judged at a level, since the time was over."""

    level: str
    blobs: int


def judge_round(
    shelf: Shelf,
    artifacts: Sequence[Artifact],
    level: str,
    portion: Portion,
    stop: threading.Event,
    *,
    everything: bool = False,
) -> Iterator[Rechecked | Proof | Left]:
    """Yield the verdicts on the blobs, and on the weights, of a portion; and at the end what is left.

    Args:
        shelf: Where they are.
        artifacts: Whose.
        level: ``stat``, ``digest``, ``load`` or ``forward``; each does all that the one before it does.
        portion: How much of them.
        stop: Ends it when set.
        everything: Whether the blobs of artifacts that the catalog does not name any more are judged too.

    Raises:
        StoreError: A bad blob cannot be moved to the quarantine, or there is no room to unpack an archive.
        LedgerError: The ledger cannot be read or written.
    """
    with ExitStack() as stack:
        if shelf.open_ledger is not None:
            shelf = shelf._replace(open_ledger=_Once(shelf.open_ledger, stack))
        names = None if everything else {artifact.name for artifact in artifacts}
        yield from _Round(shelf, artifacts, level, portion, stop).judged(names)


class _Round:
    """What the turns of one round share."""

    def __init__(
        self, shelf: Shelf, artifacts: Sequence[Artifact], level: str, portion: Portion, stop: threading.Event
    ) -> None:
        self._shelf = shelf
        self._loads = level in {"load", "forward"}
        self._artifacts = {one.name: one for one in artifacts if not one.bundle} if self._loads else {}
        self._level = level
        self._plain = VerifyLevel.STAT if level == "stat" else VerifyLevel.DIGEST
        self._portion = portion
        self._stop = stop
        self._until = math.inf if portion.seconds is None else time.monotonic() + portion.seconds

    def judged(self, names: set[str] | None) -> Iterator[Rechecked | Proof | Left]:
        """Yield what comes of every turn, and what is left; ``names`` of artifacts, None for all."""
        weights = self._weights()
        files = due(self._shelf.reader, names, self._portion, level=self._level, weights=weights.keys())
        unread, unloaded = set(files), files.keys() & weights.keys()
        for turn in _turns(files) if self._loads and self._portion != WHOLE else [files]:
            bad: set[str] = set()
            for found in self._read(turn):
                status, sha256 = found.verdict.status, found.verdict.subject.sha256
                unread.discard(sha256)
                if status is not Status.INTACT:
                    unloaded.discard(sha256)
                    # What cannot be read is not as if it were not there: nothing is judged without it.
                    bad |= {sha256} if status is not Status.UNREADABLE else set()
                yield found
            if self._over():
                break
            wanted = (turn.keys() & unloaded) - unread
            yield from self._load(wanted, {name for sha256 in wanted for name in weights[sha256]}, bad)
            unloaded -= wanted
        for level, left in ((self._plain.value, unread), (self._level, unloaded)):
            if left:
                yield Left(level, len(left))

    def _weights(self) -> dict[str, set[str]]:
        """Return the artifacts that each blob with weights in it belongs to."""
        found: dict[str, set[str]] = {}
        for name in self._artifacts:
            for sha256 in _with_weights(self._shelf.reader, name):
                found.setdefault(sha256, set()).add(name)
        return found

    def _over(self) -> bool:
        return self._stop.is_set() or time.monotonic() >= self._until

    def _read(self, files: Mapping[str, Sequence[str]]) -> Iterator[Rechecked]:
        shelf = self._shelf
        seconds = None if self._portion.seconds is None else max(0.0, self._until - time.monotonic())
        yield from recheck(
            shelf.reader, shelf.store, files, self._plain, shelf.open_ledger, self._stop, seconds=seconds
        )

    def _load(self, blobs: set[str], names: set[str], bad: set[str]) -> Iterator[Proof]:
        """Judge the weights in ``blobs``, which are in the artifacts ``names``, without what was found bad."""
        if blobs:
            artifacts = [one for name, one in self._artifacts.items() if name in names]
            yield from prove(self._shelf, artifacts, self._stop, forward=self._level == "forward", only=blobs, but=bad)


class _Once:
    """Opens the ledger when it is first asked for; whoever asks again gets the same one."""

    def __init__(self, open_ledger: Callable[[], AbstractContextManager[Ledger]], stack: ExitStack) -> None:
        self._open, self._stack = open_ledger, stack
        self._ledger: Ledger | None = None

    def __call__(self) -> AbstractContextManager[Ledger]:
        if self._ledger is None:
            self._ledger = self._stack.enter_context(self._open())
        return nullcontext(self._ledger)


def _turns(files: Mapping[str, Sequence[str]]) -> list[dict[str, Sequence[str]]]:
    """Return blobs by the artifact that each is held for first, in the order of the first blob of each."""
    turns: dict[str, dict[str, Sequence[str]]] = {}
    for sha256, names in files.items():
        model, _, rest = names[0].partition("@")
        turns.setdefault(f"{model}@{rest.partition('/')[0]}", {})[sha256] = names
    return list(turns.values())


def _with_weights(reader: Reader, artifact: str) -> Iterator[str]:
    """Yield the blobs of an artifact that are weights, or archives that have some, as far as names tell."""
    held = reader.held(artifact)
    for path in loadable(held):
        yield held[path]
    for path, sha256 in held.items():
        if is_archive(path):
            members = [member.path for member in reader.members(sha256)]
            if not members or loadable(members):
                yield sha256
