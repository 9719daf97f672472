"""Whether files that only an address knows are still what they were: one byte of each is asked for.

A hub lists digests; a web server or an object store does not. What it says of a file in
the head of a reply is compared with what was recorded of the bytes that are held, or with
these bytes, where they came from elsewhere and nobody has computed its digests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from mirror.digests import algorithms_for, digest_file
from mirror.errors import ChangedError, OversizeError, SourceError, StoreError
from mirror.wire import Validator, redact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mirror.ledger import Reader
    from mirror.model import Claim, Listing, RemoteFile
    from mirror.sources.opener import Openers
    from mirror.sources.reply import Reply
    from mirror.store import Store


class Seen(NamedTuple):
    """What was recorded of a held file's bytes, and of the reply that brought them.

    Attributes:
        size: Bytes.
        digests: Hex, by algorithm.
        validator: What the reply said; it means something to the address that gave it.
        url: That address, redacted; None where no reply brought them.
        blob: Where the bytes are.
    """

    size: int
    digests: Mapping[str, str]
    validator: Validator
    url: str | None
    blob: Path


def seen(reader: Reader, artifact: str, store: Store) -> dict[str, Seen]:
    """Return what was recorded of every held file of ``artifact``, by path.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    found = {}
    for path, sha256 in reader.held(artifact).items():
        last = last_stored(reader, artifact, path, sha256)
        blob = store.find(sha256)
        if last is not None and last["size"] and blob is not None and blob.size == last["size"]:
            url = next((hop["url"] for hop in last.get("hops") or ()), None)
            validator = _validator(last.get("validator") or {})
            found[path] = Seen(last["size"], last["digests"], validator, url, blob.path)
    return found


def last_stored(reader: Reader, artifact: str, path: str, sha256: str | None) -> dict[str, Any] | None:
    """Return what was recorded when these bytes came last under that name; None when they never did.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    stored = [entry.detail for entry in reader.history(artifact, path) if entry.kind == "stored"]
    return next((detail for detail in reversed(stored) if detail["sha256"] == sha256), None)


def moved(openers: Openers, listing: Listing, known: Mapping[str, Seen]) -> frozenset[str]:
    """Return the paths of ``listing`` that have other bytes at their source than the ones that are held.

    A source that tells nothing of its files, not even a size, is taken to have the same.

    Raises:
        SourceError: No address of a file answers.
        ImpostorError: A page comes where a file was promised.
        StoreError: A blob cannot be read.
    """
    return frozenset(file.path for file in listing.files if file.path in known and _moved(openers, file, known))


def _moved(openers: Openers, file: RemoteFile, known: Mapping[str, Seen]) -> bool:
    was = known[file.path]
    for number, url in enumerate(file.urls, start=1):
        try:
            with openers.open(url, start=0, stop=1, size=was.size) as reply:
                return _differs(reply, was, url)
        except (ChangedError, OversizeError):
            return True
        except SourceError:
            if number == len(file.urls):
                raise
    return False


def _differs(reply: Reply, was: Seen, url: str) -> bool:
    if reply.span.size not in {None, was.size}:
        return True
    claims = [claim for claim in reply.claims if claim.digest.algorithm in was.digests] or reply.claims
    if not claims:
        return was.url == redact(url) and was.validator.contradicts(reply.validator)
    digests = was.digests if claims[0].digest.algorithm in was.digests else _digests(was.blob, claims)
    return any(digests[claim.digest.algorithm] != claim.digest.hex for claim in claims)


def _digests(blob: Path, claims: Sequence[Claim]) -> dict[str, str]:
    """Return what ``claims`` are held against, computed from the bytes: much faster than to fetch them again."""
    try:
        found, _ = digest_file(blob, algorithms_for(claims))
    except OSError as error:
        raise StoreError(f"{blob}: {error.strerror}") from error
    return {algorithm: digest.hex for algorithm, digest in found.items()}


def _validator(detail: Mapping[str, Any]) -> Validator:
    return Validator(detail.get("etag"), detail.get("last_modified"))
