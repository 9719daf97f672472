"""One file from the disk, in ranges, one after the other, resumable by any later process.

Ranges of one connection each, never two at once: more would bring the account, not the
file, to a crawl. Bytes that are here stay only while number, size and MD5 agree with
what is asked next. What the node says of the whole is checked against the bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mirror.digests import digest_file
from mirror.errors import BaiduError, ChangedError, DisputedError, SourceError, StoreError
from mirror.evidence import judge
from mirror.model import Authority, Claim, Digest, RemoteFile, safe_path
from mirror.sources.baidu_open.words import Remedy
from mirror.stopping import TransferStopped, abortable
from mirror.store import partial_key
from mirror.transfer.events import Advanced, Done, Failed, Restarted, Started, Waiting

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping
    from pathlib import Path

    from mirror.drive.links import Links
    from mirror.drive.session import Session
    from mirror.sources.baidu_open.files import Entry
    from mirror.sources.baidu_open.node import Nodes, Part
    from mirror.store import Partial, Store
    from mirror.transfer.events import Watch

#: How this way is called, in the ledger and for people.
SOURCE = "baidu-openapi"
_ALGORITHMS = ("sha256", "md5", "crc32")
_BUFFER = 256 << 10
#: Failures in a row that bring no new byte, and the pause after the first.
_TRIES = 3
_FIRST_PAUSE = 2.0
#: Down to here a range that is refused is halved, once.
_SAFE_RANGE = 4 << 20
_LEECH = frozenset({31326, 31626})


class Fetched(NamedTuple):
    """A file whose bytes are all here, in a partial that nobody claims.

    Attributes:
        entry: What Baidu said of it last.
        key: Of the partial.
        path: The bytes.
        digests: Of the bytes.
        claims: What the node said of the whole, and the bytes fulfil.
        wire_bytes: Body bytes that came this time.
    """

    entry: Entry
    key: str
    path: Path
    digests: Mapping[str, Digest]
    claims: tuple[Claim, ...]
    wire_bytes: int


class Fetcher:
    """Fetches the files of one run.

    Args:
        session: For tokens, pauses and the range's size.
        links: Gives links.
        nodes: Opens ranges.
        store: Keeps the bytes.
        watch: Is told how it goes.
        stop: Ends it; what has come is kept.
    """

    def __init__(
        self, session: Session, links: Links, nodes: Nodes, store: Store, watch: Watch, stop: threading.Event
    ) -> None:
        self.session, self.links, self.nodes = session, links, nodes
        self.watch, self.stop = watch, stop
        self.range_size = session.settings.range_size
        self.wire_bytes = 0
        self._halved = False
        self._store = store

    def fetch(self, entry: Entry) -> Fetched:
        """Bring a file whole.

        Raises:
            RemovedError: Baidu gives a notice, or nothing, in its place.
            QuotaError, LoginNeededError: Nothing more can be asked now.
            BaiduError: Baidu refuses; ``remedy`` says whether this is the end of the run.
            ChangedError: It is another file than it was a moment ago.
            SourceError: It is not reached, or other bytes come than the ones asked for.
            DisputedError: The bytes are not the ones the node says, twice; they are in quarantine.
            BusyError: Another process is fetching it.
            StoreError: The store cannot be written.
            TransferStopped: ``stop`` was set.
        """
        before, key, shown = self.wire_bytes, partial_key(SOURCE, str(entry.fs_id)), remote(entry)
        with self._store.partial(key) as partial:
            course = _Course(self, partial, entry, shown)
            try:
                digests, claims = course.whole()
            except (SourceError, DisputedError) as error:
                self.watch(Failed(shown, error))
                raise
            self.watch(Done(shown, course.entry.size))
            return Fetched(course.entry, key, partial.path, digests, claims, self.wire_bytes - before)

    def forget(self, fetched: Fetched) -> None:
        """Delete the bytes of a file that is done with; StoreError when that fails."""
        self._store.partial(fetched.key).forget()

    def halve(self) -> bool:
        """Ask for smaller ranges from now on; whether there is hope in that."""
        if self._halved or self.range_size <= _SAFE_RANGE:
            return False
        self._halved = True
        self.range_size = max(self.range_size // 2, _SAFE_RANGE)
        return True


class _Course:
    """One file under way."""

    def __init__(self, fetcher: Fetcher, partial: Partial, entry: Entry, shown: RemoteFile) -> None:
        self.entry = entry
        self._fetcher = fetcher
        self._partial = partial
        self._shown = shown
        self._node = ""
        self._sure = False  # whether this link is known to give the version whose bytes are here
        self._fruitless = self._relinks = 0
        self._renewed = False
        self._buffer = memoryview(bytearray(_BUFFER))
        facts = partial.journal
        kept = facts.get("fs_id") == str(entry.fs_id) and facts.get("size") == entry.size and not partial.doubt
        if not kept or not partial.spans or partial.contiguous > entry.size:
            partial.restart(entry.size)
        fetcher.watch(Started(shown, entry.size, partial.contiguous))

    def whole(self) -> tuple[Mapping[str, Digest], tuple[Claim, ...]]:
        """Bring every byte and judge them; once more where they are not what the node says."""
        for last in (False, True):
            self._complete()
            digests, claims = self._digests(), self._claims()
            against = judge(digests, claims).against
            md5 = [claim for claim in claims if claim.digest.algorithm == "md5" and claim not in against]
            if not against or md5:  # a CRC-32 that the MD5 refutes is a slip of the node's
                return digests, tuple(claim for claim in claims if claim not in against)
            if last:
                evidence = {"file": f"{SOURCE}:{self.entry.path}", "claims": list(map(str, against))}
                place = self._partial.quarantine({**evidence, "actual": [str(each) for each in digests.values()]})
                actual = f"{digests['md5']}, {digests['crc32']}; kept as cache/quarantine/{place.name}"
                raise DisputedError(self.entry.path, claims=tuple(map(str, against)), actual=actual)
            self._start_over("the bytes are not the ones that the node says")
        raise AssertionError("the loop returns or raises")

    def _complete(self) -> None:
        while (held := self._partial.contiguous) < self.entry.size:
            try:
                self._range(held)
            except SourceError as error:
                if self._fetcher.stop.is_set():
                    raise TransferStopped from error
                self._recover(error, progressed=self._partial.contiguous > held)

    def _range(self, start: int) -> None:
        """Ask for one range and write what comes."""
        fetcher = self._fetcher
        self._check_stop()
        address = self._node or self._address()
        if self._partial.contiguous != start:
            return  # another version: from its first byte on
        stop = min(start + fetcher.range_size, self.entry.size)
        with (
            fetcher.nodes.open(address, self.entry, start, stop) as part,
            abortable(fetcher.stop, part.abort),
        ):
            if self._fits(part):
                self._node = part.node
                self._pour(part)

    def _address(self) -> str:
        """Return the link with its token behind, as it is: the rest of it is signed."""
        link = self._fetcher.links.of(self.entry)
        if link.entry.identity != self.entry.identity:
            self.entry = link.entry
            self._start_over("the file was replaced")
        return f"{link.address}&access_token={self._fetcher.session.token()}"

    def _fits(self, part: Part) -> bool:
        """Whether the part goes on with the bytes that are here; forgets them where not.

        Raises:
            ChangedError: The version changes under one and the same link.
        """
        facts, held = self._partial.journal, self._partial.contiguous
        tag = facts.get("tag", "")
        if held and self._sure and part.tag and tag and part.tag != tag:
            self._start_over("the file was replaced while it was fetched")
            raise ChangedError(f"{self.entry.path}: it was replaced while it was fetched", transient=False)
        if held and not self._sure and (not tag or part.tag != tag):
            self._start_over("it cannot be told that it is still the same file")
            return False
        if held and part.span.start == 0:
            self._start_over("the node does not know ranges")
            held = 0
        self._sure = True
        if not held:
            claims = [[str(claim.digest), claim.where, claim.secure] for claim in part.claims]
            entry = self.entry
            self._partial.remember(fs_id=str(entry.fs_id), size=entry.size, tag=part.tag, claims=claims)
        return True

    def _pour(self, part: Part) -> None:
        at = part.span.start
        while count := part.readinto(self._buffer):
            self._partial.write(0, at, self._buffer[:count])
            at += count
            self._fetcher.wire_bytes += count
            self._fetcher.watch(Advanced(self._shown, count))
            self._check_stop()

    def _recover(self, error: SourceError, *, progressed: bool) -> None:
        """Do what helps against a failure, or raise it again."""
        if progressed:
            self._fruitless = self._relinks = 0
        self._node = ""
        remedy = error.remedy if isinstance(error, BaiduError) else ""
        if remedy == Remedy.LOGIN and not self._renewed:
            self._renewed = True
            self._fetcher.session.renew()
        elif (remedy == Remedy.RELINK or self._was_replaced(error)) and not self._relinks:
            self._relinks += 1
            self._sure = False
            self._fetcher.links.drop(self.entry)
        elif isinstance(error, BaiduError) and error.code in _LEECH and self._fetcher.halve():
            return
        elif (remedy == Remedy.RETRY or error.transient) and not isinstance(error, ChangedError):
            self._pause(error)
        else:
            raise error

    def _was_replaced(self, error: SourceError) -> bool:
        return isinstance(error, ChangedError) and error.transient

    def _pause(self, error: SourceError) -> None:
        self._fruitless += 1
        if self._fruitless > _TRIES:
            raise error
        seconds = max(_FIRST_PAUSE * 2.0 ** (self._fruitless - 1), error.retry_after)
        self._fetcher.watch(Waiting(self._shown, seconds, str(error)))
        self._fetcher.session.sleep(seconds)

    def _start_over(self, why: str) -> None:
        self._fetcher.watch(Restarted(self._shown, why))
        self._partial.restart(self.entry.size)

    def _check_stop(self) -> None:
        if self._fetcher.stop.is_set():
            raise TransferStopped

    def _digests(self) -> Mapping[str, Digest]:
        try:
            return digest_file(self._partial.path, _ALGORITHMS)[0]
        except OSError as error:
            raise StoreError(f"{self._partial.path}: {error.strerror or error!r}") from error

    def _claims(self) -> tuple[Claim, ...]:
        """Return what the node said of the whole, when its first bytes came."""
        rows = self._partial.journal.get("claims", [])
        return tuple(
            Claim(Digest.parse(digest), Authority.CARRIER, str(where), secure is True) for digest, where, secure in rows
        )


def remote(entry: Entry) -> RemoteFile:
    """Return a file under a name of its own, for whoever shows progress."""
    path = entry.path.strip("/").partition("/")[2]
    return RemoteFile(SOURCE, path if safe_path(path) else str(entry.fs_id), (), entry.size)
