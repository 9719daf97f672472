"""`tools/check_facts.py` says where catalog and facts disagree, and changes neither."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.catalogs import PROVENANCE, SHA256, SIZES, catalog, file, hub, model

TOOL = Path(__file__).parents[2] / "tools" / "check_facts.py"
NAMED = {**PROVENANCE["named"], "key": "named"}


def facts() -> dict[str, Any]:
    source = {
        "kind": "huggingface",
        "role": "official",
        "repo": "o/a",
        "url": "https://huggingface.co/o/a",
        "revision": None,
        "format": "pytorch",
        "file_list_complete": False,
        "files": [
            {
                "path": "x",
                "url": "https://huggingface.co/o/a/resolve/main/x",
                "size": 5,
                "sha256": SHA256,
                "etag": None,
                "provenance": [NAMED],
            }
        ],
        "provenance": [NAMED],
    }
    known = {"id": "a", "aliases": ["a", "b"], "sources": [source], **dict.fromkeys(SIZES)}
    return {"conventions": {}, "models": [known], "bundles": [], "well_known_digests": []}


def compare(folder: Path, facts: dict[str, Any]) -> tuple[int, list[str]]:
    ours = catalog(
        model("a", hub("o/a", file("x", size=5, sha256=SHA256)), aliases=["b"]), conventions={}, well_known=[]
    )
    for name, data in (("facts.json", facts), ("catalog.json", ours)):
        (folder / name).write_text(json.dumps(data), encoding="utf-8")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    command = [sys.executable, str(TOOL), str(folder / "facts.json"), str(folder / "catalog.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    return done.returncode, done.stdout.splitlines()


def test_agreement_is_silent(tmp_path: Path) -> None:
    assert compare(tmp_path, facts()) == (0, [])


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("size", 6, "facts 6, catalog 5"),
        ("sha256", None, f'facts null, catalog "{SHA256}"'),
        ("url", "https://huggingface.co/o/a/resolve/v1/x", 'resolve/v1/x", catalog'),
        ("note", "new", 'facts "new", catalog null'),
    ],
)
def test_every_difference_is_printed(tmp_path: Path, key: str, value: object, said: str) -> None:
    changed = facts()
    changed["models"][0]["sources"][0]["files"][0][key] = value
    code, lines = compare(tmp_path, changed)
    assert code == 1
    assert len(lines) == 1
    assert lines[0].startswith(f"models/a/sources/https://huggingface.co/o/a/files/x/{key}: ")
    assert said in lines[0]
