"""A pull loads what it brings, records what it is, and says what is wrong; so does ``verify --level load``."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from contextlib import closing
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from mirror.api import Mirror
from mirror.cli import cli
from mirror.errors import UnsoundError
from mirror.upstream.containers import safetensors
from mirror.upstream.containers.tensors import arrays
from mirror.upstream.modelfiles import ModelFiles
from mirror.upstream.naming import hugging_face
from mirror.upstream.server import Server
from mirror.upstream.stock import shipped_catalog
from mirror.upstream.world import World
from tests.catalogs import catalog, file, http, model
from tests.faults.pulling import place_mirror

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TINY = ModelFiles.of(shipped_catalog()["models"][0], seed=0, scale=32)
NAMES = ("model.safetensors", "pytorch_model.bin", "config.json", "vocab.txt", "google.zip")


def without_pooler_bias() -> bytes:
    """Return weights that lack a tensor."""
    named = arrays(hugging_face("bert", TINY.specs), seed=0, model=TINY.id)
    return safetensors.write([one for one in named if one.name != "bert.pooler.dense.bias"])


@pytest.fixture
def outside() -> Iterator[Server]:
    world = World()
    for name, make in {
        "model.safetensors": TINY.safetensors,
        "pytorch_model.bin": TINY.torch,
        "config.json": TINY.config_json,
        "vocab.txt": TINY.vocab,
        "google.zip": TINY.google_archive,
        "lacking.safetensors": without_pooler_bias,
    }.items():
        world.add_object("plain", f"/files/{name}", make())
    world.add_object("plain", "/files/other.safetensors", b"no such format")
    with contextlib.ExitStack() as stack:
        yield stack.enter_context(Server(world))


def mirror_of(root: Path, server: Server, *names: str, **known: Any) -> Mirror:
    files = [file(name, server.url("plain", f"/files/{name}")) for name in names]
    entry = model("bert", http(*files, id="files"), **{"family": "bert-miniature", **known})
    place_mirror(root, json.dumps(catalog(entry)))
    return Mirror.open(root, environ={})


def test_a_pull_loads_what_it_brings_and_remembers_every_tensor(tmp_path: Path, outside: Server) -> None:
    mirror = mirror_of(tmp_path / "mirror", outside, *NAMES)
    outcome = mirror.sync(everything=True)
    assert (outcome.problems, outcome.sound, outcome.findings) == ([], 3, [])
    with mirror.reader() as reader:
        assert reader is not None
        rows = list(reader.loaded.all())
        assert {row.format for row in rows} == {"safetensors", "torch-zip", "tensorflow"}
        assert {row.verdict for row in rows} == {"sound"}
        assert len({row.roots["all"] for row in rows}) == 1
        assert {len(reader.loaded.tensors(row.blob, row.member)) for row in rows} == {len(TINY.specs)}
        reader.verify()
    # What is held is not loaded again, and a later look writes its tensors down no second time.
    assert mirror.sync(everything=True).sound == 0
    assert len(list(mirror.prove())) == 3
    assert [event.detail["tensors"] for event in mirror.events(kind="loaded")][3:] == [None] * 3


def test_the_same_numbers_must_say_what_they_said_once_in_whatever_file_they_are(
    tmp_path: Path, outside: Server
) -> None:
    mirror = mirror_of(tmp_path / "mirror", outside, *NAMES, heads=1)
    assert mirror.sync(everything=True).problems == []
    proofs = list(mirror.prove(forward=True))
    (top,) = {proof.loaded.answer.top for proof in proofs if proof.loaded.answer is not None}
    assert len(proofs) == 3
    assert len(top) == 5
    with closing(sqlite3.connect(mirror.place.ledger)) as ledger:
        ((said,),) = ledger.execute("SELECT top FROM answers").fetchall()
        assert tuple(map(tuple, json.loads(said))) == top
        # As another machine, whose arithmetic is at fault, would have recorded it.
        ((word, logit), *rest) = top
        ledger.execute("UPDATE answers SET top = ?", (json.dumps([[word, logit + 0.001], *rest]),))
        ledger.commit()
    again = list(mirror.prove(forward=True))
    assert [proof.loaded.sound for proof in again] == [False] * 3
    assert f"the logit of word {word} is" in str(again[0].error)


def test_weights_that_lack_a_tensor_are_kept_and_said_to_be_unsound(tmp_path: Path, outside: Server) -> None:
    mirror = mirror_of(tmp_path / "mirror", outside, "lacking.safetensors", "config.json")
    outcome = mirror.sync(everything=True)
    (problem,) = outcome.problems
    assert isinstance(problem.error, UnsoundError)
    assert str(problem.error) == "bert@files/lacking.safetensors: pooler.dense.bias: missing"
    assert {state.state for state in mirror.files()} == {"held"}
    assert [proof.loaded.sound for proof in mirror.prove("bert")] == [False]


def test_nobody_is_told_of_weights_that_were_not_to_be_looked_at(tmp_path: Path, outside: Server) -> None:
    mirror = mirror_of(tmp_path / "mirror", outside, "lacking.safetensors", "config.json")
    assert mirror.sync(everything=True, no_verify=True).problems == []
    assert list(mirror.events(kind="loaded")) == []


def test_a_model_of_the_users_own_is_only_warned_of(tmp_path: Path, outside: Server) -> None:
    mirror = mirror_of(tmp_path / "mirror", outside, "other.safetensors", family=None)
    outcome = mirror.sync(everything=True)
    assert outcome.problems == []
    assert outcome.findings[0].startswith("bert@files/other.safetensors: ")


def test_an_archive_that_is_none_is_a_problem_of_its_own(tmp_path: Path, outside: Server) -> None:
    mirror = mirror_of(tmp_path / "mirror", outside, "google.zip")
    mirror.sync(everything=True)
    (state,) = mirror.files()
    blob = mirror.store.blob_path(state.sha256 or "")
    blob.chmod(0o644)
    blob.write_bytes(blob.read_bytes()[:-40])
    (proof,) = mirror.prove()
    assert (proof.loaded.sound, proof.loaded.format) == (False, None)


def test_a_second_opinion_is_asked_only_of_models_that_run_and_only_where_there_is_somebody_to_ask(
    tmp_path: Path, outside: Server
) -> None:
    mirror = mirror_of(tmp_path / "mirror", outside, *NAMES)
    assert mirror.sync(everything=True).problems == []
    at = ("--mirror", str(mirror.place.root), "verify")
    alone = CliRunner().invoke(cli, [*at, "--transformers"])
    assert alone.exit_code == 2
    assert "--transformers goes with --level forward" in alone.output
    if find_spec("torch") is not None and find_spec("transformers") is not None:
        pytest.skip("torch and transformers are installed: what they say is tests/oracle/test_second_opinion.py's")
    absent = CliRunner().invoke(cli, [*at, "--level", "forward", "--transformers"])
    assert absent.exit_code == 2
    assert isinstance(absent.exception, SystemExit)
    assert "pip install 'minibert-mirror[transformers]'" in absent.output
    assert "blobs intact" not in absent.output  # nothing was read in vain
