"""Every level has an age of its own, time goes to blobs and weights alike, and what is left is told."""

from __future__ import annotations

import io
import json
import threading
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from mirror.model import Event
from mirror.prove import Proof
from mirror.recheck import Portion, Rechecked, due
from mirror.rounds import Left
from mirror.upstream.modelfiles import ModelFiles
from mirror.upstream.stock import shipped_catalog
from tests.held import blob_of, command, holding, overwrite
from tests.ledger_events import ARTIFACT, file, listed, open_ledger, sha256, stored, verified

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mirror.api import Mirror
    from mirror.ledger import Ledger

TINY = ModelFiles.of(shipped_catalog()["models"][0], seed=0, scale=32)
MODELS = ("one", "two", "three")
FIRST = datetime(2025, 1, 31, 12, tzinfo=UTC)
LEVELS = ("stat", "digest", "load", "forward")


def after(seconds: int) -> str:
    return (FIRST + timedelta(seconds=seconds)).isoformat()


def loaded(path: str, level: str, seconds: int) -> Event:
    detail: dict[str, Any] = {
        "sha256": sha256(path), "member": "", "level": level, "format": "flax", "family": None, "verdict": "sound",
        "parameters": 1, "roots": {}, "findings": [], "tensors": None,
    }  # fmt: skip
    return Event("loaded", f"sha256:{sha256(path)}", detail, after(seconds))


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Ledger]:
    """Three files that came at once: ``a`` was looked at since, ``b`` read, and ``c`` read, loaded and run."""
    with open_ledger(tmp_path / "ledger.db", now=lambda: FIRST) as ledger:
        ledger.record([listed(*map(file, "abc"))])
        ledger.record([stored(path, how="fetched") for path in "abc"])
        ledger.record([replace(verified(sha256("a"), level="stat"), at=after(10))])
        ledger.record([replace(verified(sha256(path)), at=after(at)) for path, at in (("b", 20), ("c", 29))])
        ledger.record([loaded("c", "forward", 25), loaded("c", "load", 30)])
        yield ledger


@pytest.mark.parametrize(
    ("level", "judged"),
    [
        ("stat", {"a": 10, "b": 20, "c": 30}),
        ("digest", {"a": 0, "b": 20, "c": 29}),
        ("load", {"a": 0, "b": None, "c": 29}),
        ("forward", {"a": 0, "b": None, "c": 25}),
    ],
)
def test_a_deeper_look_counts_for_a_shallower_level_and_never_the_other_way(
    held: Ledger, level: str, judged: dict[str, int | None]
) -> None:
    """Weights, ``b`` and ``c``, are as old as their loading at the deeper levels; other files as their reading."""
    weights = {sha256("b"), sha256("c")} if level in {"load", "forward"} else set()

    def chosen(now: int) -> set[str]:
        portion, moment = Portion(older_than=timedelta(0)), FIRST + timedelta(seconds=now)
        return set(due(held, {ARTIFACT}, portion, level=level, weights=weights, now=moment))

    for path, at in judged.items():
        assert (sha256(path) in chosen(0 if at is None else at)) is (at is None), path
        assert sha256(path) in chosen((at or 0) + 1), path


def files_of(name: str) -> dict[str, dict[str, bytes]]:
    model = replace(TINY, id=name)
    return {"hub": {"model.safetensors": model.safetensors(), "config.json": model.config_json()}}


@pytest.fixture
def three(tmp_path: Path) -> Mirror:
    """Three models with one configuration between them: four blobs, none ever loaded."""
    return holding(tmp_path, {name: files_of(name) for name in MODELS}, no_verify=True, heads=1)


def told(mirror: Mirror, *words: str, code: int = 0) -> str:
    done = command(mirror, "verify", *words)
    assert done.exit_code == code, done.output
    return done.stderr


def test_a_run_at_one_level_leaves_the_deeper_ones_to_do(three: Mirror) -> None:
    old = ("--older-than", "30d")
    assert "4 blobs intact" in told(three, "--level", "stat")
    assert "0 blobs intact" in told(three, *old)  # the pull has read them
    assert "3 weight files sound" in told(three, "--level", "load", *old)
    assert "0 weight files sound" in told(three, "--level", "load", *old)
    assert "3 weight files sound" in told(three, "--level", "forward", *old)
    for level in LEVELS:
        assert "0 blobs intact" in told(three, "--level", level, *old)


def test_a_portion_of_the_weights_is_precise_and_some_samples_load_everything_once(three: Mirror) -> None:
    seen: list[str] = []
    for _ in MODELS:
        done = command(three, "verify", "--level", "load", "--sample", "1", "--json")
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        assert [set(row) & {"files", "weights"} for row in rows] == [{"files"}, {"weights"}]
        assert rows[0]["sha256"] == rows[1]["sha256"]
        seen.append(rows[1]["weights"])
    assert sorted(seen) == sorted(f"{name}@hub/model.safetensors" for name in MODELS)


def test_artifacts_take_turns_blobs_first_and_then_their_weights(three: Mirror) -> None:
    found = list(three.judge(level="load", portion=Portion(seconds=600)))
    kinds = ["B" if isinstance(one, Rechecked) else "W" for one in found]
    assert sorted(kinds) == ["B"] * 4 + ["W"] * 3
    assert "".join(kinds) in {"BBWBWBW", "BWBBWBW", "BWBWBBW", "BWBWBWB"}
    opened = list(three.events(kind="opened"))
    assert len(opened) == 2  # the pull, and one for the whole round
    with three.reader() as reader:
        assert reader is not None
        reader.verify()


def test_what_is_left_when_the_time_is_over_is_told_for_each_level(three: Mirror) -> None:
    assert "0 B at level stat; 4 blobs left for another time" in told(three, "--level", "stat", "--time-budget", "0s")
    assert "0 B at level digest; 4 blobs left for another time" in told(three, "--time-budget", "0s")
    said = told(three, "--level", "load", "--time-budget", "0s")
    assert "0 B at level digest; 4 blobs left for another time" in said
    assert "0 weight files sound, 0 not, at level load; 3 blobs left for another time" in said
    done = command(three, "verify", "--level", "forward", "--time-budget", "0s", "--json")
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"left": 4, "level": "digest"},
        {"left": 3, "level": "forward"},
    ]
    assert "left" not in told(three, "--level", "load", "--time-budget", "10m")


def test_a_stop_in_the_middle_leaves_the_rest_and_keeps_what_was_found(three: Mirror) -> None:
    stop = threading.Event()
    found: list[Any] = []
    for one in three.judge(level="load", portion=Portion(seconds=600), stop=stop):
        found.append(one)
        if isinstance(one, Proof):
            stop.set()
    assert sum(isinstance(one, Proof) for one in found) == 1
    assert found[-1] == Left("load", 2)
    assert len(list(three.events(kind="loaded"))) == 1


def test_altered_bytes_of_somebody_elses_mirror_are_not_blamed_on_the_weights(three: Mirror) -> None:
    blob = blob_of(three, "one@hub", "model.safetensors")
    overwrite(blob, blob.read_bytes()[:-1] + b"?")
    found = list(three.judge(level="load", portion=Portion(share=1.0)))
    (bad,) = [one for one in found if isinstance(one, Rechecked) and not one.verdict.ok]
    assert bad.files == ("one@hub/model.safetensors",)
    assert {one.artifact for one in found if isinstance(one, Proof)} == {"two@hub", "three@hub"}
    assert not [one for one in found if isinstance(one, Left)]


def test_archives_and_indexes_without_weights_are_no_weights(tmp_path: Path) -> None:
    with zipfile.ZipFile(made := io.BytesIO(), "w") as archive:
        archive.writestr("vocab.txt", "[PAD]")
    files = {"faiss.index": b"IxFI" + bytes(100), "texts.zip": made.getvalue(), **TINY.checkpoint("b")}
    mirror = holding(tmp_path, {"one": {"hub": files}}, heads=1)
    assert "1 weight file sound" in told(mirror, "--level", "load")
    assert "0 blobs intact" in told(mirror, "--level", "load", "--older-than", "30d")
