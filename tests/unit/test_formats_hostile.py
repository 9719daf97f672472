"""Every hostile file of every format, read in a process with little memory and a canary: refused, and nothing happens.

The cases stand with the tests of their formats; those that take more than one file at a time are tested there.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest

from tests import hostile
from tests.hostile import Case
from tests.unit import (
    test_formats_flax,
    test_formats_hdf5,
    test_formats_paddle,
    test_formats_pickles,
    test_formats_safetensors,
    test_formats_snappy,
    test_formats_sniff,
    test_formats_tensorflow,
    test_formats_torch,
    test_formats_vocabulary,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def read_by(reader: str, cases: Mapping[str, tuple[bytes, str]]) -> dict[str, tuple[Case, str]]:
    """Return the cases of one reader, with what it must say of each."""
    return {case: (Case(reader, data), said) for case, (data, said) in cases.items()}


FORMATS: dict[str, dict[str, tuple[Case, str]]] = {
    "flax": read_by("mirror.formats.flax:read", test_formats_flax.REFUSED),
    "hdf5": read_by("mirror.formats.hdf5:read", test_formats_hdf5.DAMAGED),
    "hdf5, written": read_by("mirror.formats.hdf5:read", test_formats_hdf5.refused()),
    "paddle": read_by("mirror.formats.paddle:read", test_formats_paddle.EVIL),
    "pickles": test_formats_pickles.EVIL,
    "safetensors": read_by("mirror.formats.safetensors:read", test_formats_safetensors.REFUSED),
    "sentencepiece": read_by("mirror.formats.vocabulary:read_sentencepiece", test_formats_vocabulary.REFUSED_MODEL),
    "snappy": read_by("tests.hostile:unpacked", test_formats_snappy.REFUSED),
    "sniff": read_by("tests.hostile:known", test_formats_sniff.IMPOSTORS),
    "tensorflow": read_by("mirror.formats.tf_index:read_index", test_formats_tensorflow.REFUSED),
    "tokenizer.json": read_by("mirror.formats.vocabulary:read_tokenizer_json", test_formats_vocabulary.REFUSED_JSON),
    "torch": test_formats_torch.EVIL,
    "vocab.txt": read_by("mirror.formats.vocabulary:read_vocab_txt", test_formats_vocabulary.REFUSED_TEXT),
}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@cache
def outcomes(kind: str, folder: Path) -> dict[str, hostile.Outcome]:
    place = folder / kind
    place.mkdir()
    found = hostile.read_all({case: evil for case, (evil, _) in FORMATS[kind].items()}, place)
    assert not (place / hostile.CANARY).exists()
    return found


@pytest.mark.parametrize(("kind", "case"), [(kind, case) for kind, cases in FORMATS.items() for case in cases])
def test_a_hostile_file_is_refused_and_nothing_happens(folder: Path, kind: str, case: str) -> None:
    found = outcomes(kind, folder)[case]
    assert found.error == "FormatError", found
    assert FORMATS[kind][case][1] in found.said
    assert found.said.isprintable()
    assert found.events == []
