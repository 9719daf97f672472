"""Selectors: one grammar, for every command, to name artifacts.

A name unites: ``bert-tiny albert-base-v1`` is both. A predicate narrows: ``layers=2
source=google`` is what fulfils both. The result stands in the catalog's order, each
artifact once. ``docs/catalog.md`` explains the grammar, ``HELP`` is its short form.
"""

from __future__ import annotations

import re
from fnmatch import translate
from typing import TYPE_CHECKING, NamedTuple

from mirror.errors import SelectorError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mirror.catalog.values import Artifact, Catalog, Model

HELP = """\b
SELECTORS: names are united, predicates narrow (quote <, > and * for your shell).
  bert-tiny  BERT-Tiny  2/128  google/bert_uncased_L-2_H-128_A-2    a model: name, alias, id
  'albert-*'  '*-v2'                              globs, ignoring case
  bert-tiny@google  '*@huggingface'  @paddle      one artifact, one source of many models
  family=albert  layers=2  'hidden<=256'  heads=  vocab=  lang=zh   the model
  source=google,paddle  format=pytorch  kind=hub  role=  licence=   the artifact
  model=  narrows by name; kind=bundle selects the all-in-one releases
Operators: = != < <= > >=; a comma in a value means or; the value `unknown` is null."""

_PREDICATE = re.compile(r"([A-Za-z_]+)(!=|<=|>=|=|<|>)(.*)", re.DOTALL)
_GLOB = re.compile(r"[*?\[]")
UNKNOWN = "unknown"

_NUMBERS: dict[str, Callable[[Artifact], int | None]] = {
    "layers": lambda artifact: artifact.model.shape.layers,
    "hidden": lambda artifact: artifact.model.shape.hidden,
    "heads": lambda artifact: artifact.model.shape.heads,
    "vocab": lambda artifact: artifact.model.shape.vocab_size,
}
_WORDS: dict[str, Callable[[Artifact], tuple[str, ...]]] = {
    "family": lambda artifact: _one(artifact.model.family),
    "format": lambda artifact: artifact.formats,
    "kind": lambda artifact: ("bundle", artifact.kind) if artifact.bundle else (artifact.kind,),
    "lang": lambda artifact: _one(artifact.model.language),
    "licence": lambda artifact: _one(artifact.model.licence),
    "model": lambda artifact: artifact.model.names,
    "role": lambda artifact: _one(artifact.role),
    "source": lambda artifact: (artifact.source, artifact.source.partition("-")[0]),
}
#: Every key of a predicate.
KEYS = tuple(sorted((*_NUMBERS, *_WORDS)))


class _Predicate(NamedTuple):
    """One narrowing: its text, for messages, and what it lets pass."""

    text: str
    passes: Callable[[Artifact], bool]
    wants_bundles: bool


def select(catalog: Catalog, selectors: Sequence[str], *, everything: bool = False) -> tuple[Artifact, ...]:
    """Return the artifacts that ``selectors`` name, in the catalog's order.

    Args:
        catalog: The catalog.
        selectors: Names and predicates, as ``HELP`` describes them.
        everything: Start from every artifact of every model. Of names, only bundles' go with that: they are no model.

    Raises:
        SelectorError: A selector is malformed, names nothing, or nothing is left.
        UsageError: A model is named, and everything wanted.
    """
    predicates: list[_Predicate] = []
    named: set[Artifact] = set()
    names = 0
    for text in selectors:
        match = _PREDICATE.fullmatch(text)
        if match:
            predicates.append(_predicate(catalog, text, *match.groups()))
        else:
            names += 1
            named |= (found := _named(catalog, text))
            if everything and not all(artifact.bundle for artifact in found):
                raise UsageError(
                    f"{text!r} is among everything already: give names or --all, not both",
                    hint="predicates narrow --all: source=google, family=albert, layers=2",
                )
    if not (selectors or everything):
        raise SelectorError("nothing is selected: name a model, or say --all")
    bundles = any(predicate.wants_bundles for predicate in predicates)
    chosen = [
        artifact
        for artifact in catalog.artifacts()
        if artifact in named or ((everything or not names) and (bundles or not artifact.bundle))
    ]
    return tuple(_narrow(chosen, predicates))


def _narrow(chosen: list[Artifact], predicates: Iterable[_Predicate]) -> list[Artifact]:
    for predicate in predicates:
        left = [artifact for artifact in chosen if predicate.passes(artifact)]
        if not left:
            before = f"{len(chosen)} artifacts" if len(chosen) != 1 else "one artifact"
            raise SelectorError(f"nothing is left: `{predicate.text}` fits none of the {before} before it")
        chosen = left
    return chosen


def _named(catalog: Catalog, text: str) -> set[Artifact]:
    """Return what one name, glob or ``model@source`` stands for."""
    name, at, source = text.partition("@")
    models = _models(catalog, name) if name or not at else list(catalog.models)
    if not models:
        raise SelectorError(f"no model {name!r}", nearest=_nearest(catalog, name))
    found = {artifact for model in models for artifact in catalog.artifacts_of(model)}
    if not at:
        return found
    # `@baidu` means both Baidu links, but `@huggingface` the official one where there is one.
    for pattern in (source, f"{source}-*"):
        matches = _matcher(pattern)
        if kept := {artifact for artifact in found if matches(artifact.source)}:
            return kept
    known = sorted({artifact.source for artifact in found})
    raise SelectorError(
        f"no source {source!r} of {name or 'any model'!r}", nearest=_close(source, known) or tuple(known[:6])
    )


def _models(catalog: Catalog, name: str) -> list[Model]:
    exact = catalog.model(name)
    if exact is not None:
        return [exact]
    if not _GLOB.search(name):
        return []
    matches = _matcher(name)
    # A bundle repeats the bytes of other models: only its own name selects it.
    return [model for model in catalog.models if any(map(matches, model.names))]


def _predicate(catalog: Catalog, text: str, key: str, operator: str, value: str) -> _Predicate:
    key = {"language": "lang", "license": "licence"}.get(key.lower(), key.lower())
    if key in _NUMBERS:
        passes = _number(text, _NUMBERS[key], operator, value)
    elif key in _WORDS:
        passes = _word(catalog, text, key, operator, value)
    else:
        raise SelectorError(f"`{text}`: no predicate {key!r}", nearest=_close(key, KEYS) or KEYS)
    wants = key == "kind" and operator == "=" and "bundle" in value.lower().split(",")
    return _Predicate(text, passes, wants)


def _number(text: str, of: Callable[[Artifact], int | None], operator: str, value: str) -> Callable[[Artifact], bool]:
    if operator in {"=", "!="}:
        wanted = {None if item == UNKNOWN else _integer(text, item) for item in value.lower().split(",")}
        return lambda artifact: (of(artifact) in wanted) == (operator == "=")
    bound = _integer(text, value)
    # An unknown number is neither below nor above anything.
    compare: dict[str, Callable[[int], bool]] = {
        "<": lambda number: number < bound,
        "<=": lambda number: number <= bound,
        ">": lambda number: number > bound,
        ">=": lambda number: number >= bound,
    }
    holds = compare[operator]
    return lambda artifact: (number := of(artifact)) is not None and holds(number)


def _word(catalog: Catalog, text: str, key: str, operator: str, value: str) -> Callable[[Artifact], bool]:
    if operator not in {"=", "!="}:
        raise SelectorError(f"`{text}`: {key} is compared with = or != only")
    of = _WORDS[key]
    known = {word for artifact in catalog.artifacts() for word in of(artifact)}
    wanted: set[str] = set()
    for item in value.split(","):
        matches = _matcher(item)
        found = {word for word in known if matches(word)}
        if not found and item.lower() != UNKNOWN:
            # Lower case first: of BERT-Tiny and bert-tiny, the one to type.
            words = sorted(known, key=str.swapcase)
            near = _close(item, words) or tuple(words[:8])
            raise SelectorError(f"`{text}`: nothing in the catalog has {key} {item!r}", nearest=near)
        wanted |= found
    unknown = UNKNOWN in value.lower().split(",")
    expected = operator == "="

    def passes(artifact: Artifact) -> bool:
        words = of(artifact)
        return ((unknown and not words) or not wanted.isdisjoint(words)) == expected

    return passes


def _integer(text: str, value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,12}", value):
        raise SelectorError(f"`{text}`: {value!r} is not a number")
    return int(value)


def _matcher(pattern: str) -> Callable[[str], bool]:
    """Return whether a word is ``pattern``, a glob or a plain word, ignoring case."""
    folded = pattern.casefold()
    if not _GLOB.search(folded):
        return lambda word: word.casefold() == folded
    compiled = re.compile(translate(folded))
    return lambda word: compiled.match(word.casefold()) is not None


def words(catalog: Catalog, key: str) -> tuple[str, ...]:
    """Return every word that a predicate of ``key`` may be compared with; none where it takes numbers, or is none."""
    of = _WORDS.get(key)
    return () if of is None else tuple(sorted({word for artifact in catalog.artifacts() for word in of(artifact)}))


def _nearest(catalog: Catalog, name: str) -> tuple[str, ...]:
    """Return what ``name`` may have meant: a model's name, or a predicate."""
    hints = [
        f"{key}={word}"
        for key in ("family", "source", "format", "lang")
        for word in sorted({word for artifact in catalog.artifacts() for word in _WORDS[key](artifact)})
        if word.casefold() == name.casefold()
    ]
    names = [name for model in (*catalog.models, *catalog.bundles) for name in model.names]
    return (*hints, *_close(name, names))


def _close(word: str, known: Iterable[str]) -> tuple[str, ...]:
    import difflib

    folded: dict[str, str] = {}
    for name in known:
        folded.setdefault(name.casefold(), name)
    return tuple(folded[name] for name in difflib.get_close_matches(word.casefold(), folded, n=3))


def _one(word: str | None) -> tuple[str, ...]:
    return () if word is None else (word,)
