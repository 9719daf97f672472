"""Vocabularies of any size: WordPiece text, tokenizer.json, and a SentencePiece model.

Special tokens stand where BERT's do (0, 100 to 103) and ALBERT's do (0 to 4); the words
are made of syllables, the Chinese ones are characters. One token a line, no duplicates.

Source: ``vocab.txt`` of google-research/bert; google/sentencepiece ``sentencepiece_model.proto``.
"""

from __future__ import annotations

import json
import struct
from itertools import count, islice, product
from typing import TYPE_CHECKING, Any

from mirror.upstream.containers.tf_bundle import varint

if TYPE_CHECKING:
    from collections.abc import Iterator

SPECIAL = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103}
_SYLLABLES = [consonant + vowel for consonant in "bcdfghjklmnprstvwz" for vowel in "aeiou"]


def wordpiece(size: int, *, language: str | None, cased: bool) -> list[str]:
    """Return ``size`` tokens."""
    tokens = [f"[unused{number}]" for number in range(-1, 103)]
    for token, at in SPECIAL.items():
        tokens[at] = token
    words = _chinese() if language == "zh" else _english(cased=cased)
    if language not in {"zh", "en", None}:
        words = (word for pair in zip(_english(cased=cased), _chinese(), strict=False) for word in pair)
    taken = set(tokens)
    fresh = (word for word in words if not (word in taken or taken.add(word)))  # type: ignore[func-returns-value] # set.add says None
    return [*tokens, *islice(fresh, size - len(tokens))][:size]


def _english(*, cased: bool) -> Iterator[str]:
    letters = (
        "!\"#$%&'()*+,-./0123456789:;?@"
        + ("ABCDEFGHIJKLMNOPQRSTUVWXYZ" if cased else "")
        + "abcdefghijklmnopqrstuvwxyz"
    )
    yield from letters
    yield from (f"##{letter}" for letter in letters[16:])
    for length in count(1):
        for syllables in product(_SYLLABLES, repeat=length):
            word = "".join(syllables)
            yield word
            yield f"##{word}"
            if cased:
                yield word.capitalize()


def _chinese() -> Iterator[str]:
    yield from "。，、？！：；（）0123456789"
    for code in range(0x4E00, 0x9FA6):
        yield chr(code)
    for code in range(0x4E00, 0x9FA6):
        yield f"##{chr(code)}"


def text(tokens: list[str]) -> bytes:
    """Return ``vocab.txt``."""
    return "".join(f"{token}\n" for token in tokens).encode()


def tokenizer_json(tokens: list[str], *, cased: bool) -> bytes:
    """Return the ``tokenizer.json`` of a WordPiece vocabulary (huggingface/tokenizers)."""
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    value: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": at, "special": True, "content": name, **flags} for name, at in SPECIAL.items()],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": not cased,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": _template(),
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {token: at for at, token in enumerate(tokens)},
        },
    }
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _template() -> dict[str, Any]:
    """Return the post-processor that puts [CLS] and [SEP] around one or two texts."""

    def special(name: str, segment: int) -> dict[str, Any]:
        return {"SpecialToken": {"id": name, "type_id": segment}}

    one = [special("[CLS]", 0), {"Sequence": {"id": "A", "type_id": 0}}, special("[SEP]", 0)]
    return {
        "type": "TemplateProcessing",
        "single": one,
        "pair": [*one, {"Sequence": {"id": "B", "type_id": 1}}, special("[SEP]", 1)],
        "special_tokens": {name: {"id": name, "ids": [SPECIAL[name]], "tokens": [name]} for name in ("[CLS]", "[SEP]")},
    }


def sentencepieces(size: int) -> list[str]:
    """Return the pieces of ALBERT's model: specials, then words that begin with ▁."""
    pieces = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]
    # A letter inside a word and the same letter as a word of its own are two pieces; some of them come twice.
    words = islice(_english(cased=False), 2 * size)
    pieces += [word.removeprefix("##") if word.startswith("##") else f"▁{word}" for word in words]
    return list(dict.fromkeys(pieces))[:size]


def sentencepiece_model(pieces: list[str]) -> bytes:
    """Return a SentencePiece unigram model with these pieces."""
    out = bytearray()
    for at, piece in enumerate(pieces):
        kind = {0: 3, 1: 2}.get(at, 4 if at < 5 else 1)  # CONTROL, UNKNOWN, USER_DEFINED, NORMAL
        name = piece.encode()
        score = struct.pack("<f", 0.0 if at < 5 else -0.001 * at)
        message = b"\x0a" + varint(len(name)) + name + b"\x15" + score
        if kind != 1:
            message += b"\x18" + varint(kind)
        out += b"\x0a" + varint(len(message)) + message
    # TrainerSpec: model_type UNIGRAM, vocab_size, pad_id 0, unk_id 1, no bos and eos.
    minus_one = b"\xff" * 9 + b"\x01"
    trainer = b"\x18\x01" + b"\x20" + varint(len(pieces))
    trainer += b"\xc0\x02\x01" + b"\xc8\x02" + minus_one + b"\xd0\x02" + minus_one + b"\xd8\x02\x00"
    normalizer = b"\x0a\x08identity"
    out += b"\x12" + varint(len(trainer)) + trainer
    out += b"\x1a" + varint(len(normalizer)) + normalizer
    return bytes(out)
