"""What the summaries of ``verify`` and ``pull`` say of weights that are sound, and were not checked in everything."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mirror.formats import safetensors
from mirror.formats.checkpoint import Tensor
from mirror.formats.safetensors_writer import pieces
from mirror.upstream.containers import safetensors as writer
from mirror.upstream.containers.tensors import Named
from mirror.upstream.modelfiles import ModelFiles
from mirror.upstream.stock import shipped_catalog
from tests.held import command, prepared

if TYPE_CHECKING:
    from pathlib import Path

    from mirror.api import Mirror

TINY = replace(ModelFiles.of(shipped_catalog()["models"][0], seed=0, scale=32), id="tiny")
BIAS = "bert.pooler.dense.bias"


def weights(*doubled: str) -> bytes:
    """Return safetensors, some tensors in double precision."""
    held = safetensors.read(TINY.safetensors()).tensors
    double = [Tensor(one.name, "F64", one.array.astype("<f8")) if one.name in doubled else one for one in held]
    return b"".join(map(bytes, pieces(double, {"format": "pt"})))


def twice(root: Path, data: bytes, **config: Any) -> Mirror:
    """Return a mirror that has one model from two sources still to pull."""
    files = {"model.safetensors": data, "config.json": json.dumps(json.loads(TINY.config_json()) | config).encode()}
    return prepared(root, {"tiny": {"one": files, "two": files}})


def test_an_activation_that_is_not_known_is_said_to_leave_the_model_unrun(tmp_path: Path) -> None:
    mirror = twice(tmp_path, weights(), hidden_act="swish")
    assert "unchecked" not in command(mirror, "pull", "--all").output
    told = command(mirror, "verify", "--level", "forward")
    assert told.exit_code == 0
    said = "unchecked  forward: not checked: an activation that is not known here: 'swish': "
    assert f"{said}tiny@one/model.safetensors and 1 more\n" in told.stdout
    assert "unchecked" not in command(mirror, "verify", "--level", "load").stdout


def test_one_tensor_of_another_precision_is_named(tmp_path: Path) -> None:
    mirror = twice(tmp_path, weights(BIAS))
    summary = command(mirror, "pull", "--all").stdout
    said = "1 of 46 tensors is F64, where the others are F32: pooler.dense.bias\n"
    assert summary.count(f"strange tiny@one/model.safetensors: {said}") == 1
    told = command(mirror, "verify", "--level", "load")
    assert told.exit_code == 0
    assert told.stdout.count(f"  warning  tiny@two/model.safetensors: {said}") == 1


def test_an_architecture_that_is_not_known_is_said_to_be_unchecked(tmp_path: Path) -> None:
    data = writer.write([Named("transformer.wte.weight", np.arange(8, dtype="<f4").reshape(2, 4))])
    files = {"model.safetensors": data}
    mirror = prepared(tmp_path, {"gpt": {"one": files}}, family=None)
    said = "structure: of an architecture that is not known here: not checked: gpt@one/model.safetensors\n"
    assert f"unchecked {said}" in command(mirror, "pull", "--all").stdout
    assert f"unchecked  {said}" in command(mirror, "verify", "--level", "load").stdout
    (*_, row) = map(json.loads, command(mirror, "verify", "--level", "load", "--json").stdout.splitlines())
    assert [finding["unchecked"] for finding in row["findings"]] == [True]
