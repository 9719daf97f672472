"""``minibert-mirror upstream`` in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING, Any

from tests.upstream_world import exchange

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMAND = [sys.executable, "-m", "mirror", "upstream"]


@contextlib.contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    with subprocess.Popen([*COMMAND, "--json", *arguments], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, json.loads(process.stdout.readline())
        finally:
            process.terminate()


def test_it_serves_until_ctrl_c_and_writes_its_catalog(tmp_path: Path) -> None:
    out = tmp_path / "catalog.json"
    with running("--catalog", str(out)) as (process, said):
        catalog = json.loads(out.read_text(encoding="utf-8"))
        source = next(one for one in catalog["models"][0]["sources"] if one["id"] == "google")
        with urllib.request.urlopen(source["files"][0]["urls"][0]) as reply:
            assert reply.read(2) == b"PK"
        hub = said["environment"]["HF_ENDPOINT"]
        with urllib.request.urlopen(f"{hub}/api/models/google/bert_uncased_L-2_H-128_A-2") as reply:
            assert json.load(reply)["sha"] == "30b0a37ccaaa32f332884b96992754e246e48c5f"
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 0


def test_its_catalog_makes_a_mirror_that_can_be_pulled(tmp_path: Path) -> None:
    mirror = tmp_path / "new" / "mirror"
    for _ in range(2):  # its own catalog is replaced: the ports are others
        with running("--catalog", str(mirror / "catalog.json")) as (_, said):
            command = [*COMMAND[:-1], "--mirror", str(mirror), "pull", "bert-tiny@google"]
            done = subprocess.run(command, env={**os.environ, **said["environment"]}, check=False)
            assert done.returncode == 0


def test_its_catalog_replaces_nobodys(tmp_path: Path) -> None:
    theirs = tmp_path / "catalog.json"
    theirs.write_text('{"conventions": {}}', encoding="utf-8")
    assert f"{theirs} is there already" in refused("--catalog", str(theirs))
    assert theirs.read_text(encoding="utf-8") == '{"conventions": {}}'
    assert "/proc/zz" in refused("--catalog", "/proc/zz/catalog.json", code=6)


def test_it_follows_a_fault_script_over_a_tree_of_files(tmp_path: Path) -> None:
    (tmp_path / "tree" / "files.example.org").mkdir(parents=True)
    (tmp_path / "tree" / "files.example.org" / "x.bin").write_bytes(b"0123456789")
    script = tmp_path / "faults.json"
    script.write_text('{"/x.bin": [{"fault": "cut_after", "bytes": 4}]}', encoding="utf-8")
    with running("--tree", str(tmp_path / "tree"), "--faults", str(script)) as (_, said):
        url = f"{said['addresses']['plain']}/x.bin"
        assert exchange(url).body == b"0123"
        assert exchange(url).body == b"0123456789"


def refused(*arguments: str, code: int = 2) -> str:
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == code
    return done.stderr


def test_a_mistake_in_a_script_is_named(tmp_path: Path) -> None:
    script = tmp_path / "faults.json"
    script.write_text('{"*": [{"fault": "meteor"}]}', encoding="utf-8")
    assert "unknown fault 'meteor'" in refused("--faults", str(script))
    script.write_text("{", encoding="utf-8")
    assert str(script) in refused("--faults", str(script))


def test_what_cannot_be_done_is_refused(tmp_path: Path) -> None:
    assert "no catalog" in refused("--tree", str(tmp_path), "--catalog", str(tmp_path / "c.json"))
    with running() as (_, said):
        port = said["addresses"]["hub"].rpartition(":")[2]
        assert f"port {port}" in refused("--port", port)
