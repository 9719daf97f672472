"""``catalog.lock.json``: what was pulled, as pins.

``lock`` writes it, ``pull --locked`` takes nothing else. Each artifact stands there
whole: its revision, and every file with size, sha256 and addresses, so that a locked
pull asks no source what the artifact consists of.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mirror.errors import CatalogError
from mirror.model import Authority, Claim, Digest, Listing, RemoteFile
from mirror.writing import replace_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

SCHEMA = "minibert-mirror/lock/1"
_DAMAGED = "put a sound copy of it back; or move it away, and `minibert-mirror lock` pins anew what is held"


class Lock:
    """The pins of a mirror, by artifact.

    Attributes:
        listings: Every locked artifact's files; each has a claim of its sha256.
    """

    def __init__(self, listings: Mapping[str, Listing]) -> None:
        self.listings = dict(listings)
        self._pins = {
            (file.artifact, file.path, file.revision): file.claims
            for listing in self.listings.values()
            for file in listing.files
        }

    @classmethod
    def read(cls, path: Path) -> Lock:
        """Return the lock at ``path``; an empty one when there is no file.

        Raises:
            CatalogError: The file is not a lock.
        """
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls({})
        except OSError as error:
            raise CatalogError(f"{path}: {error.strerror}", hint="check that it is a file that you may read") from error
        except (ValueError, RecursionError) as error:
            raise CatalogError(f"{path}: not a lock: {error}", hint=_DAMAGED) from error
        try:
            if document["schema"] != SCHEMA:
                raise CatalogError(f"{path}: schema {document['schema']!r} is not {SCHEMA!r}", hint=_DAMAGED)
            return cls({name: _listing(name, entry) for name, entry in document["artifacts"].items()})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            said = f"it lacks {error}" if isinstance(error, KeyError) else error
            raise CatalogError(f"{path}: not a lock: {said}", hint=_DAMAGED) from error

    def claims(self, file: RemoteFile) -> tuple[Claim, ...]:
        """Return the pins of one file: one, or none."""
        return self.pins(file.artifact, file.path, file.revision)

    def pins(self, artifact: str, path: str, revision: str | None) -> tuple[Claim, ...]:
        """Return the pins of the file that stands at ``path`` of an artifact's revision: one, or none."""
        return self._pins.get((artifact, path, revision), ())

    def write(self, path: Path) -> None:
        """Write the lock at ``path``, whole or not at all.

        Raises:
            ReadOnlyStoreError: The mirror belongs to somebody else.
            DiskFullError: There is no room.
            StoreError: The file cannot be written, for another reason.
        """
        document = {
            "schema": SCHEMA,
            "artifacts": {name: _entry(listing) for name, listing in sorted(self.listings.items())},
        }
        replace_text(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def pinned(listing: Listing, held: Mapping[str, tuple[str, int]]) -> Listing:
    """Return ``listing`` with the held files only, each pinned to the sha256 and size held."""
    files = [
        replace(file, size=held[file.path][1], claims=(_pin(held[file.path][0]),))
        for file in listing.files
        if file.path in held
    ]
    return listing._replace(files=tuple(files))


def with_pins(files: Iterable[RemoteFile], lock: Lock) -> list[RemoteFile]:
    """Return ``files`` with the lock's pins among their claims."""
    return [replace(file, claims=(*file.claims, *lock.claims(file))) for file in files]


def _pin(sha256: str) -> Claim:
    return Claim(Digest("sha256", sha256), Authority.LOCK, "catalog.lock.json")


def _listing(name: str, entry: Any) -> Listing:
    texts = [url for row in entry["files"].values() for url in row["urls"]]
    if not all(isinstance(text, str) for text in (*texts, entry["revision"] or "")):
        raise TypeError(f"an address or a revision of {name} is no text")
    files = [
        RemoteFile(name, path, tuple(row["urls"]), row["size"], (_pin(row["sha256"]),), entry["revision"])
        for path, row in entry["files"].items()
    ]
    return Listing(name, entry["revision"], tuple(files))


def _entry(listing: Listing) -> dict[str, Any]:
    return {
        "revision": listing.revision,
        "files": {
            file.path: {"sha256": file.sha256, "size": file.size, "urls": list(file.urls)} for file in listing.files
        },
    }
