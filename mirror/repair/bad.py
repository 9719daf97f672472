"""Which blobs are bad, and from where their bytes can come again."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from mirror.digests import BLOCK
from mirror.evidence import PINS
from mirror.model import Authority, Claim, Digest, RemoteFile
from mirror.store import partial_key
from mirror.sync.again import last_stored
from mirror.sync.survey import of_today, pins_of, with_claims

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mirror.ledger import BlobRow, FileState, Reader
    from mirror.store import Store
    from mirror.sync.outcome import Request
    from mirror.sync.parts import Parts

#: What a blob may have been found to be; ``removed`` was meant.
_BAD = frozenset({"missing", "altered", "resized"})


class Task(NamedTuple):
    """A bad blob.

    Attributes:
        file: The file to fetch, with every address of its bytes.
        size: Bytes it had.
        blocks: CRC-32 of every block of it; empty unless they are all known.
    """

    file: RemoteFile
    size: int
    blocks: tuple[int, ...]


def suspects(reader: Reader, store: Store, request: Request) -> dict[str, list[str]]:
    """Return the blobs that the ledger and the store disagree about, each with the files that it is."""
    found: dict[str, list[str]] = {}
    for state in _states(reader, request):
        if not state.sha256 or not (state.state == "held" or state.damage in _BAD):
            continue
        blob = store.find(state.sha256)
        if state.damage:
            # Bytes that were published just before a process died are for the transfer to record.
            doubtful = blob is not None and store.committed(partial_key(str(Digest("sha256", state.sha256)))) is None
        else:
            doubtful = blob is None or blob.size != state.size
        if doubtful:
            found.setdefault(state.sha256, []).append(f"{state.artifact}/{state.path}")
    return found


def _states(reader: Reader, request: Request) -> Iterator[FileState]:
    for artifact in request.artifacts:
        yield from reader.files(artifact.name)


def tasks(parts: Parts, reader: Reader, request: Request) -> Iterator[Task]:
    """Yield every bad blob once, with the addresses of all files that it is."""
    files: dict[str, list[RemoteFile]] = {
        state.sha256: [] for state in _states(reader, request) if state.sha256 and state.damage in _BAD
    }
    if not files:
        return
    same = (state for state in reader.files() if state.sha256 in files)
    for name, states in groupby(same, key=lambda state: state.artifact):
        for sha256, file in _promised(parts, reader, name, {state.path: state for state in states}):
            files[sha256].append(file)
    asked_for = {artifact.name for artifact in request.artifacts}
    for sha256, group in files.items():
        row = reader.blob(sha256)
        if group and row is not None and row.size is not None:
            # It is recorded in the name of a file that was asked for.
            first, *others = sorted(group, key=lambda file: file.artifact not in asked_for)
            urls = dict.fromkeys(url for file in (first, *others) for url in file.urls)
            yield Task(replace(first, urls=tuple(urls), size=row.size), row.size, _blocks(row))


def _blocks(row: BlobRow) -> tuple[int, ...]:
    """Return the CRC-32 of every block; nothing unless they are all there."""
    return row.blocks if row.size is not None and len(row.blocks) == -(-row.size // BLOCK) else ()


def _promised(
    parts: Parts, reader: Reader, name: str, states: Mapping[str, FileState]
) -> Iterator[tuple[str, RemoteFile]]:
    """Yield files of one artifact as they are promised today, bound to the sha256 that they had."""
    artifact, listing = parts.artifact(name), reader.listing(name)
    if artifact is None or listing is None:
        return
    pins = pins_of(artifact)
    wanted = [file for file in listing.files if file.path in states]
    for file in of_today(wanted, artifact):
        if (sha256 := states[file.path].sha256) is not None:
            # What a publisher said in the head of its reply is still known of these very bytes.
            said = _said(reader, states[file.path])
            yield sha256, with_claims(file, (*said, *pins.get(file.path, ())), parts.lock, sha256)


def _said(reader: Reader, state: FileState) -> Iterator[Claim]:
    """Yield the claims that the bytes fulfilled when they came last, but for pins: those of today count."""
    last = last_stored(reader, state.artifact, state.path, state.sha256)
    for one in last["agreeing"] if last is not None else ():
        claim = Claim(Digest.parse(one["digest"]), Authority(one["authority"]), one["where"], one["secure"])
        if claim.authority not in PINS:
            yield claim
