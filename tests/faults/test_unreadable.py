"""What cannot be read is told, file by file, and stops nothing else; two verifies of one bad blob agree."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mirror.recheck import due, recheck
from mirror.upstream.modelfiles import ModelFiles
from mirror.upstream.stock import shipped_catalog
from mirror.verify import Status, VerifyLevel
from tests.held import blob_of, command, holding, overwrite

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mirror.api import Mirror

TINY = replace(ModelFiles.of(shipped_catalog()["models"][0], seed=0, scale=32), id="tiny")
OTHER = replace(TINY, id="other")
NOBODY = 65534


def files_of(one: ModelFiles) -> dict[str, dict[str, bytes]]:
    return {
        "hub": {
            "model.safetensors": one.safetensors(),
            "pytorch_model.bin": one.torch(),
            "config.json": one.config_json(),
        },
        "google": {"google.zip": one.google_archive()},
    }


@pytest.fixture
def two() -> Iterator[Mirror]:
    """Two models of three weight files each; pytest's own folders are closed to others."""
    root = Path(tempfile.mkdtemp(prefix="unreadable-"))
    root.chmod(0o755)
    try:
        mirror = holding(root, {"one": files_of(TINY), "two": files_of(OTHER)}, heads=1)
        # Another user may not import what lies in our home: all of it is imported before.
        for words in (("verify", "--level", "forward"), ("compare",), ("identify", str(root / "outside"))):
            assert command(mirror, *words).exit_code == 0
        yield mirror
    finally:
        shutil.rmtree(root)


@contextmanager
def as_its_owner(mirror: Mirror) -> Iterator[None]:
    """Be somebody who owns everything of a mirror and around it, and has no powers; we are often root."""
    if os.geteuid() != 0:
        yield
        return
    above = mirror.place.root.parent
    for path in (above, *above.rglob("*")):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("level", ["stat", "digest", "load"])
def test_a_blob_that_cannot_be_read_is_told_and_the_others_are_judged(two: Mirror, level: str) -> None:
    blob = blob_of(two, "one@hub", "model.safetensors")
    (blob if level != "stat" else blob.parent).chmod(0)
    with as_its_owner(two):
        told = command(two, "verify", "--level", level)
        said = rows(command(two, "verify", "--level", level, "--json").stdout)
    blob.parent.chmod(0o755)
    assert told.exit_code == 6, told.output
    assert "unreadable  one@hub/model.safetensors: Permission denied\n" in told.stdout
    assert "6 blobs intact, 0 not, 1 unreadable" in told.stderr
    assert "error: 1 blob cannot be read" in told.stderr
    if level == "load":
        assert "5 weight files sound, 0 not" in told.stderr
    (row,) = [row for row in said if row["status"] == "unreadable" and "files" in row]
    assert (row["files"], row["why"]) == (["one@hub/model.safetensors"], "Permission denied")
    # Nothing is known to be wrong: what was held is held.
    assert {state.state for state in two.files()} == {"held"}
    assert command(two, "verify").exit_code == 0


def test_what_is_altered_weighs_more_than_what_cannot_be_read(two: Mirror) -> None:
    blob_of(two, "one@hub", "model.safetensors").chmod(0)
    overwrite(blob := blob_of(two, "two@hub", "model.safetensors"), bytes(blob.stat().st_size))
    with as_its_owner(two):
        told = command(two, "verify")
    assert told.exit_code == 4
    assert "altered  two@hub/model.safetensors" in told.stdout
    assert "unreadable  one@hub/model.safetensors" in told.stdout


def test_weights_are_not_judged_beside_a_configuration_that_cannot_be_read(two: Mirror) -> None:
    blob_of(two, "one@hub", "config.json").chmod(0)
    with as_its_owner(two):
        proofs = list(two.prove("one"))
        told = command(two, "verify", "one", "--level", "load")
    assert [(proof.loaded.weights.name.partition("!")[0], proof.unreadable is None) for proof in proofs] == [
        ("config.json", False),
        ("google.zip", True),
    ]
    said = "Permission denied; the weights beside it were not judged"
    assert str(proofs[0].error).endswith(said)
    assert (told.exit_code, told.stdout.count(said)) == (6, 1)
    assert "1 weight file sound, 0 not" in told.stderr
    assert "error: 1 blob cannot be read" in told.stderr


def test_an_archive_that_cannot_be_read_is_told_and_nothing_recorded_of_it(two: Mirror) -> None:
    blob_of(two, "two@google", "google.zip").chmod(0)
    before = len(list(two.events(kind="loaded")))
    with as_its_owner(two):
        (found,) = [proof for proof in two.prove("two") if proof.unreadable is not None]
    assert found.name == "two@google/google.zip"
    assert len(list(two.events(kind="loaded"))) == before + 2


def test_files_that_cannot_be_read_are_told_and_the_others_identified(two: Mirror, tmp_path: Path) -> None:
    outside = two.place.root.parent / "outside"
    (outside / "one" / "hub" / "model.safetensors").chmod(0)
    (outside / "two" / "google").chmod(0)
    with as_its_owner(two):
        told = command(two, "identify", str(outside))
        said = rows(command(two, "identify", str(outside), "--json").stdout)
        alone = command(two, "identify", str(outside / "one" / "hub" / "model.safetensors"))
    (outside / "two" / "google").chmod(0o755)
    assert (told.exit_code, alone.exit_code) == (6, 6)
    likely = {row["name"].removeprefix(f"{outside}/"): row["likely"] for row in said}
    assert likely.pop("one/hub/model.safetensors") == likely.pop("two/google") == "unreadable"
    assert set(likely.values()) == {"known"}
    assert len(likely) >= 4
    assert "error: 2 files cannot be read" in told.stderr
    (outside / "two" / "hub" / "config.json").write_bytes(b"{")
    (outside / "two" / "hub" / "pytorch_model.bin").write_bytes(TINY.torch()[:-9])
    with as_its_owner(two):
        assert command(two, "identify", str(outside)).exit_code == 4


def test_two_verifies_of_one_bad_blob_both_call_it_bad(two: Mirror) -> None:
    for model in ("one", "two"):
        overwrite(blob := blob_of(two, f"{model}@hub", "model.safetensors"), bytes(blob.stat().st_size))
    with two.reader() as reader:
        assert reader is not None
        files = due(reader, {"one@hub", "two@hub"})
        stop, ledger = threading.Event(), two._ledger_if_ours
        slow = recheck(reader, two.store, files, VerifyLevel.DIGEST, ledger, stop)
        first = [next(slow)]
        while first[-1].verdict.ok:
            first.append(next(slow))
        fast = list(recheck(reader, two.store, files, VerifyLevel.DIGEST, ledger, stop))
        both = [*first, *slow]
    bad = {Status.ALTERED, Status.MISSING}
    assert sum(one.verdict.status in bad for one in both) == sum(one.verdict.status in bad for one in fast) == 2
    assert len(list(two.store.iter_quarantine())) == 2
    assert command(two, "verify").exit_code == 4
