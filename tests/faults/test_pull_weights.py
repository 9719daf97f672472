"""What a pull says of weights that it did not bring: what was found in them, and what nobody has looked for yet."""

from __future__ import annotations

import io
import threading
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mirror.errors import UnsoundError
from mirror.stopping import Stop
from mirror.transfer.events import Done
from mirror.upstream.containers import safetensors
from mirror.upstream.containers.tensors import arrays
from mirror.upstream.modelfiles import ModelFiles
from mirror.upstream.naming import hugging_face
from mirror.upstream.stock import shipped_catalog
from tests.held import command, holding, prepared

if TYPE_CHECKING:
    from pathlib import Path

    from mirror.api import Mirror
    from mirror.sync.outcome import Planned
    from mirror.transfer.events import Progress

TINY = ModelFiles.of(shipped_catalog()["models"][0], seed=0, scale=32)
BESIDE = {"config.json": TINY.config_json(), "vocab.txt": TINY.vocab()}
NAME = "tiny@files/model.safetensors"


def with_a_nan() -> bytes:
    """Return weights of which one number is none."""
    first, *others = arrays(hugging_face("bert", TINY.specs), seed=0, model=TINY.id)
    broken = np.array(first.array)
    broken.flat[3] = np.nan
    return safetensors.write([replace(first, array=broken), *others])


def packed(*names: str) -> bytes:
    """Return a zip of empty files."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, b"nothing of a model")
    return file.getvalue()


@pytest.fixture
def unsound(tmp_path: Path) -> Mirror:
    return holding(tmp_path, {"tiny": {"files": {"model.safetensors": with_a_nan(), **BESIDE}}})


def test_weights_that_are_known_to_be_unsound_are_so_in_every_later_pull(unsound: Mirror) -> None:
    for offline, update in ((False, False), (True, False), (False, True)):
        outcome = unsound.sync(everything=True, offline=offline, update=update)
        (problem,) = outcome.problems
        assert problem.subject == NAME
        assert isinstance(problem.error, UnsoundError)
        assert str(problem.error).startswith(f"{NAME}: embeddings.word_embeddings.weight: 1 of ")
        assert outcome.sound == 0
    assert len(list(unsound.events(kind="loaded"))) == 1, "from the ledger, not from the file"


def test_the_command_says_so_and_does_not_call_it_missing(unsound: Mirror) -> None:
    again = command(unsound, "pull", "--all")
    assert again.exit_code == 4
    assert "nothing to fetch: 3 files are held" in again.output
    assert "1 weight file held, and not sound" in again.output
    assert "did not come" not in again.output
    assert "1 unsound" in command(unsound, "status").output
    (line,) = [line for line in command(unsound, "ls").output.splitlines() if "unsound" in line]
    assert "model.safetensors" in line
    assert command(unsound, "pull", "--all", "--no-verify").exit_code == 0


def test_weights_that_came_unseen_are_opened_by_the_next_pull(tmp_path: Path) -> None:
    files = {"model.safetensors": TINY.safetensors(), "google.zip": TINY.google_archive(), **BESIDE}
    mirror = holding(tmp_path, {"tiny": {"files": files}}, no_verify=True)
    assert list(mirror.events(kind="loaded")) == []
    assert mirror.sync(everything=True, dry_run=True).sound == 0
    assert mirror.sync(everything=True, no_verify=True).sound == 0
    outcome = mirror.sync(everything=True)
    assert (outcome.problems, outcome.sound) == ([], 2)
    assert mirror.sync(everything=True).sound == 0


def test_a_pull_that_was_stopped_before_it_judged_leaves_that_to_the_next(tmp_path: Path) -> None:
    models = {"tiny": {"files": {"model.safetensors": with_a_nan(), **BESIDE}}}
    mirror, stop = prepared(tmp_path, models), Stop()
    seen = threading.Event()

    def watch(event: Progress | Planned) -> None:
        if isinstance(event, Done) and "safetensors" in str(event.file):
            seen.set()
            stop.set()

    mirror.sync(everything=True, watch=watch, stop=stop)
    assert seen.is_set()
    assert list(mirror.events(kind="loaded")) == []
    (problem,) = mirror.sync(everything=True).problems
    assert "not finite" in str(problem.error)


def test_what_has_no_weights_in_it_is_looked_into_once_and_told_to_nobody(tmp_path: Path) -> None:
    files = {"faiss.index": b"IxFI" + bytes(200), "data.zip": packed("a.txt"), "more.zip": packed("inner.index")}
    mirror = holding(tmp_path, {"tiny": {"files": {**files, **BESIDE}}}, no_verify=True)
    outcome = mirror.sync(everything=True)
    assert (outcome.problems, outcome.findings, outcome.sound) == ([], [], 0)
    assert len(list(mirror.events(kind="loaded"))) == 3
    assert list(mirror.prove()) == []
    once = len(list(mirror.events()))
    mirror.sync(everything=True)
    assert len(list(mirror.events())) == once
    assert command(mirror, "verify", "--level", "load").exit_code == 0
    with mirror.reader() as reader:
        assert reader is not None
        reader.verify()


def test_the_shards_beside_an_index_are_not_opened_for_ever(tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(TINY.google_archive())) as archive:
        files = {name.rpartition("/")[2]: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
    assert any(".data-00000-of-" in name for name in files)
    mirror = holding(tmp_path, {"tiny": {"files": files}}, no_verify=True)
    assert mirror.sync(everything=True).sound == 1
    once = len(list(mirror.events()))
    assert mirror.sync(everything=True).sound == 0
    assert len(list(mirror.events())) == once
