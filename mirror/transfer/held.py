"""The bytes of a large file while it is under way: partial, board, hashing and past as one.

These four change together or not at all: when bytes count no longer, so do the
digests of them, the memory of where they came from, and who was to fetch the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mirror.digests import algorithms_for, digest_file
from mirror.errors import StoreError
from mirror.evidence import judge
from mirror.transfer.board import Board
from mirror.transfer.hashing import Hashing
from mirror.transfer.resume import Past, past_of

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Mapping

    from mirror.evidence import Evidence
    from mirror.model import Claim, Digest, RemoteFile
    from mirror.sources.reply import Reply
    from mirror.store import Partial
    from mirror.transfer.cores import Cores


class Held:
    """What is here of one file.

    Args:
        file: What is promised.
        partial: Where its bytes are written; what it has is taken up if it fits the promise.
        spare: Counts the buffers that transfers share.
        cores: Says whether the file may be hashed in threads.

    Attributes:
        partial: The same.
        board: Which bytes are here, and who fetches which.
        past: Where they came from.
        pieced: Whether they came in more than one reply.
    """

    def __init__(
        self,
        file: RemoteFile,
        partial: Partial,
        *,
        spare: threading.Semaphore | None = None,
        cores: Cores | None = None,
    ) -> None:
        self.partial = partial
        self.past = Past.from_journal(partial.journal)
        self.pieced = True
        self._file = file
        self._spare, self._cores = spare, cores
        self._hashing: Hashing | None = None
        self._replies: list[tuple[Claim, ...]] = []
        size = file.size if file.size is not None else self.past.size
        spans = [(span.start, span.stop, span.done) for span in partial.spans]
        if spans and self.past.size in {None, size} and _within(spans, size):
            self.board = Board(spans, size=size, cut=partial.split)
        else:
            self.forget(file.size)

    @property
    def doubt(self) -> bool:
        """Whether the bytes may not be what was once written."""
        return bool(self.partial.doubt)

    @property
    def hashing(self) -> Hashing:
        """The digests of the bytes, from the first one on."""
        if self._hashing is None:
            algorithms = algorithms_for((*self._file.claims, *self.past.claims))
            self._hashing = Hashing(
                self.partial.path, algorithms, size=self.board.size, spare=self._spare, cores=self._cores
            )
        return self._hashing

    def forget(self, size: int | None) -> None:
        """Throw the bytes away and begin anew, with ``size`` bytes to come, or nobody knows how many."""
        self.abandon()
        self.partial.restart(size)
        self.board = Board([(0, size, 0)], size=size, cut=self.partial.split)
        self.past = Past()
        self.pieced = False
        self._replies.clear()

    def remember(self, url: str, reply: Reply) -> None:
        """Note that bytes come from ``reply``, which ``url`` gave."""
        self.pieced = self.pieced or bool(self._replies) or self.board.held > 0
        self._replies.append(reply.claims)
        claims = dict.fromkeys((*self.past.claims, *reply.claims))
        past = past_of(url, reply, self.board.size, tuple(claims))
        if past != self.past:
            self.past = past
            self.partial.remember(**past.to_journal())

    def judge(self) -> tuple[dict[str, Digest], tuple[int, ...], Evidence]:
        """Return digests, block CRCs and the judgement of the whole bytes.

        Raises:
            StoreError: They cannot be read back.
        """
        assert self.board.size is not None
        digests, blocks = self.hashing.finish(self.board.size)
        self._hashing = None
        claims = tuple(dict.fromkeys((*self._file.claims, *self.past.claims)))
        digests = {**digests, **self._late(algorithms_for(claims) - digests.keys())}
        return digests, blocks, judge(digests, claims)

    def abandon(self) -> None:
        """End the hashing; nobody wants its result."""
        if self._hashing is not None:
            self._hashing.abandon()
            self._hashing = None

    def _late(self, algorithms: Iterable[str]) -> Mapping[str, Digest]:
        """Compute what nobody had claimed when the bytes passed."""
        wanted = frozenset(algorithms)
        if not wanted:
            return {}
        try:
            return digest_file(self.partial.path, wanted)[0]
        except OSError as error:
            raise StoreError(f"{self.partial.path}: {error.strerror or error!r}") from error


def _within(spans: Iterable[tuple[int, int | None, int]], size: int | None) -> bool:
    """Whether spans are of a file of ``size`` bytes, which may be unknown."""
    return size is None or all(max(start + done, stop or 0) <= size for start, stop, done in spans)
