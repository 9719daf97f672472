"""What ``compare`` says of blobs that are not any more what was recorded: named, left out, and the rest goes on."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from mirror.model import Event
from mirror.upstream.modelfiles import ModelFiles
from mirror.upstream.stock import shipped_catalog
from tests.held import blob_of, command, holding, overwrite

if TYPE_CHECKING:
    from pathlib import Path

    from mirror.api import Mirror

TINY = replace(ModelFiles.of(shipped_catalog()["models"][0], seed=0, scale=32), id="tiny")
OTHER = replace(TINY, id="other")
SHARD = "bert_model.ckpt.data-00000-of-00001"
INDEX = "bert_model.ckpt.index"


def files_of(one: ModelFiles) -> dict[str, dict[str, bytes]]:
    return {
        "google": dict(one.checkpoint("bert_model.ckpt")),
        "hub": {"model.safetensors": one.safetensors(), "config.json": one.config_json()},
        "paddle": {"m.pdparams": one.paddle()},
    }


@pytest.fixture
def two(tmp_path: Path) -> Mirror:
    return holding(tmp_path, {"one": files_of(TINY), "two": files_of(OTHER)}, heads=1)


def flip(blob: Path, *, quietly: bool = False) -> None:
    """Change one byte in the middle; ``quietly``, as damage does, with the times as they were."""
    before = blob.stat()
    data = bytearray(blob.read_bytes())
    data[len(data) * 2 // 3] ^= 1
    overwrite(blob, bytes(data))
    if quietly:
        os.utime(blob, ns=(before.st_atime_ns, before.st_mtime_ns))


def relations(mirror: Mirror, *words: str, code: int = 4) -> dict[str, Any]:
    done = command(mirror, "compare", *words, "--json")
    assert done.exit_code == code, done.output
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {row["weights"]: row["relation"] or row.get("lost") for row in rows}


@pytest.mark.parametrize("quietly", [False, True])
def test_a_flipped_byte_in_what_was_identical_is_found(two: Mirror, *, quietly: bool) -> None:
    assert set(relations(two, code=0).values()) == {"reference", "identical"}
    flip(blob_of(two, "one@paddle", "m.pdparams"), quietly=quietly)
    told = command(two, "compare")
    assert told.exit_code == 4
    said = r"^one@paddle/m.pdparams +\? +not any more what was recorded: altered$"
    assert re.search(said, told.stdout, re.MULTILINE)
    assert "error: 1 file is not any more what was recorded" in told.stderr
    assert "`minibert-mirror verify` says where, `minibert-mirror repair` mends it" in told.stderr
    assert "refuse" not in told.output
    found = relations(two)
    assert found.pop("one@paddle/m.pdparams") == "altered"
    assert sorted(found.values()) == ["identical", "identical", "identical", "reference", "reference"]


def test_whatever_became_of_a_blob_it_is_named_and_another_is_the_reference(two: Mirror) -> None:
    blob_of(two, "one@google", SHARD).unlink()
    overwrite(blob := blob_of(two, "two@google", INDEX), blob.read_bytes()[:-100])
    overwrite(blob := blob_of(two, "two@hub", "model.safetensors"), blob.read_bytes()[:-100])
    assert relations(two) == {
        f"one@google/{SHARD}": "missing",
        "one@hub/model.safetensors": "reference",
        "one@paddle/m.pdparams": "identical",
        f"two@google/{INDEX}": "resized",
        "two@hub/model.safetensors": "resized",
        "two@paddle/m.pdparams": "reference",
    }
    # What verify has found since is not forgotten either, and repair mends it.
    assert command(two, "verify").exit_code == 4
    assert sorted(relations(two).values()) == ["identical", "missing", "reference", "reference", "resized", "resized"]
    assert command(two, "repair").exit_code == 0
    assert set(relations(two, code=0).values()) == {"reference", "identical"}


def test_bytes_that_were_changed_before_they_were_ever_loaded_are_not_loaded(tmp_path: Path) -> None:
    mirror = holding(tmp_path, {"one": files_of(TINY)}, no_verify=True)
    flip(blob_of(mirror, "one@hub", "model.safetensors"))
    flip(blob_of(mirror, "one@google", SHARD))
    assert relations(mirror) == {
        f"one@google/{SHARD}": "altered",
        "one@hub/model.safetensors": "altered",
        "one@paddle/m.pdparams": "reference",
    }
    assert [event.detail["format"] for event in mirror.events(kind="loaded")] == ["paddle"]


def test_damage_that_no_time_shows_is_found_where_tensors_are_read(tmp_path: Path) -> None:
    files = {"one": {**files_of(TINY), "late": {"m.pdparams": OTHER.paddle(protocol=4)}}}
    mirror = holding(tmp_path, files, heads=1)
    assert relations(mirror)["one@late/m.pdparams"] == "different"
    blob = blob_of(mirror, "one@late", "m.pdparams")
    flip(blob)
    # As if the ledger's clock had been ahead: what is asked of the file system shows nothing.
    with mirror._ledger() as ledger:
        for state in list(mirror.files()):
            detail = {"sha256": state.sha256, "level": "digest", "verdict": "intact"}
            ledger.record([Event("verified", f"sha256:{state.sha256}", detail, "2099-01-01T00:00:00.000000Z")])
    assert relations(mirror)["one@late/m.pdparams"] == "altered"
    assert command(mirror, "compare").exit_code == 4


def test_a_copy_that_only_looks_newer_is_read_once_more_and_then_believed(two: Mirror) -> None:
    blob = blob_of(two, "one@paddle", "m.pdparams")
    os.utime(blob)
    before = len(list(two.events(kind="verified")))
    for _ in range(2):
        assert set(relations(two, code=0).values()) == {"reference", "identical"}
    (event,) = list(two.events(kind="verified"))[before:]
    assert (event.detail["level"], event.detail["verdict"]) == ("digest", "intact")
    assert event.subject == f"sha256:{blob.name}"
