"""Files whose addresses the catalog holds: Google storage, Baidu object storage, any URL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from mirror.errors import CatalogError
from mirror.model import Listing, RemoteFile

if TYPE_CHECKING:
    from collections.abc import Collection

    from mirror.model import Claim

from mirror.sources.narrow import narrow


class PromisedFile(Protocol):
    """One path of an artifact, as the catalog promises it."""

    @property
    def path(self) -> str:
        """Relative, POSIX."""
        ...

    @property
    def urls(self) -> tuple[str, ...]:
        """Addresses that offer the same bytes, best first."""
        ...

    @property
    def promised_size(self) -> int | None:
        """Bytes, where they are promised."""
        ...

    def claims(self) -> tuple[Claim, ...]:
        """Digests that are promised."""
        ...


class Promised(Protocol):
    """An artifact, as the catalog describes it."""

    @property
    def name(self) -> str:
        """``bert-tiny@huggingface``."""
        ...

    @property
    def kind(self) -> str:
        """``hub``, ``http``, ``baidu-pan``, ``folder`` or ``peer``."""
        ...

    @property
    def repo(self) -> str | None:
        """Repository, on a hub."""
        ...

    @property
    def revision(self) -> str | None:
        """Full commit, where one is pinned."""
        ...

    @property
    def ref(self) -> str:
        """What to ask a hub for: the pinned commit, a branch or tag, else ``main``."""
        ...

    @property
    def url(self) -> str | None:
        """The address that people open; of a folder or peer, where it is."""
        ...

    @property
    def code(self) -> str | None:
        """Extraction code of a share."""
        ...

    @property
    def files(self) -> tuple[PromisedFile, ...]:
        """What is known of its files."""
        ...


def list_published(artifact: Promised, *, formats: Collection[str] = ()) -> Listing:
    """Return the files that the catalog lists for ``artifact``; nobody is asked.

    Raises:
        CatalogError: The catalog lists none, or one without an address.
    """
    if not artifact.files:
        raise CatalogError(f"{artifact.name}: the catalog lists no file")
    bare = [file.path for file in artifact.files if not file.urls]
    if bare:
        raise CatalogError(f"{artifact.name}: no address for {', '.join(bare)}")
    files = [
        RemoteFile(artifact.name, file.path, tuple(file.urls), file.promised_size, file.claims(), artifact.revision)
        for file in artifact.files
    ]
    return Listing(artifact.name, artifact.revision, narrow(sorted(files, key=lambda file: file.path), formats))
