"""Vocabularies: real ones read to the last token, doubtful ones refused, and what the rules say."""

from __future__ import annotations

import base64
import contextlib
import json
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.errors import FormatError
from mirror.formats.vocabulary import (
    ALBERT_SPECIAL,
    missing_special,
    not_of_size,
    not_uncased,
    read_sentencepiece,
    read_tokenizer_json,
    read_vocab_txt,
    special_positions,
    unlike,
)
from mirror.upstream.vocabulary import sentencepiece_model, sentencepieces

DATA = Path(__file__).parents[1] / "data"
ENGLISH = (DATA / "vocab.txt").read_bytes()
CHINESE = (DATA / "tf/chinese_L-12_H-768_A-12/vocab.txt").read_bytes()
TOKENIZER = (DATA / "distilbert/tokenizer.json").read_bytes()
#: What SentencePiece 0.2.3 wrote when it learnt five sentences, and its own list of the pieces.
MODEL = zlib.decompress(
    base64.b85decode(
        "c-rIQ<6^ZbNKCO4WdH&RW-buFG%p*<X9Dq~oqd91A$%4vKiD+@&gbW1i}rO4_J#{^aWOxd)+oAW&DZ^099)bkqMb)=4}e&yqJF0KU{;R"
        "k_Q#%JR*|TvlFtDyPA;a@Vo~vyAh2MGXt#ban3XBo)E)t5C5m498wqCRioW-X2D36m53h{_Yfj7)HQ5?}fQy@p1!#AP=pNTB7$;YBx^@"
        "{@QD&a#jjLr~oynq$pH_fb`EXXTDD%uph-n3)TO_N%%#vc!Z*esTK%Pnk>dzFeg{a68EnHO#vm#A&O;_CkE*>scASbg}ba7=pOsZIP$G"
        "v8-@oA!ae)ob|d7|>``ynnW7M(3W0W4S`ntF30n3XQNpJOtZRSst*i5`Zsvf->!II9xE0vdRD4}=MH?$deQaQ3qm3n6R)E>57Mp3QB3+"
        "1@Lv>H*P|nkgFaXF6CRNZ2!d4p=xhRa81-4n+UlW-wdGPl8dw;1?q#MSy5fO8CVHO#vND3<sDPPcZ$50mchR>>ErBub3cdtBDzs=A?MI"
        "I5JaG^GY&HDuoyT!QRQz"
    )
)
PIECES = [
    *("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]", "▁", "d", "e", "l", "r", "es", "t", "i", "a", "m", "h", "an"),
    *("▁t", "▁m", "in", "c", "o", "s", "ap", "ts", "ein", "al", "▁f", "▁is", "▁s", "f", "n", "is", "p", "g", "w"),
    *("b", "k", "u", "y", "ü", "型", "模", "▁权重", "ei", "重", "me", "权"),
]


def test_google_s_vocabularies_are_read_whole() -> None:
    english, chinese = read_vocab_txt(ENGLISH), read_vocab_txt(CHINESE)
    assert (len(english), len(chinese)) == (30522, 21128)
    assert "".join(f"{token}\n" for token in english).encode() == ENGLISH
    assert "".join(f"{token}\n" for token in chinese).encode() == CHINESE
    assert "\u2028" in chinese  # where str.splitlines() would cut
    positions = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103}
    assert special_positions(english) == special_positions(chinese) == positions


def test_a_last_line_may_end_with_the_file() -> None:
    real = (DATA / "tf/keras-bert/vocab.txt").read_bytes()
    assert not real.endswith(b"\n")
    assert read_vocab_txt(real)[-1] == "boy"
    assert read_vocab_txt(real) == read_vocab_txt(real + b"\n")


REFUSED_TEXT: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "line 1 is empty"),
    "an empty line": (b"a\n\nb\n", "line 2 is empty"),
    "an empty last line": (b"a\n\n", "line 2 is empty"),
    "a byte order mark": (b"\xef\xbb\xbfa\n", "byte 0: a byte order mark"),
    "a carriage return": (b"a\r\nb\r\n", "byte 1: a carriage return"),
    "no UTF-8": (b"a\n\xff\n", "byte 2: no UTF-8"),
    "UTF-16": ("a\n".encode("utf-16"), "byte 0: no UTF-8"),
    "a token twice": (b"a\nb\na\n", "token 2, 'a', is token 0 already"),
    "too many tokens": (b"\n".join(b"%d" % at for at in range(150_001)), "150001 tokens"),
    "too many bytes": (bytes((8 << 20) + 1), "8388609 bytes, more than any vocabulary has"),
}


def tokenizer(vocab: Any, *, added: Any = (), **model: Any) -> bytes:
    added = list(added) if isinstance(added, tuple) else added
    return json.dumps({"added_tokens": added, "model": {"vocab": vocab, **model}}).encode()


def test_a_real_tokenizer_json_has_the_tokens_of_vocab_txt() -> None:
    assert read_tokenizer_json(TOKENIZER) == read_vocab_txt(ENGLISH)


def test_a_unigram_model_is_a_list() -> None:
    data = tokenizer([["<pad>", 0.0], ["a", -1.5]], type="Unigram", unk_id=0)
    assert read_tokenizer_json(data) == ("<pad>", "a")


def test_added_tokens_follow_those_of_the_model() -> None:
    added = ({"id": 0, "content": "a", "special": True}, {"id": 2, "content": "[NEW]"})
    assert read_tokenizer_json(tokenizer({"b": 1, "a": 0}, added=added)) == ("a", "b", "[NEW]")


REFUSED_JSON: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "byte 0: no JSON"),
    "no object": (b"[]", "byte 0: no JSON object"),
    "bad JSON": ('{"é":}'.encode(), "byte 6: no JSON: Expecting value"),
    "no UTF-8": (b'{"\xff":1}', "byte 2: no UTF-8"),
    "deep JSON": (b"[" * 200_000, "nested too deeply"),
    "a million lists": (b'{"a":[' + b"[]," * 1_000_000 + b"[]]}", "too many lists"),
    "a million objects": (b'{"a":[' + b"{}," * 1_000_000 + b"{}]}", "too many objects"),
    "a million numbers": (b'{"a":[' + b"1," * 1_000_000 + b"1]}", "too many values"),
    "100,000 digits": (b'{"a":' + b"1" * 100_000 + b"}", "where a whole number should be"),
    "NaN": (b'{"a":NaN}', "NaN where a whole number, or at least a number, should be"),
    "a token twice": (b'{"model":{"vocab":{"a":0,"a":0}}}', "'a' is there twice"),
    "too many bytes": (b" " * ((8 << 20) + 1), "8388609 bytes"),
    "no model": (b"{}", "no model of type WordPiece or Unigram"),
    "another model": (tokenizer({"a": 0}, type="BPE", merges=[]), "no model of type WordPiece or Unigram"),
    "a type that is no text": (tokenizer({"a": 0}, type=["BPE"]), "no model of type WordPiece or Unigram"),
    "no vocabulary": (tokenizer(7), "no vocabulary in its model"),
    "no tokens": (tokenizer({}), "0 tokens"),
    "an id twice": (tokenizer({"a": 0, "b": 0}), "two tokens have the id 0: 'a' and 'b'"),
    "a gap": (tokenizer({"a": 0, "b": 2}), "no token has the id 1"),
    "a negative id": (tokenizer({"a": 0, "b": -1}), "no token has the id 1"),
    "an id of 2^62": (tokenizer({"a": 1 << 62}), "no token has the id 0"),
    "an id that is true": (tokenizer({"a": True}), "the token 'a' has the id True"),
    "an id that is no whole number": (tokenizer({"a": 0.0}), "the token 'a' has the id 0.0"),
    "a piece that is no text": (tokenizer([[1, 0.0]]), "the token 1 has the id 0"),
    "a piece without a score": (tokenizer([["a"]]), "the token ['a'] has the id 0"),
    "a piece twice": (tokenizer([["a", 0.0], ["a", 0.0]]), "token 1, 'a', is token 0 already"),
    "half a surrogate": (b'{"model":{"vocab":{"\\ud800":0}}}', "a token that is no text"),
    "added tokens of another id": (tokenizer({"a": 0}, added=({"id": 0, "content": "b"},)), "two tokens have the id 0"),
    "added tokens that are there": (tokenizer({"a": 0}, added=({"id": 1, "content": "a"},)), "is token 0 already"),
    "added tokens after a gap": (tokenizer({"a": 0}, added=({"id": 2, "content": "b"},)), "no token has the id 1"),
    "added tokens without an id": (tokenizer({"a": 0}, added=({},)), "the token None has the id None"),
    "added tokens in an object": (tokenizer({"a": 0}, added={}), "added tokens that are no list of objects"),
    "added tokens that are texts": (tokenizer({"a": 0}, added=("b",)), "added tokens that are no list of objects"),
}


def test_the_pieces_are_those_that_sentencepiece_itself_lists() -> None:
    assert list(read_sentencepiece(MODEL)) == PIECES
    assert special_positions(PIECES, ALBERT_SPECIAL) == {token: at for at, token in enumerate(ALBERT_SPECIAL)}


def test_a_model_of_our_own_upstream_is_read() -> None:
    pieces = sentencepieces(500)
    assert list(read_sentencepiece(sentencepiece_model(pieces))) == pieces


REFUSED_MODEL: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "0 tokens"),
    "cut off": (MODEL[:-1], "bytes for field"),
    "a piece past the end": (b"\x0a\xff\xff\xff\xff\x07\x0a\x01a", "2147483647 bytes for field 1"),
    "a text past the piece": (b"\x0a\x03\x0a\x09a", "9 bytes for field 1"),
    "a piece without text": (b"\x0a\x05\x15" + bytes(4), "piece 0 has no text"),
    "an empty piece": (b"\x0a\x02\x0a\x00", "piece 0 has no text"),
    "no UTF-8": (b"\x0a\x03\x0a\x01a\x0a\x03\x0a\x01\xff", "piece 1 is no UTF-8"),
    "a piece twice": (b"\x0a\x03\x0a\x01a" * 2, "token 1, 'a', is token 0 already"),
    "150,001 pieces": (b"\x0a\x03\x0a\x01a" * 150_001, "150001 tokens"),
    "an unknown field": (b"\x0a\x03\x0a\x01a\x38\x01", "field 7 of wire type 0 is not in the schema"),
    "a score that is a text": (b"\x0a\x06\x12\x01a\x0a\x01a", "field 2 of wire type 2 is not in the schema"),
    "two texts": (b"\x0a\x06\x0a\x01a\x0a\x01b", "field 1 is there twice"),
    "a vocab.txt": (ENGLISH, "wire type"),
}


@pytest.mark.parametrize("read", [read_vocab_txt, read_tokenizer_json, read_sentencepiece])
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(read: Any, data: bytes) -> None:
    with contextlib.suppress(FormatError):
        assert read(data)


@given(st.lists(st.tuples(st.integers(0, len(MODEL) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_changed_model_is_read_or_refused(changes: list[tuple[int, int]]) -> None:
    data = bytearray(MODEL)
    for at, byte in changes:
        data[at] = byte
    with contextlib.suppress(FormatError):
        assert read_sentencepiece(data)


# Rules.


def test_an_uncased_vocabulary_has_no_upper_case_and_no_accents() -> None:
    assert not_uncased(read_vocab_txt(ENGLISH)) == []
    assert not_uncased(read_vocab_txt(CHINESE)) == [
        "2 of 21128 tokens have upper case or accents: '<S>' (104), '<T>' (105)"
    ]
    assert not_uncased(["[CLS]", "a", "É", "##é", "ß", "ﬁ"]) == [
        "2 of 6 tokens have upper case or accents: '\\xc9' (2), '##\\xe9' (3)"
    ]
    assert not_uncased([*"ABCDEFG"])[0].endswith("'E' (4), …")


def test_special_tokens_that_are_missing_are_named() -> None:
    assert missing_special(read_vocab_txt(ENGLISH)) == []
    assert missing_special(["[PAD]", "[UNK]", "[CLS]", "[mask]"]) == [
        "[SEP] is not among the 4 tokens",
        "[MASK] is not among the 4 tokens",
    ]
    assert missing_special(PIECES, ALBERT_SPECIAL) == []
    assert special_positions(["[CLS]", "[PAD]"]) == {"[PAD]": 1, "[CLS]": 0}


def test_two_lists_that_are_not_the_same_are_told_apart() -> None:
    tokens = ["a", "b", "c"]
    assert unlike(tokens, tuple(tokens), first="vocab.txt", second="tokenizer.json") == []
    assert unlike(tokens, ["a", "c"], first="vocab.txt", second="tokenizer.json") == [
        "vocab.txt has 3 tokens, tokenizer.json 2",
        "1 tokens differ between vocab.txt and tokenizer.json: 1 is 'b' and 'c'",
    ]


def test_the_number_of_tokens_is_compared() -> None:
    assert not_of_size(PIECES, 48, stated_by="vocab_size") == []
    assert not_of_size(PIECES, 30000, stated_by="vocab_size") == ["48 tokens, where vocab_size says 30000"]
