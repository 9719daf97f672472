"""The demo's own ``catalog.json``: the shipped one's models, at the scale and addresses of the demo.

Nothing that is true of the real files alone stays: shapes, counts, pins, sizes and scores
are the demo's or null, and the catalog says what it is. Files that the shipped catalog
pins are pinned here as well, to the demo's own bytes.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from mirror.upstream.host import ROLE_OF
from mirror.upstream.modelfiles import ModelFiles
from mirror.upstream.stock import hub_commit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mirror.upstream.content import Content
    from mirror.upstream.server import Server
    from mirror.upstream.world import World

#: Key of the provenance table for everything that the demo made up.
KEY = "demo"
#: Facts of the real files that say nothing about the demo's.
_REAL_ONLY = (
    "candidate_git_sha1",
    "candidate_provenance",
    "candidate_sha256",
    "candidate_size",
    "computed_size",
    "element_count",
    "element_count_provenance",
    "members",
    "members_note",
    "note",
    "paddle_config",
    "printed_total_size",
    "computed_data_bytes_note",
)
_COUNTED = ("layers", "hidden", "heads", "embedding", "intermediate", "vocab_size", "max_position", "type_vocab_size")


def demo_catalog(world: World, server: Server) -> dict[str, Any]:
    """Return the catalog of ``world`` with addresses on ``server``, as JSON values."""
    shipped = world.shipped
    said = (
        f"This catalog is the demo's: synthetic weights, seed {world.seed}, widths and vocabularies divided by "
        f"{world.scale}, served on loopback. It promises nothing about the real models."
    )
    return {
        **shipped,
        "conventions": {**shipped.get("conventions", {}), KEY: said},
        "well_known": [],
        "provenance": {
            **shipped["provenance"],
            KEY: {"repo": None, "path": None, "commit": None, "public_record": None, "note": said},
        },
        "models": [_model(entry, world, server) for entry in shipped["models"]],
        "bundles": [
            {**entry, "sources": [_source(source, world, server) for source in entry["sources"]]}
            for entry in shipped.get("bundles", ())
        ],
    }


def _model(entry: Mapping[str, Any], world: World, server: Server) -> dict[str, Any]:
    files = ModelFiles.of(entry, seed=world.seed, scale=world.scale)
    counts = _counts(files)
    known = asdict(files.shape)
    shape = {name: known[name] if entry["shape"][name] is not None else None for name in _COUNTED}
    sources = [_source(source, world, server) for source in entry["sources"]]
    for source in sources:
        if "computed_data_bytes" in source:
            source["computed_data_bytes"] = 4 * (counts or {})["pretraining_checkpoint"]
    return {
        **entry,
        "shape": {**shape, "note": f"the demo's, of scale 1/{world.scale}", "provenance": [KEY]},
        "parameters": {"printed": None, "printed_note": None, "printed_provenance": [], "computed": counts},
        "glue": None,
        "printed": None,
        "notes": ["synthetic weights of the demo; not the published model"],
        "lookalikes": [],
        "sources": sources,
    }


def _counts(files: ModelFiles) -> dict[str, int] | None:
    """Return the exact parameter counts under the catalog's names for them."""
    # DistilBERT has no token types: their number is no part of its counts.
    needed = set(_COUNTED) - ({"type_vocab_size"} if files.entry["family"] == "distilbert" else set())
    if any(files.entry["shape"][name] is None for name in needed):
        return None
    heads = ("cls.", "vocab_", "predictions.", "sop_classifier.")
    count = {spec.name: spec.count for spec in files.specs if not spec.name.startswith("fit_")}
    encoder = sum(number for name, number in count.items() if not name.startswith(heads))
    whole = sum(count.values())
    masked = sum(number for name, number in count.items() if not name.startswith("sop_classifier."))
    return {
        "bert": {"encoder_with_pooler": encoder, "pretraining_checkpoint": whole},
        "tinybert": {"encoder_with_pooler": encoder},
        "distilbert": {"encoder_without_pooler": encoder, "masked_lm": whole},
        "albert": {"encoder_with_pooler": encoder, "masked_lm_tied_decoder": masked},
    }.get(files.architecture)


def _source(source: Mapping[str, Any], world: World, server: Server) -> dict[str, Any]:
    kept = {key: value for key, value in source.items() if key not in _REAL_ONLY}
    kept["files"] = [_file(file, source, world, server) for file in source["files"]]
    if source.get("url"):
        kept["url"] = server.rewrite(source["url"])
    if source["kind"] == "hub":
        kept |= {"revision": hub_commit(world, source), "revision_provenance": [KEY]}
    return kept


def _file(file: Mapping[str, Any], source: Mapping[str, Any], world: World, server: Server) -> dict[str, Any]:
    kept = {key: value for key, value in file.items() if key not in _REAL_ONLY}
    kept |= {"size": None, "sha256": None, "git_sha1": None, "md5": None, "provenance": [KEY]}
    if "urls" in file:
        kept["urls"] = [server.rewrite(url) for url in file["urls"]]
    if file["sha256"] is not None and "revision" not in file:
        content = _content(file, source, world)
        kept |= {"size": content.size, "sha256": content.sha256}
    return kept


def _content(file: Mapping[str, Any], source: Mapping[str, Any], world: World) -> Content:
    """Return what the world offers for one file of a source."""
    if source["kind"] == "hub":
        repository = world.hub.repositories[source["repo"]]
        return repository.revisions[hub_commit(world, source)][file["path"]].content
    parts = urlsplit(file["urls"][0])
    store = world.stores[ROLE_OF[parts.hostname or ""]]
    return store.objects[store.prefix + unquote(parts.path)].content
