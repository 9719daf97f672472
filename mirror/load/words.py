"""The tokenizer beside the weights: its files agree with each other, and with the rows of the word table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mirror.compare.families import WORDS
from mirror.compare.finding import Finding, Severity
from mirror.errors import FormatError
from mirror.formats import vocabulary
from mirror.load.material import texts_beside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from typing_extensions import Buffer

    from mirror.compare.names import Canonical

_STEP = "tokenizer"
#: How each file that holds the words is read, by the end of its name.
_READERS: Mapping[str, Callable[[Buffer], tuple[str, ...]]] = {
    "vocab.txt": vocabulary.read_vocab_txt,
    "tokenizer.json": vocabulary.read_tokenizer_json,
    ".model": vocabulary.read_sentencepiece,
}


def check(found: Canonical, texts: Mapping[str, memoryview], name: str, *, cased: bool | None) -> Iterator[Finding]:
    """Yield what is wrong with the tokenizer's files beside the weights ``name``.

    Args:
        found: The tensors of the weights.
        texts: Every text of the artifact, by path.
        name: Of the weights, with an archive's before ``!``.
        cased: Whether the vocabulary keeps capitals; None where nobody says.
    """
    words: dict[str, tuple[str, ...]] = {}
    for path, reader in _beside(texts, name):
        try:
            words[path] = reader(texts[path])
        except FormatError as error:
            yield Finding(_STEP, Severity.ERROR, f"{path}: {error}")
    table = found.tensors.get(WORDS)
    for path, tokens in words.items():
        if table is not None and table.shape:
            wrong = vocabulary.not_of_size(tokens, table.shape[0], stated_by="the word table")
            yield from _told(Severity.ERROR, path, wrong)
        # SentencePiece's own words for nothing and unknown; Chinese ALBERT has BERT's vocabulary.
        in_pieces = "<unk>" in tokens
        special = vocabulary.ALBERT_SPECIAL if in_pieces else vocabulary.BERT_SPECIAL
        yield from _told(Severity.WARNING, path, vocabulary.missing_special(tokens, special))
        if cased is False and not in_pieces:
            yield from _told(Severity.NOTE, path, vocabulary.not_uncased(tokens, special))
    for first, second in zip(list(words), list(words)[1:], strict=False):
        unlike = vocabulary.unlike(words[first], words[second], first=first, second=second)
        yield from (Finding(_STEP, Severity.ERROR, text) for text in unlike)


def _beside(texts: Mapping[str, memoryview], name: str) -> Iterator[tuple[str, Callable[[Buffer], tuple[str, ...]]]]:
    beside = texts_beside(texts, name)
    return ((path, reader) for end, reader in _READERS.items() for path in beside if path.endswith(end))


def _told(severity: Severity, path: str, found: Sequence[str]) -> Iterator[Finding]:
    return (Finding(_STEP, severity, f"{path}: {text}") for text in found)
