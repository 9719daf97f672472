"""``catalog.json`` to values, fast, with only the checks that later rooms trust.

Plain JSON, no schema: ``catalog check`` judges the whole file. What is checked here
is what would be dangerous or useless to go on with: paths and names that leave their
place, digests that are none, two things of one name.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mirror.catalog.places import HALF, half_characters, place, printable
from mirror.catalog.provenance import Provenance
from mirror.catalog.values import HUB, Artifact, Catalog, Model, PinnedFile, Shape
from mirror.errors import CatalogError
from mirror.model import safe_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SCHEMA = "minibert-mirror/catalog/1"
#: The keys of a file entry that are fields of ``PinnedFile``; the rest is its ``extra``.
_FIELDS = frozenset({"path", "revision", "urls", "size", "sha256", "git_sha1", "md5", "members", "provenance"})
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_HEX = {length: re.compile(rf"[0-9a-f]{{{length}}}") for length in (32, 40, 64)}
# Most paths are plain names: one match instead of the whole judgement (10^5 files: 0.05 s against 0.4 s).
#: What no model's name may hold: selectors and shells have other uses for it.
_MEANS_MORE = re.compile(r'[@:*?"<>|]')
_PLAIN = re.compile(r"(?!\.)[A-Za-z0-9_.-]{1,255}")
#: What is wrong with a name that ``can_be_name`` refuses.
NO_NAME = 'cannot be a name: no @, no \\ : * ? " < > |, no . or .. between slashes'
_SLUG = re.compile(r"[a-z0-9][a-z0-9.-]*")


def builtin_catalog_text() -> str:
    """Return the text of the catalog that comes with the program.

    An installed package carries it beside this module; in a checkout it is the
    file at the top level.

    Raises:
        CatalogError: Neither is there.
    """
    for path in (Path(__file__).with_name("catalog.json"), Path(__file__).parents[2] / "catalog.json"):
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise CatalogError("the built-in catalog is missing", hint="install minibert-mirror again")


def read(path: Path) -> Catalog:
    """Return the catalog in the file ``path``.

    Raises:
        CatalogError: It is not there, cannot be read, or is no catalog.
    """
    return parse(read_text(path), where=str(path))


def read_text(path: Path) -> str:
    """Return the text of the file ``path``.

    Raises:
        CatalogError: It is not there, cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CatalogError(f"{path}: not UTF-8 at byte {error.start}") from error
    except OSError as error:
        raise CatalogError(f"{path}: {error.strerror}", hint="check the path") from error


def parse(text: str, *, where: str = "catalog.json") -> Catalog:
    """Return the catalog written as ``text``.

    Args:
        text: The JSON text.
        where: What to call it in errors.

    Raises:
        CatalogError: It is no catalog.
    """
    reader = _Reader()
    try:
        sha256 = hashlib.sha256(text.encode("utf-8")).hexdigest()
        _refuse_half_characters(text, where)
        # Sources turn their files into values as soon as they are read, so that
        # the JSON objects of 10^5 files are never all in memory.
        data = json.loads(text, object_hook=reader.shrink)
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            found = data.get("schema") if isinstance(data, dict) else type(data).__name__
            raise CatalogError(f"{where}: not a catalog of schema {SCHEMA!r}, but {found!r}")
        return reader.catalog(data, sha256)
    except json.JSONDecodeError as error:
        raise CatalogError(f"{where}: line {error.lineno}, column {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise CatalogError(f"{where}: nested too deeply") from error
    except KeyError as error:
        raise CatalogError(f"{where}: {error} is missing") from error
    except (TypeError, AttributeError, ValueError) as error:
        raise CatalogError(f"{where}: {error}") from error


def can_be_name(name: str) -> bool:
    """Whether ``name`` can be a model's: artifacts and their folders are called after it."""
    return not _MEANS_MORE.search(name) and safe_path(printable(name))


def can_be_path(path: str) -> bool:
    """Whether ``path`` can be a file's in its artifact."""
    return _PLAIN.fullmatch(path) is not None or safe_path(printable(path))


def _refuse_half_characters(text: str, where: str) -> None:
    """Refuse texts that could neither be printed nor written back."""
    if "\\ud" in text or "\\uD" in text:  # most catalogs are plain: two looks instead of a walk
        data = json.loads(text)
        for path in half_characters(data):
            raise CatalogError(f"{where}: {printable(place(data, path))}: {HALF}")


class _Reader:
    """The state of one reading: the provenance table, and names seen so far."""

    def __init__(self) -> None:
        self._table: dict[str, Provenance] = {}
        self._keys: dict[tuple[str, ...], tuple[str, ...]] = {}

    def shrink(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Make the files of a source into values; leave every other object alone."""
        if "id" in entry and "kind" in entry and isinstance(entry.get("files"), list):
            prefix = ""
            if entry["kind"] == "hub":
                prefix = f"{HUB}/{quote(entry['repo'])}/resolve/"
            ref = entry.get("revision") or entry.get("ref") or "main"
            entry["files"] = tuple(self._file(file, prefix, ref) for file in entry["files"])
        return entry

    def _file(self, entry: dict[str, Any], prefix: str = "", ref: str = "") -> PinnedFile:
        path = entry["path"]
        if not can_be_path(path):
            raise ValueError(f"unsafe path {path!r}")
        elsewhere, members = entry.get("revision"), entry.get("members")
        urls = _strings(entry.get("urls") or ())
        if prefix:
            urls = (f"{prefix}{quote(elsewhere or ref, safe='')}/{quote(path)}",)
        keys = _strings(entry.get("provenance") or ())
        extra = {key: value for key, value in entry.items() if key not in _FIELDS}
        return PinnedFile(
            path=path,
            urls=urls,
            size=_size(entry.get("size")),
            sha256=_hex(entry.get("sha256"), 64),
            git_sha1=_hex(entry.get("git_sha1"), 40),
            md5=_hex(entry.get("md5"), 32),
            provenance=self._keys.setdefault(keys, keys),
            elsewhere=elsewhere,
            extra=extra or _NOTHING,
            members=None if members is None else tuple(self._file(member) for member in members),
            table=self._table,
        )

    def catalog(self, data: dict[str, Any], sha256: str) -> Catalog:
        """Return the whole, once every part is read."""
        for key, entry in data["provenance"].items():
            self._table[key] = Provenance(key, **entry)
        for keys in self._keys:
            if missing := [key for key in keys if key not in self._table]:
                raise ValueError(f"no provenance {missing[0]!r} in the table")
        models = tuple(_model(entry, bundle=False) for entry in data["models"])
        bundles = tuple(_model(entry, bundle=True) for entry in data.get("bundles", ()))
        return Catalog(
            models=models,
            bundles=bundles,
            provenance=self._table,
            sha256=sha256,
            data=data,
            by_name=_by_name((*models, *bundles)),
            by_artifact=_by_artifact((*models, *bundles)),
        )


def _model(entry: dict[str, Any], *, bundle: bool) -> Model:
    shape = entry.get("shape") or {}
    model = Model(
        id=entry["id"],
        name=entry.get("name") or entry["id"],
        aliases=_strings(entry.get("aliases") or ()),
        family="bundle" if bundle else entry.get("family"),
        language=entry.get("language"),
        shape=Shape(**{key: shape.get(key) for key in Shape._fields}),
        licence=(entry.get("licence") or {}).get("value"),
        bundle=bundle,
        entry=entry,
    )
    if not can_be_name(model.name):
        raise ValueError(f"{model.name!r} {NO_NAME}")
    return model


def _artifact(model: Model, source: dict[str, Any]) -> Artifact:
    slug = source["id"]
    if not isinstance(source["files"], tuple):
        raise TypeError(f"{model.id}: the files of {slug!r} should be a list")
    if not _SLUG.fullmatch(slug):
        raise ValueError(f"{model.id}: {slug!r} cannot be a source's id: lower-case letters, digits, . and -")
    return Artifact(
        name=f"{model.name}@{slug}",
        model=model,
        source=slug,
        kind=source["kind"],
        role=source.get("role"),
        formats=_strings(source.get("formats") or ()),
        repo=source.get("repo"),
        revision=source.get("revision"),
        url=source.get("url"),
        code=source.get("code"),
        files=source["files"],
        entry=source,
    )


def _by_name(models: Iterable[Model]) -> dict[str, Model]:
    known: dict[str, Model] = {}
    for model in models:
        for name in model.names:
            other = known.setdefault(name.casefold(), model)
            if other is not model:
                raise ValueError(f"{name!r} names both {other.id} and {model.id}")
    return known


def _by_artifact(models: Iterable[Model]) -> dict[str, Artifact]:
    known: dict[str, Artifact] = {}
    for model in models:
        for source in model.entry["sources"]:
            artifact = _artifact(model, source)
            if known.setdefault(artifact.name, artifact) is not artifact:
                raise ValueError(f"{model.id} has two sources {artifact.source!r}")
    return known


def _strings(values: Iterable[str]) -> tuple[str, ...]:
    found = tuple(values)
    if isinstance(values, str) or not all(isinstance(value, str) for value in found):
        raise TypeError(f"{values!r} should be a list of strings")
    return found


def _size(value: object) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise ValueError(f"{value!r} is no size in bytes")


def _hex(value: str | None, length: int) -> str | None:
    if value is not None and not _HEX[length].fullmatch(value):
        raise ValueError(f"{value!r} is no digest of {length} lower-case hexadecimal digits")
    return value
