"""From an artifact of the catalog to its files, whatever kind of source it has."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mirror.errors import CatalogError, NotFoundError, SourceError, WaitingError
from mirror.model import Listing, Refused, file_and_folder, path_fault, safe_path
from mirror.sources.folder import file_path, list_folder
from mirror.sources.narrow import narrow
from mirror.sources.peer import list_peer, peer_base
from mirror.sources.published import Promised, list_published

if TYPE_CHECKING:
    from collections.abc import Collection

    from mirror.model import RemoteFile
    from mirror.sources.opener import Openers


def list_artifact(artifact: Promised, openers: Openers, *, formats: Collection[str] = ()) -> Listing:
    """Return the files of ``artifact``, asking its source where the catalog cannot know.

    Args:
        artifact: What to list.
        openers: What asks, and as whom.
        formats: Keep only weights of these formats; empty keeps everything.

    Raises:
        WaitingError: Only a person can fetch it; the text says how.
        CatalogError: The catalog does not say where it is.
        SourceError: Its source cannot be asked, or refuses (``NotFoundError``, ``AccessError`` … say how), or lists
            what no disk can hold.
        ImpostorError: A peer answers with a web page.
    """
    listing = _listing(artifact, openers, formats)
    if (both := file_and_folder(file.path for file in listing.files)) is not None:
        raise SourceError(f"{artifact.name}: {both} is a file, and the folder of others: no disk can hold both")
    return listing


def _listing(artifact: Promised, openers: Openers, formats: Collection[str]) -> Listing:
    if artifact.kind == "hub":
        from mirror.sources.hub import list_hub

        return list_hub(artifact, hub=openers.hub, client=openers.client, formats=formats)
    if artifact.kind == "http":
        return list_published(artifact, formats=formats)
    if artifact.kind == "baidu-pan":
        from mirror.sources.baidu_pan import hand_off

        raise WaitingError(f"{artifact.name}: {'; '.join(hand_off(artifact).steps)}")
    if artifact.url is None:
        raise CatalogError(f"{artifact.name}: the catalog does not say where it is")
    if artifact.kind == "folder":
        claims = {file.path: file.claims() for file in artifact.files}
        found = list_folder(artifact.name, file_path(artifact.url), claims)
        return found._replace(files=narrow(found.files, formats))
    if artifact.kind == "peer":
        return _at_a_peer(artifact, artifact.url, openers, formats)
    raise CatalogError(f"{artifact.name}: unknown kind of source {artifact.kind!r}")


def _at_a_peer(artifact: Promised, url: str, openers: Openers, formats: Collection[str]) -> Listing:
    base = peer_base(url)
    offers = list_peer(base, openers)
    for offer in offers:
        if offer.listing.artifact == artifact.name:
            return offer.listing._replace(files=narrow(offer.held, formats))
    # The peer as a whole: its artifacts are folders of this one.
    everything: list[RemoteFile] = []
    refused: list[Refused] = []
    for offer in offers:
        refused += [one._replace(path=f"{offer.listing.artifact}/{one.path}") for one in offer.listing.refused]
        for file in offer.held:
            path = f"{file.artifact}/{file.path}"
            if safe_path(path):
                everything.append(replace(file, artifact=artifact.name, path=path))
            else:
                refused.append(Refused(path, path_fault(path)))
    if not (everything or refused):
        raise NotFoundError(f"{artifact.name}: this peer holds nothing")
    files = narrow(sorted(everything, key=lambda file: file.path), formats)
    return Listing(artifact.name, None, files, tuple(refused))
