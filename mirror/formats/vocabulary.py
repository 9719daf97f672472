"""The words of a tokenizer: ``vocab.txt``, ``tokenizer.json`` and SentencePiece models, and rules about them.

A reader gives the tokens in the order of their ids, and refuses what leaves an id in
doubt: a token that is there twice, a gap, an empty line, a byte order mark, a carriage
return. Lines end at a line feed and nowhere else: a real vocabulary has U+2028 as a token.
The rules give findings as text, one for each thing that is wrong, and none where all is
well; whether a finding matters is for the caller to say.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from mirror.bounds import Bounds
from mirror.errors import FormatError
from mirror.formats.checkpoint import as_bytes
from mirror.formats.protobuf import Wire, known_fields
from mirror.formats.strict_json import parse_object

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer

#: What BERT's vocabularies hold for its own use; they are written as here in uncased ones too.
BERT_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
#: The same for ALBERT's SentencePiece models.
ALBERT_SPECIAL = ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")

#: The largest vocabulary that BERT's family has is of 120,000 tokens, in 2 MB.
_MAX_TOKENS = 150_000
_MAX_BYTES = 8 << 20
_JSON = Bounds(_MAX_BYTES, objects=20_000, lists=2 * _MAX_TOKENS, values=4 * _MAX_TOKENS)
_SHOWN = 5

_MODEL = {1: Wire.BYTES, 2: Wire.BYTES, 3: Wire.BYTES, 4: Wire.BYTES, 5: Wire.BYTES}
_PIECES = 1
_PIECE = {1: Wire.BYTES, 2: Wire.FIXED32, 3: Wire.VARINT}
_TEXT = 1


def read_vocab_txt(source: Buffer) -> tuple[str, ...]:
    """Return the tokens of a ``vocab.txt``: one in each line, its id the number of the line from 0.

    Raises:
        FormatError: A line is empty or there twice, or it is no text of such lines.

    Source: google-research/bert ``tokenization.py``, ``load_vocab``.
    """
    data = _bounded(source)
    if data.startswith(b"\xef\xbb\xbf"):
        raise FormatError("a byte order mark", at=0)
    if (at := data.find(b"\r")) >= 0:
        raise FormatError("a carriage return", at=at)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise FormatError("no UTF-8", at=error.start) from error
    tokens = text.removesuffix("\n").split("\n")
    if "" in tokens:
        raise FormatError(f"line {tokens.index('') + 1} is empty")
    return _checked(tokens)


def read_tokenizer_json(source: Buffer) -> tuple[str, ...]:
    """Return the tokens of a ``tokenizer.json`` whose model is WordPiece or Unigram.

    Tokens that were added to the model's follow them; where one stands in both, both must agree.

    Raises:
        FormatError: It is no such file, or leaves a token's id in doubt.

    Source: huggingface/tokenizers, ``models/wordpiece/serialization.rs``, ``models/unigram/serialization.rs``.
    """
    found = parse_object(bytes(as_bytes(source)), _JSON)
    model = found.get("model")
    if not isinstance(model, dict) or model.get("type", "WordPiece") not in ("WordPiece", "Unigram"):
        raise FormatError("no model of type WordPiece or Unigram")
    by_id = _by_id(model.get("vocab"))
    added = found.get("added_tokens", [])
    if not isinstance(added, list) or not all(isinstance(entry, dict) for entry in added):
        raise FormatError("added tokens that are no list of objects")
    for entry in added:
        _note(by_id, entry.get("id"), entry.get("content"))
    missing = next((number for number in range(len(by_id)) if number not in by_id), None)
    if missing is not None:
        raise FormatError(f"no token has the id {missing}")
    return _checked([by_id[number] for number in range(len(by_id))])


def _by_id(vocabulary: object) -> dict[int, str]:
    """Return what a WordPiece model has as an object of ids, and a Unigram one as a list of pieces and scores."""
    by_id: dict[int, str] = {}
    if isinstance(vocabulary, dict):
        for token, number in vocabulary.items():
            _note(by_id, number, token)
    elif isinstance(vocabulary, list):
        for number, piece in enumerate(vocabulary):
            _note(by_id, number, piece[0] if isinstance(piece, list) and len(piece) == 2 else piece)
    else:
        raise FormatError("no vocabulary in its model")
    return by_id


def _note(by_id: dict[int, str], number: object, token: object) -> None:
    # ``True`` is an int to Python, and no number to JSON.
    if type(number) is not int or not isinstance(token, str):
        raise FormatError(f"the token {ascii(token)[:60]} has the id {ascii(number)[:40]}")
    if by_id.setdefault(number, token) != token:
        raise FormatError(f"two tokens have the id {number}: {by_id[number][:60]!a} and {token[:60]!a}")


def read_sentencepiece(source: Buffer) -> tuple[str, ...]:
    """Return the pieces of a SentencePiece ``.model``.

    Raises:
        FormatError: It is no such file, or has a piece that is empty or there twice.

    Source: google/sentencepiece ``sentencepiece_model.proto``.
    """
    data = memoryview(_bounded(source))
    pieces: list[str] = []
    for field in known_fields(data, _MODEL, repeated={_PIECES}, at=0):
        if field.number == _PIECES:
            pieces.append(_piece(field.content, len(pieces)))
            if len(pieces) > _MAX_TOKENS:
                break
    return _checked(pieces)


def _piece(content: memoryview, number: int) -> str:
    held = {field.number: field.content for field in known_fields(content, _PIECE, at=0)}
    try:
        text = str(held.get(_TEXT, b""), "utf-8")
    except UnicodeDecodeError as error:
        raise FormatError(f"piece {number} is no UTF-8") from error
    if not text:
        raise FormatError(f"piece {number} has no text")
    return text


def _bounded(source: Buffer) -> bytes:
    data = as_bytes(source)
    if len(data) > _MAX_BYTES:
        raise FormatError(f"{len(data)} bytes, more than any vocabulary has")
    return bytes(data)


def _checked(tokens: Sequence[str]) -> tuple[str, ...]:
    if not tokens or len(tokens) > _MAX_TOKENS:
        raise FormatError(f"{len(tokens)} tokens")
    try:
        "".join(tokens).encode()
    except UnicodeEncodeError as error:  # half a surrogate is text to JSON, and to nobody else
        raise FormatError("a token that is no text") from error
    if len(set(tokens)) < len(tokens):
        first: dict[str, int] = {}
        number, token = next((at, each) for at, each in enumerate(tokens) if first.setdefault(each, at) != at)
        raise FormatError(f"token {number}, {token[:60]!a}, is token {first[token]} already")
    return tuple(tokens)


# Rules.


def special_positions(tokens: Sequence[str], special: Sequence[str] = BERT_SPECIAL) -> dict[str, int]:
    """Return the ids of those special tokens that are there."""
    return {token: tokens.index(token) for token in special if token in tokens}


def missing_special(tokens: Sequence[str], special: Sequence[str] = BERT_SPECIAL) -> list[str]:
    """Return a finding for each special token that is not there."""
    return [f"{token} is not among the {len(tokens)} tokens" for token in special if token not in tokens]


def not_uncased(tokens: Sequence[str], special: Sequence[str] = BERT_SPECIAL) -> list[str]:
    """Return a finding when tokens have upper case or accents, which an uncased tokenizer never asks for.

    Source: google-research/bert ``tokenization.py``, ``BasicTokenizer`` with ``do_lower_case``.
    """
    bare = [
        f"{token[:40]!a} ({number})"
        for number, token in enumerate(tokens)
        if token not in special and token != _uncased(token)
    ]
    return [f"{len(bare)} of {len(tokens)} tokens have upper case or accents: {_some(bare)}"] if bare else []


def _uncased(token: str) -> str:
    apart = unicodedata.normalize("NFD", token.lower())
    return "".join(each for each in apart if unicodedata.category(each) != "Mn")


def unlike(tokens: Sequence[str], others: Sequence[str], *, first: str, second: str) -> list[str]:
    """Return findings where two lists of tokens are not the same.

    Args:
        tokens: One list, in the order of the ids.
        others: The other.
        first: What the first was read from, for the findings.
        second: What the second was read from.
    """
    found = []
    if len(tokens) != len(others):
        found.append(f"{first} has {len(tokens)} tokens, {second} {len(others)}")
    differ = [
        f"{number} is {one[:40]!a} and {other[:40]!a}"
        for number, (one, other) in enumerate(zip(tokens, others, strict=False))
        if one != other
    ]
    if differ:
        found.append(f"{len(differ)} tokens differ between {first} and {second}: {_some(differ)}")
    return found


def not_of_size(tokens: Sequence[str], size: int, *, stated_by: str) -> list[str]:
    """Return a finding when there are more or fewer tokens than ``stated_by`` says."""
    return [f"{len(tokens)} tokens, where {stated_by} says {size}"] if len(tokens) != size else []


def _some(findings: Sequence[str]) -> str:
    return ", ".join(findings[:_SHOWN]) + (", …" if len(findings) > _SHOWN else "")
