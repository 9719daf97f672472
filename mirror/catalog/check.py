"""Is the catalog what it should be? Every problem is named, none is mended.

The schema says what a catalog looks like; this says what it must mean. The text is
judged as plain JSON values, so that a catalog that cannot even be read is explained.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from mirror.catalog.counts import compute
from mirror.catalog.read import parse
from mirror.catalog.schema import place, violations
from mirror.errors import CatalogError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mirror.catalog.values import Catalog, Model, PinnedFile

#: The sources that every one of the 24 miniatures has.
MINIATURE_SOURCES = ("huggingface", "google", "baidu-pytorch", "baidu-tensorflow")
_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+")


class Problem(NamedTuple):
    """One thing that is wrong: where in the file, and what."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def check(text: str) -> list[Problem]:
    """Return everything that is wrong with the catalog written as ``text``; empty when nothing is."""
    try:
        data = json.loads(text)
    except ValueError as error:
        return [Problem("the whole file", f"not JSON: {error}")]
    except RecursionError:
        return [Problem("the whole file", "nested too deeply")]
    problems = [Problem(where, what) for where, what in violations(data)]
    if problems:
        return problems  # what follows relies on the schema
    try:
        catalog = parse(text)
    except CatalogError as error:
        return [Problem("the whole file", str(error).removeprefix("catalog.json: "))]
    problems += [Problem(where, f"no {key!r} in the provenance table") for where, key in _dangling(data, catalog)]
    problems += [Problem(where, f"{url!r} is not a well-formed address") for where, url in _bad_links(data)]
    for model in (*catalog.models, *catalog.bundles):
        problems += _of_model(catalog, model)
    return problems


def _of_model(catalog: Catalog, model: Model) -> Iterator[Problem]:
    where = f"{'bundles' if model.bundle else 'models'}/{model.name}"
    if not model.bundle:
        yield from _counts(model, where)
    yield from (
        Problem(where, f"no citation {key!r} in the table")
        for key in model.entry.get("citations") or ()
        if key not in catalog.data.get("citations", {})
    )
    artifacts = catalog.artifacts_of(model)
    if model.family == "bert-miniature":
        missing = [source for source in MINIATURE_SOURCES if source not in {artifact.source for artifact in artifacts}]
        yield from (Problem(where, f"a miniature without the source {source!r}") for source in missing)
    refused = catalog.refused(model)
    for artifact in artifacts:
        at = f"{where}/sources/{artifact.source}"
        if artifact.kind == "http" and artifact.published and not artifact.files:
            yield Problem(at, "an http source must list its files: nobody else does")
        if artifact.kind == "baidu-pan" and (artifact.url is None) == artifact.published:
            yield Problem(at, "a share has an address exactly when it is published")
        yield from _files(artifact.files, f"{at}/files", refused)
        for path, members in artifact.members.items():
            yield from _files(members, f"{at}/files/{path}/members", refused)


def _files(files: tuple[PinnedFile, ...], where: str, refused: Any) -> Iterator[Problem]:
    seen: set[str] = set()
    for file in files:
        if file.path in seen:
            yield Problem(f"{where}/{file.path}", "listed twice")
        seen.add(file.path)
        if file.sha256 in refused:
            yield Problem(f"{where}/{file.path}", f"pins a look-alike that must be refused: {refused[file.sha256]}")


def _counts(model: Model, where: str) -> Iterator[Problem]:
    computed = compute(model.family, model.shape)
    stated = model.entry["parameters"]["computed"]
    if computed is not None and stated != computed:
        yield Problem(f"{where}/parameters/computed", f"is {stated}, but the shape gives {computed}")
    if computed is None and stated is not None:
        yield Problem(f"{where}/parameters/computed", "is stated, but the shape is not known well enough to compute it")
    for source in model.entry["sources"]:
        stored = source.get("computed_data_bytes")
        whole = (computed or {}).get("pretraining_checkpoint")
        if stored is not None and whole is not None and stored != 4 * whole:
            yield Problem(f"{where}/sources/{source['id']}/computed_data_bytes", f"is {stored}, not 4 x {whole}")


def _dangling(data: dict[str, Any], catalog: Catalog) -> Iterator[tuple[str, str]]:
    """Yield every use of a provenance key that the table does not have."""
    for path, value in _walk(data, []):
        if path and str(path[-1]).endswith("provenance") and isinstance(value, list):
            yield from ((place(data, path), key) for key in value if key not in catalog.provenance)


def _bad_links(data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield every address that no client could open."""
    for path, value in _walk(data, []):
        name = path[-2] if path and isinstance(path[-1], int) and len(path) > 1 else (path or [""])[-1]
        if name in {"url", "urls"} and isinstance(value, str) and not _well_formed(value):
            yield place(data, path), value


def _well_formed(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    if parts.scheme == "file":
        return parts.path.startswith("/")
    # User names and fragments have no place in an address that is logged and shared.
    return bool(_HOST.fullmatch(host)) and port != 0 and parts.username is None and not parts.fragment and url.isascii()


def _walk(value: Any, path: list[str | int]) -> Iterator[tuple[list[str | int], Any]]:
    yield path, value
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _walk(item, [*path, key])
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _walk(item, [*path, number])
