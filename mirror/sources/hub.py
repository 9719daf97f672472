"""Hugging Face hubs: one question pins a ref to a commit and lists the files of it.

``huggingface_hub`` asks and reads the answer; its requests go through our own client,
so that proxies, CAs, timeouts and Ctrl-C work as everywhere. Files are fetched from
``resolve`` addresses, never through Xet.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.hf_api import RepoFile

from mirror.errors import CatalogError, ChangedError, RedirectError, SourceError
from mirror.model import LARGEST, Authority, Claim, Digest, Listing, Refused, RemoteFile, path_fault, safe_path
from mirror.sources.bounds import NONSENSE, NonsenseError, in_words
from mirror.sources.direct import USER_AGENT
from mirror.sources.failures import located
from mirror.sources.hub_client import HUB_CLIENT
from mirror.sources.narrow import narrow
from mirror.sources.translate import translated
from mirror.wire import is_secure, redact, resolve_url, status_error

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from mirror.sources.access import HubAccess
    from mirror.sources.published import Promised, PromisedFile

#: Above so many files the repository's own list may be cut short, and the tree is asked (huggingface_hub's figure).
_LONG_LIST = 50_000
_COMMIT = re.compile(r"[0-9a-f]{40}")
#: Files that cannot be taken, and are told one by one.
_MANY = 1000


class _Lfs(Protocol):
    sha256: str
    size: int


def list_hub(artifact: Promised, *, hub: HubAccess, client: httpx2.Client, formats: Collection[str] = ()) -> Listing:
    """Return every file of a repository at one full commit, with sizes and digests.

    Args:
        artifact: Its ``repo``, and its ``revision`` or else ``main``; its files' pins are merged when they are of
            the commit that is listed. A pinned path that the hub does not list stays: fetching it will say so.
            One that was seen at another revision only is not expected at this one.
        hub: Which hub is asked, and as whom.
        client: What sends the requests.
        formats: Keep only weights of these formats; empty keeps everything.

    Raises:
        CatalogError: The artifact names no repository.
        NotFoundError: No such repository or revision, or it is private.
        AccessError: It is gated, or the token is refused.
        ChangedError: The hub answers for another commit than the one that was pinned.
        SourceError: The hub is not reached, or answers with something else.
    """
    if artifact.repo is None:
        raise CatalogError(f"{artifact.name}: the catalog names no repository")
    asked = artifact.ref
    with HUB_CLIENT.through(client, hub), _our_errors(f"{hub.endpoint}/{artifact.repo}", hub):
        commit, entries, refused = _ask(artifact.repo, asked, hub)
        if not entries and not refused:
            raise NonsenseError("a repository has at least one file, and none is listed")
    if _COMMIT.fullmatch(asked) and commit != asked:
        raise ChangedError(f"{artifact.repo}: asked for {asked}, the hub answers for {commit}")
    pins = {f.path: f for f in artifact.files if not _seen_elsewhere(f)} if artifact.revision in (None, commit) else {}
    where, secure = f"{urlsplit(hub.endpoint).hostname} API at {commit}", is_secure(hub.endpoint)
    files = [
        RemoteFile(
            artifact.name,
            path,
            (resolve_url(hub.endpoint, artifact.repo, commit, path),),
            entry.size if entry is not None else pins[path].promised_size,
            (
                *(pins[path].claims() if path in pins else ()),
                *(Claim(digest, Authority.PUBLISHER, where, secure) for digest in (entry.digests if entry else ())),
            ),
            commit,
        )
        for path in sorted({*entries, *pins})
        for entry in (entries.get(path),)
    ]
    # What is pinned is taken as it was pinned.
    left = tuple(one for one in refused if one.path not in pins)
    return Listing(artifact.name, commit, narrow(files, formats), left)


@runtime_checkable
class _HasRevision(Protocol):
    """A promised path that may have been read at a revision other than the artifact's."""

    elsewhere: str | None


def _seen_elsewhere(file: PromisedFile) -> bool:
    return isinstance(file, _HasRevision) and file.elsewhere is not None


class _Entry(NamedTuple):
    size: int | None
    digests: tuple[Digest, ...]


def _ask(repo: str, revision: str, hub: HubAccess) -> tuple[str, dict[str, _Entry], list[Refused]]:
    api = HfApi(endpoint=hub.endpoint, token=hub.token_for(hub.endpoint) or False, user_agent=USER_AGENT)
    info = api.model_info(repo, revision=revision, files_metadata=True)
    commit = info.sha or ""
    if not _COMMIT.fullmatch(commit):
        raise NonsenseError("it names no full commit")
    siblings = info.siblings or []
    if len(siblings) < _LONG_LIST and all(file.size is not None and file.blob_id for file in siblings):
        return commit, *_sorted_out((file.rfilename, file.size, file.blob_id, file.lfs) for file in siblings)
    tree = api.list_repo_tree(repo, recursive=True, revision=commit)
    return commit, *_sorted_out(
        (file.path, file.size, file.blob_id, file.lfs) for file in tree if isinstance(file, RepoFile)
    )


def _sorted_out(
    files: Iterable[tuple[str, int | None, str | None, _Lfs | None]],
) -> tuple[dict[str, _Entry], list[Refused]]:
    """Return the files that can be taken, by path, and those that cannot."""
    entries: dict[str, _Entry] = {}
    refused: list[Refused] = []
    for path, size, blob_id, lfs in files:
        try:
            entries[path] = _entry(path, size, blob_id, lfs)
        except ValueError as error:
            refused.append(Refused(path, str(error)[:200]))
            if len(refused) > _MANY:
                raise NonsenseError(f"more than {_MANY} of its files cannot be taken") from error
    below = [path for path in entries if "/" in path and any(parent in entries for parent in _parents(path))]
    lost = set(below)
    refused += [Refused(path, "its path leads through another file") for path in below]
    return {path: entry for path, entry in entries.items() if path not in lost}, refused


def _parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _entry(path: str, size: int | None, blob_id: str | None, lfs: _Lfs | None) -> _Entry:
    if not safe_path(path):
        raise ValueError(path_fault(path))
    size = size if lfs is None else lfs.size
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= LARGEST):
        raise ValueError("its size is none")
    if lfs is not None:
        return _Entry(size, (Digest("sha256", lfs.sha256),))
    return _Entry(size, (Digest("git-sha1", blob_id),) if blob_id else ())


@contextmanager
def _our_errors(url: str, hub: HubAccess) -> Iterator[None]:
    """Turn huggingface_hub's errors into ours; those of the connection are ours already."""
    try:
        yield
    except HfHubHTTPError as error:
        reply = error.response
        raise hub.explained(status_error(reply.status_code, reply.headers, url), url) from error
    except httpx2.TooManyRedirects as error:
        raise RedirectError(f"{redact(url)}: the redirects do not end") from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise located(translated(error), url) from error
    except HFValidationError as error:
        raise SourceError(f"{redact(url)}: not the name of a repository") from error
    except NONSENSE as error:
        raise SourceError(
            f"{redact(url)}: the answer is not a hub's: {in_words(error)}",
            hint="check HF_ENDPOINT, and whether a login page stands in between",
        ) from error
