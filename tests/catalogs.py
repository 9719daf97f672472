"""Small catalogs for tests, as JSON values and as text."""

from __future__ import annotations

import json
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SHA256 = "ab" * 32
GIT_SHA1 = "cd" * 20
SIZES = ("layers", "hidden", "heads", "embedding", "intermediate", "vocab_size", "max_position", "type_vocab_size")

PROVENANCE: dict[str, dict[str, str | None]] = {
    "named": {"repo": "o/r", "path": "README.md", "commit": COMMIT, "public_record": None, "note": None},
    "record": {"repo": None, "path": None, "commit": None, "public_record": "69480406098", "note": "a pin list"},
    "other": {"repo": None, "path": None, "commit": None, "public_record": "70318009907", "note": "another"},
}


def file(path: str, *urls: str, **more: Any) -> dict[str, Any]:
    """Return a file entry; without URLs, one of a hub."""
    entry: dict[str, Any] = {"path": path, **({"urls": list(urls)} if urls else {})}
    return {**entry, "size": None, "sha256": None, "git_sha1": None, "md5": None, "provenance": ["named"], **more}


def hub(repo: str, *files: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a Hub source."""
    return {
        "id": "huggingface",
        "kind": "hub",
        "role": "official",
        "formats": ["pytorch"],
        "repo": repo,
        "revision": None,
        "revision_provenance": [],
        "url": f"https://huggingface.co/{repo}",
        "file_list_complete": False,
        "files": list(files),
        "provenance": ["named"],
        **more,
    }


def http(*files: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return an HTTP source."""
    return {
        "id": "google",
        "kind": "http",
        "role": "official",
        "formats": ["tensorflow"],
        "url": "https://host/",
        "files": list(files),
        "provenance": ["named"],
        **more,
    }


def pan(**more: Any) -> dict[str, Any]:
    """Return a Baidu Pan source."""
    url = "https://pan.baidu.com/s/1abcdefghijklmnopqrstuv"
    return http(**{"id": "baidu-pytorch", "kind": "baidu-pan", "url": url, "code": "a1b2", **more})


def model(identifier: str, /, *sources: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a model of which little is known."""
    return {
        "id": identifier,
        "name": None,
        "family": None,
        "aliases": [],
        "language": None,
        "language_as_printed": None,
        "cased": None,
        "shape": {**dict.fromkeys(SIZES), "note": None, "provenance": []},
        "parameters": {"printed": None, "printed_note": None, "printed_provenance": [], "computed": None},
        "licence": {"value": None, "basis": None, "listed": None, "provenance": []},
        "tokenizer": None,
        "glue": None,
        "citations": [],
        "printed": None,
        "notes": [],
        "lookalikes": [],
        "sources": list(sources) or [hub("owner/name")],
        **more,
    }


def catalog(*models: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a catalog that `check` finds nothing wrong with, as long as its models are good."""
    return {
        "schema": "minibert-mirror/catalog/1",
        "provenance": PROVENANCE,
        "models": list(models),
        "bundles": [],
        **more,
    }


def text(*models: dict[str, Any], **more: Any) -> str:
    """Return such a catalog as text."""
    return json.dumps(catalog(*models, **more))
