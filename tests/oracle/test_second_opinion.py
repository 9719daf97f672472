"""``verify --level forward --transformers``: the real library loads what is held, and has to say what we say.

Only where torch and transformers are installed (`make oracles`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from mirror.api import Mirror
from mirror.cli import cli
from mirror.second_opinion import NEAR
from mirror.upstream.modelfiles import ModelFiles
from mirror.upstream.stock import shipped_catalog
from tests import catalogs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = pytest.mark.oracle

MODELS: dict[str, dict[str, Any]] = {entry["id"]: entry for entry in shipped_catalog()["models"]}


@pytest.fixture(scope="module", autouse=True)
def transformers() -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    pytest.importorskip("transformers", reason="transformers is not installed")


def files_of(identifier: str) -> ModelFiles:
    return ModelFiles.of(MODELS[identifier], seed=0, scale=16)


TINY = files_of("bert_uncased_L-2_H-128_A-2")


def held(root: Path, family: str, files: Mapping[str, bytes]) -> Mirror:
    """Return a mirror that holds the files as one artifact."""
    outside, place = root / "outside", root / "mirror"
    outside.mkdir()
    for name, data in files.items():
        (outside / name).write_bytes(data)
    promised = [catalogs.file(name, (outside / name).as_uri()) for name in sorted(files)]
    (place / "cache").mkdir(parents=True)
    text = catalogs.text(catalogs.model("model", catalogs.http(*promised, id="files"), family=family))
    (place / "catalog.json").write_text(text, encoding="utf-8")
    mirror = Mirror.open(place, environ={})
    assert mirror.sync(everything=True).problems == []
    return mirror


def paddle(identifier: str) -> dict[str, bytes]:
    model = files_of(identifier)
    return {"model_state.pdparams": model.paddle(), "model_config.json": model.model_config_json()}


CASES = {
    "google": ("bert-miniature", {"a.zip": TINY.google_archive()}, {"hidden", "pooler", "mlm", "nsp"}),
    "torch": (
        "bert-miniature",
        {"pytorch_model.bin": TINY.torch(legacy=True, converted=True), "config.json": TINY.config_json()},
        {"hidden", "mlm", "nsp"},
    ),
    "tinybert": ("tinybert", paddle("tinybert-4l-312d"), {"hidden", "pooler"}),
    "distilbert": ("distilbert", paddle("distilbert-base-uncased"), {"hidden", "mlm"}),
    "albert": ("albert", paddle("albert-base-v2"), {"hidden", "mlm", "nsp"}),
}


@pytest.mark.parametrize("name", CASES)
def test_transformers_agrees_with_us(tmp_path: Path, name: str) -> None:
    family, files, outputs = CASES[name]
    (opinion,) = held(tmp_path, family, files).second_opinions()
    assert opinion.agrees, opinion
    assert outputs <= opinion.off.keys() | {"pooler"}
    assert max(opinion.off.values()) <= NEAR
    assert opinion.keys == {"missing": [], "unexpected": [], "mismatched": []}
    assert opinion.tool.startswith("transformers ")


def test_who_runs_the_model_otherwise_does_not_agree_and_it_is_recorded(tmp_path: Path) -> None:
    # As a decoder, each token sees only those before it.
    config = json.loads(TINY.config_json()) | {"is_decoder": True}
    mirror = held(
        tmp_path,
        "bert-miniature",
        {"model.safetensors": TINY.safetensors(), "config.json": json.dumps(config).encode()},
    )
    said = CliRunner().invoke(
        cli, ["--mirror", str(mirror.place.root), "verify", "--level", "forward", "--transformers"]
    )
    assert said.exit_code == 4, said.output
    assert "does not agree: outputs within" in said.output
    (event,) = mirror.events(kind="opinion")
    assert event.detail["agrees"] is False
    assert event.detail["off"]["hidden"] > NEAR
    told = CliRunner().invoke(cli, ["--mirror", str(mirror.place.root), "why", "model.safetensors"])
    assert "does not agree" in told.output


@pytest.mark.parametrize(
    ("stated", "said"),
    [({"pad_token_id": 10**6}, "Error: "), ({"hidden_act": "silu"}, "an activation that is not known")],
)
def test_what_cannot_be_compared_is_told_with_its_reason(tmp_path: Path, stated: dict[str, Any], said: str) -> None:
    config = json.loads(TINY.config_json()) | stated
    mirror = held(
        tmp_path,
        "bert-miniature",
        {"model.safetensors": TINY.safetensors(), "config.json": json.dumps(config).encode()},
    )
    (opinion,) = mirror.second_opinions()
    assert not opinion.agrees
    assert said in opinion.error
    assert f"could not be compared: {opinion.error}" in str(opinion)


def test_a_library_of_that_name_in_the_working_directory_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = held(tmp_path, *CASES["google"][:2])
    (tmp_path / "torch.py").write_text("open('ran', 'w')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    (opinion,) = mirror.second_opinions()
    assert opinion.agrees, opinion
    assert not (tmp_path / "ran").exists()
