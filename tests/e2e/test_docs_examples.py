"""The examples of the documentation run, in order, as they stand."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mirror.compare.digest import digests, roots
from mirror.compare.names import canonical
from mirror.drive.memory import TokenFile
from mirror.drive.settings import FOLDER, TOKENS
from mirror.formats.checkpoint import Checkpoint, Tensor
from mirror.sources.baidu_open.oauth import App, Tokens
from mirror.upstream.server import Server
from mirror.upstream.world import build_world

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parents[2]


def python_blocks(page: Path) -> str:
    return "\n".join(re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL))


def in_a_demo_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server, code: str) -> dict[str, object]:
    (tmp_path / "cache").mkdir()
    catalog = json.dumps(server.world.catalog(server))  # type: ignore[attr-defined] # a World has one
    (tmp_path / "catalog.json").write_text(catalog, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", server.url("hub"))
    names: dict[str, object] = {}
    exec(compile(code, "docs", "exec"), names)
    return names


def log_in_at_baidu(server: Server, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set up an app of the user's, with a file in its folder and a login."""
    given = {"APP_KEY": "key", "SECRET_KEY": "secret", "APP_NAME": "demo"}
    for name, value in {**given, "PAN_BASE": server.url("pan"), "OPENAPI_BASE": server.url("openapi")}.items():
        monkeypatch.setenv(f"MINIBERT_MIRROR_BAIDU_{name}", value)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(config))
    platform = server.world.open  # type: ignore[attr-defined] # a World has one
    tokens = platform.grants.grant(platform.grants.register("key", "secret", "demo"))
    platform.put("/apps/demo/bert/notes.txt", b"nothing of ours")
    path = config / "minibert-mirror" / FOLDER / TOKENS
    fresh = Tokens(tokens["access_token"], tokens["refresh_token"], time.time() + tokens["expires_in"])
    TokenFile(path, App("key", "secret", "demo")).save(fresh)


def test_the_page_on_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = python_blocks(ROOT / "docs" / "python.md")
    opened = re.search(r"^mirror = .*$", code, re.MULTILINE)
    assert opened is not None
    # In a mirror that holds some of the bytes already, as it does after a while.
    shared = f'{opened[0]}\nmirror.pull("bert-mini@huggingface")\n'
    code = code.replace(opened[0], shared, 1)
    with Server(build_world()) as server:
        log_in_at_baidu(server, tmp_path / "config", monkeypatch)
        names = in_a_demo_mirror(tmp_path, monkeypatch, server, code)
    assert {event.detail["how"] for event in names["mirror"].events(kind="stored")} > {"fetched"}  # type: ignore[attr-defined]
    folder = names["folder"]
    assert isinstance(folder, Path)
    assert json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"] == "bert"
    assert names["bad"] == []
    assert names["outcome"].problems == []  # type: ignore[attr-defined]


def test_the_examples_of_both_readmes_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(build_world()) as server:
        for number, page in enumerate(("README.md", "README.zh-CN.md")):
            place = tmp_path / str(number)
            place.mkdir()
            names = in_a_demo_mirror(place, monkeypatch, server, python_blocks(ROOT / page))
            folder = names["folder"]
            assert isinstance(folder, Path)
            assert (folder / "vocab.txt").is_file()


def test_the_digest_of_the_page_on_verification_is_ours() -> None:
    code = python_blocks(ROOT / "docs" / "verification.md")
    names: dict[str, object] = {}
    exec(compile(code, "docs", "exec"), names)
    held = {
        "bert.embeddings.LayerNorm.gamma": np.array([1, 1], "<f4"),
        "bert.pooler.dense.weight": np.array([[1, 2], [3, 4]], "<f4").T,
        "cls.seq_relationship.bias": np.array([-0.0, 0.5], "<f4"),
    }
    checkpoint = Checkpoint("torch-zip", tuple(Tensor(name, "F32", array) for name, array in held.items()))
    found = digests(canonical(checkpoint))
    assert [one.leaf for one in found] == names["lines"]
    assert roots(found)["all"] in code
    assert roots(found)["pooler"] in code
