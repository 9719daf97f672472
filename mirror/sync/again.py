"""Whether files that only an address knows are still what they were: one byte of each is asked for.

A hub lists digests; a web server or an object store does not. What it says of a file in
the head of a reply is compared with what was recorded of the bytes that are held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from mirror.errors import ChangedError, OversizeError, SourceError
from mirror.wire import Validator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mirror.ledger import Reader
    from mirror.model import Listing, RemoteFile
    from mirror.sources.opener import Openers
    from mirror.sources.reply import Reply


class Seen(NamedTuple):
    """What was recorded of a held file's bytes, and of the reply that brought them."""

    size: int
    digests: Mapping[str, str]
    validator: Validator


def seen(reader: Reader, artifact: str) -> dict[str, Seen]:
    """Return what was recorded of every held file of ``artifact``, by path.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    found = {}
    for path, sha256 in reader.held(artifact).items():
        last = last_stored(reader, artifact, path, sha256)
        if last is not None and last["size"]:
            found[path] = Seen(last["size"], last["digests"], _validator(last.get("validator") or {}))
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
    """
    return frozenset(file.path for file in listing.files if file.path in known and _moved(openers, file, known))


def _moved(openers: Openers, file: RemoteFile, known: Mapping[str, Seen]) -> bool:
    was = known[file.path]
    for number, url in enumerate(file.urls, start=1):
        try:
            with openers.open(url, start=0, stop=1, size=was.size) as reply:
                return _differs(reply, was)
        except (ChangedError, OversizeError):
            return True
        except SourceError:
            if number == len(file.urls):
                raise
    return False


def _differs(reply: Reply, was: Seen) -> bool:
    said = [claim.digest for claim in reply.claims if claim.digest.algorithm in was.digests]
    if said:
        return any(was.digests[digest.algorithm] != digest.hex for digest in said)
    return reply.span.size not in {None, was.size} or was.validator.contradicts(reply.validator)


def _validator(detail: Mapping[str, Any]) -> Validator:
    return Validator(detail.get("etag"), detail.get("last_modified"))
