"""Compare ``catalog.json`` with a facts file and print every difference; write nothing.

The catalog is edited by hand. This script says where it and a collected set of facts
(schema ``minibert-mirror/catalog-facts/1``) disagree, so that a person decides.

    python tools/check_facts.py FACTS.json [catalog.json]

What the catalog keeps otherwise than the facts file is turned into the facts' form
first: addresses on a hub follow from repository, revision and path; ``http`` sources of
Google and Baidu are told apart by their id; nicknames are aliases. Exit code 1 when
something differs.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Facts that say nothing about a model: where a reader keeps a copy, an always empty header, what became docs.
IGNORED = frozenset({"realdata", "etag", "schema", "upstream_headers"})
KINDS = {"hub": "huggingface", "baidu-pan": "baidu-pan"}
HUB = "https://huggingface.co"


def facts_of(catalog: dict[str, Any]) -> dict[str, Any]:
    """Return the catalog in the form of a facts file."""
    table = {key: {**entry, "key": key} for key, entry in catalog["provenance"].items()}
    facts = {
        "conventions": {key: text for key, text in catalog["conventions"].items() if key != "seed"},
        "models": {model["id"]: _model(model) for model in catalog["models"]},
        "bundles": {bundle["id"]: _bundle(bundle) for bundle in catalog["bundles"]},
        "well_known_digests": {known["what"]: known for known in catalog["well_known"]},
    }
    expanded = _expand(facts, table)
    assert isinstance(expanded, dict)
    return expanded


def _model(model: dict[str, Any]) -> dict[str, Any]:
    shape, parameters, glue = dict(model["shape"]), model["parameters"], model["glue"] or {}
    licence = dict(model["licence"])
    note, provenance, evidence = shape.pop("note"), shape.pop("provenance"), licence.pop("provenance")
    return {
        **{key: model[key] for key in ("id", "family", "language", "language_as_printed", "cased", "tokenizer")},
        **{key: model[key] for key in ("printed", "notes", "lookalikes")},
        "aliases": sorted({*model["aliases"], *filter(None, [model["name"]])}),
        **shape,
        "config_note": note,
        "config_provenance": provenance,
        **{f"params_{key}": value for key, value in parameters.items()},
        "licence": {**licence, "evidence": evidence},
        "glue_test": glue.get("test"),
        "glue_provenance": glue.get("provenance"),
        "sources": {_address(source): _source(source) for source in model["sources"]},
    }


def _bundle(bundle: dict[str, Any]) -> dict[str, Any]:
    return {"id": bundle["id"], **_source(bundle["sources"][0])}


def _source(source: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in source.items() if key not in {"id", "formats", "ref"}}
    formats = source["formats"]
    kind = KINDS.get(source["kind"]) or ("gcs" if source["id"] == "google" else "paddle-bos")
    kept |= {"kind": kind, "format": formats[0] if formats else None, "also_formats": formats[1:]}
    kept["files"] = {file["path"]: _file(file, source) for file in source["files"]}
    for file in source["files"]:
        kept |= {"members_note": file.get("members_note"), "members": file.get("members")}
    kept["members"] = {member["path"]: member for member in kept.get("members") or ()}
    return kept


def _file(file: dict[str, Any], source: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in file.items() if key not in {"urls", "revision", "members", "members_note"}}
    if source["kind"] == "hub":
        ref = file.get("revision") or source["revision"] or "main"
        return {**kept, "url": f"{HUB}/{source['repo']}/resolve/{ref}/{file['path']}"}
    url, *alternates = file["urls"]
    read_in = kept.pop("alternate_provenance", None)
    return {**kept, "url": url, "alt_url": alternates[0] if alternates else None, "alt_url_provenance": read_in}


def arranged(facts: dict[str, Any]) -> dict[str, Any]:
    """Return a facts file with its lists keyed, so that order does not count."""
    models = {}
    for model in facts["models"]:
        sources = {_address(source): _keyed(source) for source in model["sources"]}
        models[model["id"]] = {**model, "aliases": sorted({*model["aliases"]} - {model["id"]}), "sources": sources}
    return {
        **facts,
        "models": models,
        "bundles": {bundle["id"]: _keyed(bundle) for bundle in facts["bundles"]},
        "well_known_digests": {known["what"]: known for known in facts["well_known_digests"]},
    }


def _keyed(source: dict[str, Any]) -> dict[str, Any]:
    lists = {key: {item["path"]: item for item in source.get(key) or ()} for key in ("files", "members")}
    return {**source, **lists}


def _address(source: dict[str, Any]) -> str:
    return str(source["url"])


def _expand(value: Any, table: dict[str, Any]) -> Any:
    """Put the provenance table's entries where the catalog has their keys."""
    if isinstance(value, list):
        return [table[item] if isinstance(item, str) and item in table else _expand(item, table) for item in value]
    return {key: _expand(item, table) for key, item in value.items()} if isinstance(value, dict) else value


def differences(facts: Any, catalog: Any, where: str = "") -> Iterator[str]:
    """Yield every difference, in words; null, nothing and an empty list are all unknown."""
    if isinstance(facts, dict | None) and isinstance(catalog, dict | None) and (facts or catalog):
        ours, theirs = catalog or {}, facts or {}
        for key in sorted({*theirs, *ours} - IGNORED):
            yield from differences(theirs.get(key), ours.get(key), f"{where}/{key}")
    elif isinstance(facts, list) and isinstance(catalog, list) and len(facts) == len(catalog):
        for number, (one, other) in enumerate(zip(facts, catalog, strict=True)):
            yield from differences(one, other, f"{where}/{number}")
    elif facts != catalog and (facts not in (None, [], {}) or catalog not in (None, [], {})):
        yield f"{where.lstrip('/')}: facts {_short(facts)}, catalog {_short(catalog)}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else f"{text[:117]}..."


def main(arguments: list[str]) -> int:
    """Print the differences; return 0 when there is none, 1 when there are, 2 when asked wrongly."""
    if not 1 <= len(arguments) <= 2:
        print(__doc__, file=sys.stderr)
        return 2
    ours = Path(arguments[1]) if len(arguments) == 2 else Path(__file__).parents[1] / "catalog.json"
    facts = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    catalog = json.loads(ours.read_text(encoding="utf-8"))
    found = list(differences(arranged(facts), facts_of(catalog)))
    for line in found:
        print(line)
    print(f"{len(found)} differences", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
