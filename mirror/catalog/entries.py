"""What one entry of a catalog must mean, beyond what the schema says of it.

Plain JSON values in, problems out: entries are judged one by one, so that what is wrong
with one of them hides nothing of another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mirror.catalog.counts import compute
from mirror.catalog.places import Problem
from mirror.catalog.read import NO_NAME, can_be_name, can_be_path
from mirror.catalog.values import Shape
from mirror.model import file_and_folder

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

Entry = dict[str, Any]

#: The sources that every one of the 24 miniatures has.
MINIATURE_SOURCES = ("huggingface", "google", "baidu-pytorch", "baidu-tensorflow")


def problems_of(entry: Entry, where: str, *, citations: Collection[str], shared: Collection[str]) -> Iterator[Problem]:
    """Yield what is wrong with a model or a bundle that the schema finds nothing wrong with.

    Args:
        entry: Its JSON values.
        where: Its place.
        citations: The keys of the catalog's citations.
        shared: Digests of files that many models share, hex.
    """
    name = entry["name"] or entry["id"]
    if not can_be_name(name):
        yield Problem(where, f"{name!r} {NO_NAME}")
    if "shape" in entry:
        yield from _shape(entry, where)
    unknown = (key for key in entry.get("citations") or () if key not in citations)
    yield from (Problem(where, f"no citation {key!r} in the table") for key in unknown)
    refused = {
        digest: other["what"]
        for other in entry.get("lookalikes") or ()
        for digest in other["members"].values()
        if digest not in shared
    }
    miniature = entry.get("family") == "bert-miniature"
    slugs: set[str] = set()
    for source in entry["sources"]:
        at = f"{where}/sources/{source['id']}"
        if source["id"] in slugs:
            yield Problem(at, "listed twice")
        slugs.add(source["id"])
        yield from _source(source, at, miniature=miniature)
        yield from _files(source["files"], f"{at}/files", refused)
    missing = [source for source in MINIATURE_SOURCES if miniature and source not in slugs]
    yield from (Problem(where, f"a miniature without the source {source!r}") for source in missing)


def _source(source: Entry, where: str, *, miniature: bool) -> Iterator[Problem]:
    published = source.get("status") != "unpublished"
    if source["kind"] == "http" and published and not source["files"]:
        yield Problem(where, "an http source must list its files: nobody else does")
    if source["kind"] == "baidu-pan":
        if (source["url"] is None) == published:
            yield Problem(where, "a share has an address exactly when it is published")
        if miniature and published and source["code"] is None:
            yield Problem(f"{where}/code", "a published share of a miniature has an extraction code")


def _files(files: list[Entry], where: str, refused: Mapping[str, str]) -> Iterator[Problem]:
    seen: set[str] = set()
    for file in files:
        path, sha256 = file["path"], file["sha256"]
        at = f"{where}/{path}"
        if not can_be_path(path):
            yield Problem(at, "an unsafe path: it must be relative, without .. and signs that some disk cannot hold")
        if path in seen:
            yield Problem(at, "listed twice")
        seen.add(path)
        if sha256 in refused:
            yield Problem(at, f"pins a look-alike that must be refused: {refused[sha256]}")
        yield from _files(file.get("members") or [], f"{at}/members", refused)
    if (both := file_and_folder(seen)) is not None:
        yield Problem(f"{where}/{both}", "a file, and the folder of others: no disk can hold both")


def _shape(entry: Entry, where: str) -> Iterator[Problem]:
    shape = Shape(*(entry["shape"][name] for name in Shape._fields))
    if shape.heads and shape.hidden and shape.hidden % shape.heads:
        yield Problem(f"{where}/shape/heads", f"{shape.heads} heads do not divide hidden {shape.hidden}")
    computed, stated = compute(entry["family"], shape), entry["parameters"]["computed"]
    at = f"{where}/parameters/computed"
    if computed is not None and stated != computed:
        yield Problem(at, f"is {stated}, but the shape gives {computed}")
    if computed is None and stated is not None:
        yield Problem(at, "is stated, but the shape is not known well enough to compute it")
    whole = (computed or {}).get("pretraining_checkpoint")
    for source in entry["sources"]:
        stored = source.get("computed_data_bytes")
        if stored is not None and whole is not None and stored != 4 * whole:
            yield Problem(f"{where}/sources/{source['id']}/computed_data_bytes", f"is {stored}, not 4 x {whole}")
