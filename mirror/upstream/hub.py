"""The Hugging Face hub, as clients of every age see them.

Small files are answered directly; of a large one, HEAD and GET are redirected to the CDN,
on another host, with a signed address. No header here speaks of xet: a client that reads
one leaves HTTP.

Source: ``huggingface_hub.file_download`` (``get_hf_file_metadata``) and
``huggingface_hub.utils._http`` (``hf_raise_for_status``: ``X-Error-Code``).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, unquote, urlencode

from mirror.upstream.cdn import cdn_address, disposition
from mirror.upstream.conditions import Entity
from mirror.upstream.http import Answer, as_json, plain
from mirror.upstream.repository import (
    HubFile,
    Repository,
    repository_json,
    tree_entry,
    tree_json,
)

if TYPE_CHECKING:
    from mirror.upstream.content import Content
    from mirror.upstream.host import Place
    from mirror.upstream.http import Headers, Request

_TYPES = {".json": "application/json", ".txt": "text/plain; charset=utf-8", ".md": "text/plain; charset=utf-8"}


@dataclass(slots=True)
class Hub:
    """The hub's repositories and habits.

    Attributes:
        repositories: By ``owner/name``.
        page: Entries of one page of a tree.
        pins_refs: Whether ``resolve/main/…`` is answered by 307 to the commit's address.
        tokens: Tokens that are valid, whatever they open; a repository's own are as well.
    """

    repositories: dict[str, Repository] = field(default_factory=dict)
    page: int = 1000
    pins_refs: bool = False
    tokens: set[str] = field(default_factory=set)

    def reply(self, request: Request, place: Place) -> Entity | Answer:
        """Answer one request to the hub."""
        parts = request.path.strip("/").split("/")
        if parts[:2] == ["api", "agent-harnesses"]:
            return as_json(200, '{"standardEnvVars":[],"harnesses":{}}')
        if parts[:2] == ["api", "telemetry"]:
            return Answer(204)
        if parts[:2] == ["api", "models"] and len(parts) > 2:
            return self._api(request, place, parts[2:])
        if "resolve" in parts[1:3]:
            return self._resolve(request, place, parts)
        return _error(404, None, "Not found")

    def names(self, request: Request) -> list[str]:
        """Return what a fault script may call the file that is asked for: its path."""
        return [unquote(request.path)]

    def _access(self, request: Request, name: str, *, reads: bool) -> Repository | Answer:
        """Return the repository, or the error that the caller's token earns."""
        repository = self.repositories.get(name)
        token = request.token
        if token is not None and not self._knows(token):
            return _error(401, None, "Invalid credentials in Authorization header")
        if repository is None or (repository.private and token not in repository.tokens):
            # The real hub does not tell anonymous callers what exists.
            if token is None:
                return _error(401, "RepoNotFound", "Invalid username or password.")
            return _error(404, "RepoNotFound", "Repository not found")
        if repository.gated and reads and token not in repository.tokens:
            why = f"Access to model {name} is restricted."
            if token is None:
                return _error(401, "GatedRepo", f"{why} You must be authenticated to access it.")
            return _error(403, "GatedRepo", f"{why} Visit the model's page to ask for access.")
        return repository

    def _knows(self, token: str) -> bool:
        return token in self.tokens or any(token in each.tokens for each in self.repositories.values())

    def _api(self, request: Request, place: Place, parts: list[str]) -> Answer:
        words = ("revision", "tree", "paths-info", "refs")
        at = next((i for i, part in enumerate(parts) if part in words and i in {1, 2}), len(parts))
        got = self._access(request, unquote("/".join(parts[:at])), reads=False)
        if isinstance(got, Answer):
            return got
        word, rest = (parts[at] if at < len(parts) else "revision"), parts[at + 1 :]
        if word == "refs":
            return as_json(200, json.dumps(_refs_json(got)))
        commit = got.commit_of(unquote(rest[0]) if rest else "main")
        if commit is None:
            return _error(404, "RevisionNotFound", f"Invalid rev id: {unquote(rest[0]) if rest else 'main'}")
        if word == "paths-info":
            return _paths_info(request, got, commit)
        if word == "tree":
            return self._tree(request, place, got, commit, unquote("/".join(rest[1:])))
        blobs = _is_true(request.parameters.get("blobs"))
        return as_json(200, json.dumps(repository_json(got, commit, blobs=blobs)))

    def _tree(self, request: Request, place: Place, repository: Repository, commit: str, folder: str) -> Answer:
        query = request.parameters
        entries = tree_json(repository.revisions[commit], folder, recursive=_is_true(query.get("recursive")))
        if entries is None:
            return _error(404, "EntryNotFound", f"{folder} does not exist on {commit}", commit)
        cursor = int(query["cursor"]) if query.get("cursor", "").isdecimal() else 0
        headers = {"X-Repo-Commit": commit}
        if cursor + self.page < len(entries):
            following = urlencode({**query, "cursor": cursor + self.page})
            headers["Link"] = f'<{place.url("hub")}{request.path}?{following}>; rel="next"'
        return as_json(200, json.dumps(entries[cursor : cursor + self.page]), headers)

    def _resolve(self, request: Request, place: Place, parts: list[str]) -> Entity | Answer:
        at = parts.index("resolve", 1)
        name, rest = unquote("/".join(parts[:at])), parts[at + 1 :]
        got = self._access(request, name, reads=True)
        if isinstance(got, Answer):
            return got
        revision, path = unquote(rest[0]) if rest else "", unquote("/".join(rest[1:]))
        commit = got.commit_of(revision)
        if commit is None:
            return _error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        file = got.revisions[commit].get(path)
        if file is None:
            return _error(404, "EntryNotFound", "Entry not found", commit)
        if self.pins_refs and revision != commit:
            return _found(307, f"/{quote(name)}/resolve/{commit}/{quote(path)}", _linked(commit, file))
        if file.lfs:
            return _found(302, place.url("cdn") + cdn_address(name, path, file.content), _linked(commit, file))
        return Entity(file.content, _SmallFile(commit, path), got.others(path, commit))


@dataclass(frozen=True, slots=True)
class _SmallFile:
    """Headers of a file that the hub answers itself."""

    commit: str
    path: str

    def __call__(self, content: Content) -> Headers:
        name = self.path.rpartition("/")[2]
        suffix = name[name.rfind(".") :] if "." in name else ""
        return (
            ("Content-Type", _TYPES.get(suffix, "application/octet-stream")),
            ("ETag", f'"{content.git_sha1}"'),
            ("X-Repo-Commit", self.commit),
            ("Accept-Ranges", "bytes"),
            ("Content-Disposition", disposition(name)),
            ("Access-Control-Expose-Headers", "X-Repo-Commit,X-Request-Id,X-Error-Code,X-Error-Message,ETag,Link"),
        )


def _linked(commit: str, file: HubFile) -> Headers:
    return (
        ("X-Repo-Commit", commit),
        ("X-Linked-Size", str(file.content.size)),
        ("X-Linked-Etag", f'"{file.etag}"'),
        ("Accept-Ranges", "bytes"),
        ("Vary", "Accept"),
    )


def _found(status: int, location: str, headers: Headers) -> Answer:
    word = "Found" if status == 302 else "Temporary Redirect"
    return plain(
        status, f"{word}. Redirecting to {location}", "text/plain; charset=utf-8", *headers, ("Location", location)
    )


def _error(status: int, code: str | None, message: str, commit: str | None = None) -> Answer:
    headers = [("X-Error-Message", message)]
    if code is not None:
        headers.append(("X-Error-Code", code))
    if commit is not None:
        headers.append(("X-Repo-Commit", commit))
    return as_json(status, json.dumps({"error": message}), dict(headers))


def _refs_json(repository: Repository) -> dict[str, object]:
    branches = [
        {"name": name, "ref": f"refs/heads/{name}", "targetCommit": commit}
        for name, commit in sorted(repository.refs.items())
        if not name.startswith("refs/")
    ]
    return {"branches": branches, "converts": [], "tags": []}


def _paths_info(request: Request, repository: Repository, commit: str) -> Answer:
    if request.method != "POST":
        return _error(405, None, "POST is needed")
    files = repository.revisions[commit]
    text = request.body.decode("utf-8", "replace")
    if (request.header("content-type") or "").startswith("application/json"):
        try:
            asked = json.loads(text)["paths"]
        except (ValueError, KeyError, TypeError):
            return _error(400, None, "paths are needed")
        paths = [asked] if isinstance(asked, str) else [str(path) for path in asked]
    else:
        paths = [value for key, value in parse_qsl(text) if key == "paths"]
    return as_json(200, json.dumps([tree_entry(path, files[path]) for path in paths if path in files]))


def _is_true(value: str | None) -> bool:
    """Whether a query's boolean is set; clients write ``true``, ``True`` and ``1``."""
    return (value or "").lower() in {"true", "1"}
