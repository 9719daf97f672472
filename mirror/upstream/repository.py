"""Repositories of the hub: revisions, refs, files, and the JSON that describes them.

A revision is a full commit; a ref, such as ``main``, is a name that can be moved to
another one. Large files are kept by Git LFS: the tree holds a pointer, the CDN the bytes.

Source: the Hub's OpenAPI (``/api/models/…``) and ``huggingface_hub.hf_api`` (``RepoFile``,
``RepoFolder``, ``ModelInfo``), which read these fields.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mirror.upstream.content import Content

MAIN = "main"
_COMMIT = re.compile(r"[0-9a-f]{40}")
#: What the Hub's default ``.gitattributes`` gives to Git LFS, of the names that occur here.
LFS_SUFFIXES = (".bin", ".h5", ".msgpack", ".onnx", ".ot", ".pdparams", ".safetensors", ".zip", ".tar.gz", ".model")


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file at one revision; ``lfs`` says where the hub keeps its bytes."""

    content: Content
    lfs: bool

    @property
    def oid(self) -> str:
        """Git's object id: of the bytes, or of the pointer that stands for them."""
        if not self.lfs:
            return self.content.git_sha1
        pointer = self.content.pointer
        return hashlib.sha1(b"blob %d\0" % len(pointer) + pointer).hexdigest()

    @property
    def etag(self) -> str:
        """What the hub's ``X-Linked-Etag`` or ``ETag`` says, without quotes."""
        return self.content.sha256 if self.lfs else self.content.git_sha1


@dataclass(slots=True)
class Repository:
    """A model repository of the hub.

    Attributes:
        name: ``owner/name``.
        revisions: Files of each commit, by path.
        refs: Commit of each branch; ``main`` is there once there is a revision.
        private: Hidden from everybody without one of ``tokens``.
        gated: Listed for everybody, downloadable only with one of ``tokens``.
    """

    name: str
    revisions: dict[str, dict[str, HubFile]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    private: bool = False
    gated: bool = False
    tokens: set[str] = field(default_factory=set)

    def commit_of(self, revision: str) -> str | None:
        """Return the full commit that a commit, branch or ``refs/…`` names."""
        if revision in self.revisions:
            return revision
        return self.refs.get(revision.removeprefix("refs/heads/"))

    def add(self, revision: str, path: str, file: HubFile) -> str:
        """Put ``file`` at ``revision``, a commit or a branch, and return the commit.

        A branch that is not there yet begins with a commit of its own; the first commit
        also becomes ``main``.
        """
        commit = self.commit_of(revision)
        if commit is None:
            commit = revision if _COMMIT.fullmatch(revision) else _invented_commit(self.name, revision)
            self.revisions[commit] = {}
            if commit != revision:
                self.refs[revision] = commit
            self.refs.setdefault(MAIN, commit)
        self.revisions[commit][path] = file
        return commit

    def move(self, ref: str, commit: str) -> None:
        """Point ``ref`` at ``commit``, which must be here."""
        if commit not in self.revisions:
            raise ValueError(f"{self.name} has no revision {commit}")
        self.refs[ref] = commit

    def others(self, path: str, commit: str) -> tuple[Content, ...]:
        """Return what ``path`` holds at other revisions, where that differs."""
        mine = self.revisions[commit][path].content
        found = (files[path].content for key, files in self.revisions.items() if key != commit and path in files)
        return tuple(content for content in found if content is not mine)


def _invented_commit(name: str, branch: str) -> str:
    return hashlib.sha1(f"{name}@{branch}".encode()).hexdigest()


def repository_json(repository: Repository, commit: str, *, blobs: bool) -> dict[str, Any]:
    """Return the repository JSON at ``commit``; ``blobs`` adds sizes and digests."""
    files = repository.revisions[commit]
    return {
        "_id": hashlib.sha1(repository.name.encode()).hexdigest()[:24],
        "id": repository.name,
        "modelId": repository.name,
        "author": repository.name.partition("/")[0],
        "sha": commit,
        "lastModified": "2024-01-01T00:00:00.000Z",
        "createdAt": "2022-03-02T23:29:04.000Z",
        "private": repository.private,
        "gated": "auto" if repository.gated else False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": [],
        "siblings": [_sibling(path, files[path], blobs=blobs) for path in sorted(files)],
    }


def _sibling(path: str, file: HubFile, *, blobs: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {"rfilename": path}
    if blobs:
        entry |= {"size": file.content.size, "blobId": file.oid}
        if file.lfs:
            entry["lfs"] = {
                "sha256": file.content.sha256,
                "size": file.content.size,
                "pointerSize": len(file.content.pointer),
            }
    return entry


def tree_entry(path: str, file: HubFile) -> dict[str, Any]:
    """Return a file's entry in the tree JSON; its sha256 stands in ``lfs.oid``."""
    entry: dict[str, Any] = {"type": "file", "oid": file.oid, "size": file.content.size, "path": path}
    if file.lfs:
        entry["lfs"] = {
            "oid": file.content.sha256,
            "size": file.content.size,
            "pointerSize": len(file.content.pointer),
        }
    return entry


def tree_json(files: dict[str, HubFile], folder: str, *, recursive: bool) -> list[dict[str, Any]] | None:
    """Return the entries below ``folder`` ("" is the top), or None where there is none."""
    prefix = f"{folder}/" if folder else ""
    inside = sorted(path for path in files if path.startswith(prefix))
    if not inside and folder:
        return None
    entries: dict[str, dict[str, Any]] = {}
    for path in inside:
        parts = path.removeprefix(prefix).split("/")
        for depth in range(1, len(parts) if recursive else min(len(parts), 2)):
            name = prefix + "/".join(parts[:depth])
            entries.setdefault(name, _folder_entry(files, name))
        if recursive or len(parts) == 1:
            entries[path] = tree_entry(path, files[path])
    return [entries[name] for name in sorted(entries)]


def _folder_entry(files: dict[str, HubFile], name: str) -> dict[str, Any]:
    held = "".join(f"{files[path].oid} {path}\n" for path in sorted(files) if path.startswith(f"{name}/"))
    return {"type": "directory", "oid": hashlib.sha1(held.encode()).hexdigest(), "size": 0, "path": name}
