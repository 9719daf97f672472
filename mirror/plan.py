"""Promises and holdings to what must be done; no I/O.

A plan says what is held, what the store has under another name, what must be
fetched, and what waits for a person. ``--dry-run`` prints it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from mirror.model import STRONG, Claim, Digest, RemoteFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Task(NamedTuple):
    """One file to fetch, and the other files that promise the very same bytes.

    Attributes:
        file: What is fetched; it has the addresses of its twins too, as later choices.
        twins: Files that get their bytes from the same fetch.
    """

    file: RemoteFile
    twins: tuple[RemoteFile, ...] = ()


class Adoption(NamedTuple):
    """A file whose bytes the store has already, so that only a row is missing."""

    file: RemoteFile
    sha256: str


class Plan(NamedTuple):
    """What one pull has to do.

    Attributes:
        held_files: Files that are held and recorded.
        held_bytes: Their sizes, added up.
        adopt: Files whose bytes are here under another name.
        fetch: What must come from a source.
        waiting: Names of artifacts that a person must fetch.
    """

    held_files: int
    held_bytes: int
    adopt: tuple[Adoption, ...]
    fetch: tuple[Task, ...]
    waiting: tuple[str, ...]

    @property
    def bytes_to_fetch(self) -> int:
        """Bytes of all files whose size is known."""
        return sum(task.file.size or 0 for task in self.fetch)

    @property
    def unknown_sizes(self) -> int:
        """Files whose size the source did not say beforehand."""
        return sum(task.file.size is None for task in self.fetch)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.fetch and not self.adopt


def make_plan(
    wanted: Iterable[RemoteFile],
    *,
    held_files: int,
    held_bytes: int,
    locate: Callable[[Digest], str | None],
    waiting: Iterable[str] = (),
) -> Plan:
    """Return the plan for the files that are not held.

    Args:
        wanted: Files without a held blob, in the order they should come.
        held_files: How many others are held.
        held_bytes: Their sizes, added up.
        locate: Gives the sha256 of a blob in the store that has a strong digest; None if there is none.
        waiting: Names of artifacts that a person must fetch.
    """
    adopt: list[Adoption] = []
    groups: dict[object, list[RemoteFile]] = {}
    for file in wanted:
        digest = identity(file.claims)
        if digest is not None and (sha256 := locate(digest)):
            adopt.append(Adoption(file, sha256))
        else:
            # Only a strong digest makes two files twins; an address alone stays alone.
            groups.setdefault(digest or (file.artifact, file.path), []).append(file)
    return Plan(
        held_files,
        held_bytes,
        tuple(adopt),
        tuple(_task(group) for group in groups.values()),
        tuple(waiting),
    )


def identity(claims: Iterable[Claim]) -> Digest | None:
    """Return the strongest digest that is promised; None when nobody promises a strong one."""
    strong = {claim.digest for claim in claims if claim.digest.algorithm in STRONG}
    return max(strong, default=None, key=lambda digest: (digest.algorithm == "sha256", digest))


def _task(group: list[RemoteFile]) -> Task:
    first, *twins = group
    if not twins:
        return Task(first)
    urls = tuple(dict.fromkeys(url for file in group for url in file.urls))
    size = next((file.size for file in group if file.size is not None), None)
    return Task(replace(first, urls=urls, size=size), tuple(twins))
