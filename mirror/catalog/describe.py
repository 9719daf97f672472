"""One model of the catalog in words, as lines for a terminal.

Printed and computed figures stand apart, every value is followed by where it was
read, and what nobody can look up is called a claim.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from mirror.catalog.provenance import readers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mirror.catalog.provenance import Provenance
    from mirror.catalog.values import Artifact, Catalog, Model, PinnedFile

WIDTH = 100
_LABEL = 14
_SHAPE = {
    "layers": "{} layers",
    "hidden": "hidden {}",
    "heads": "{} heads",
    "embedding": "embedding {}",
    "intermediate": "feed-forward {}",
    "vocab_size": "vocabulary {}",
    "max_position": "{} positions",
    "type_vocab_size": "{} segments",
}


def describe(catalog: Catalog, model: Model) -> Iterator[str]:
    """Yield lines that say everything the catalog knows of ``model``."""
    yield model.name if model.name == model.id else f"{model.name} ({model.id})"
    for label, text in _facts(catalog, model):
        yield from _row(label, text)
    for artifact in catalog.artifacts_of(model):
        yield ""
        yield from _artifact(catalog, artifact)
    yield ""
    yield "read in"
    documents = catalog.data.get("documents", {})
    for key in sorted({key for key in _keys(model.entry) if key in catalog.provenance}):
        title = f"source document {documents[key]['title']!r}; " if key in documents else ""
        yield from _row(key, title + provenance(catalog.provenance[key]))


def provenance(source: Provenance) -> str:
    """Return where a value was read, in words; an unnamed reader's pin is called a claim."""
    if not source.named:
        text = f"public record {source.public_record}: one unnamed reader's word, a claim until first contact"
    else:
        text = " ".join(part for part in (source.repo, source.path, source.commit and f"at {source.commit}") if part)
    return "; ".join(part for part in (text, source.note) if part)


def _facts(catalog: Catalog, model: Model) -> Iterator[tuple[str, str]]:
    entry = model.entry
    if model.aliases:
        yield "also called", ", ".join(model.aliases)
    if model.bundle:
        yield "covers", entry["covers"]
        yield from (("note", note) for note in entry["notes"])
        return
    yield "family", model.family or "unknown"
    yield "language", _language(entry)
    yield "shape", _shape(model)
    if entry["shape"]["note"]:
        yield "", entry["shape"]["note"]
    parameters = entry["parameters"]
    yield "parameters", f"printed: {parameters['printed'] or parameters['printed_note'] or 'unknown'}"
    computed = ", ".join(f"{count:,} {way}" for way, count in model.parameters.items())
    yield "", f"computed: {computed or 'unknown, for want of sizes'}"
    licence = entry["licence"]
    listed = licence["listed"] and f"listed as {licence['listed']}"
    yield "licence", "; ".join(part for part in (model.licence or "unknown", listed, licence["basis"]) if part)
    if entry["tokenizer"]:
        yield "tokenizer", f"{entry['tokenizer']['kind']}: {', '.join(entry['tokenizer']['files'])}"
    if entry["glue"]:
        yield "GLUE, test", ", ".join(f"{task} {score}" for task, score in entry["glue"]["test"].items())
    for key in entry["citations"]:
        yield "cite", f"{key} {catalog.data.get('citations', {}).get(key, {}).get('url', '')}"
    if entry["printed"] and "description" in entry["printed"]:
        yield "printed", f"{entry['printed'].get('language', '')}: {entry['printed']['description']}"
    yield from (("note", note) for note in entry["notes"])
    yield from (("refuse", other["what"]) for other in entry["lookalikes"])


def _artifact(catalog: Catalog, artifact: Artifact) -> Iterator[str]:
    what = [artifact.role or "", ", ".join(artifact.formats) or "format unknown"]
    yield f"{artifact.name}: {'; '.join(part for part in what if part)}"
    if not artifact.published:
        yield from _row("", "not published: the source document prints no address")
    if artifact.url:
        yield from _row("address", artifact.url)
    if artifact.waits_for_person and artifact.published:
        yield from _row("code", f"{artifact.code or 'unknown'}; only a person can fetch it")
    if artifact.kind == "hub":
        read_by = readers(catalog.provenance[key] for key in artifact.entry.get("revision_provenance") or ())
        yield from _row("revision", f"{artifact.revision}; {read_by}" if artifact.revision else artifact.ref)
    for file in artifact.files:
        yield from _file(file)
    if artifact.kind == "hub" and not artifact.complete:
        yield from _row("", "a pull lists all files at that revision")


def _file(file: PinnedFile) -> Iterator[str]:
    words = [file.path]
    if file.size is not None:
        words.append(f"{file.size:,} B")
    for name, value in (("sha256", file.sha256), ("git-sha1", file.git_sha1), ("md5", file.md5)):
        if value:
            words.append(f"{name} {value}")
    words.append(file.where.removeprefix("catalog.json: "))
    if file.elsewhere:
        words.append(f"read at {file.elsewhere}, no promise for the revision above")
    yield from _row("file", "; ".join(words))
    if "note" in file.extra:
        yield from _row("", file.extra["note"])
    for member in file.members or ():
        yield from _row("member", f"{member.path}; {member.size:,} B" if member.size is not None else member.path)


def _language(entry: dict[str, Any] | Any) -> str:
    cased = {True: "cased", False: "uncased", None: None}[entry["cased"]]
    printed = entry["language_as_printed"] and f"printed: {entry['language_as_printed']}"
    return "; ".join(part for part in (entry["language"] or "unknown", cased, printed) if part)


def _shape(model: Model) -> str:
    known = [(text, getattr(model.shape, name)) for name, text in _SHAPE.items()]
    return ", ".join(text.format("unknown" if size is None else size) for text, size in known)


def _keys(value: Any) -> Iterator[str]:
    """Yield every provenance key that an entry uses, files included."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key.endswith("provenance"):
                yield from item
            else:
                yield from _keys(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _keys(item)
    elif hasattr(value, "provenance"):
        yield from value.provenance
        yield from _keys(value.members)


def _row(label: str, text: str) -> list[str]:
    pad = " " * (_LABEL + 2)
    head = f"  {label:<{_LABEL}}"
    if len(head) > len(pad):
        head += " "
    return textwrap.wrap(
        text, WIDTH, initial_indent=head, subsequent_indent=pad, break_long_words=False, break_on_hyphens=False
    )
