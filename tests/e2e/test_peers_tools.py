"""``hf``, ``aria2c`` and ``curl`` against the same upstream: they get the bytes that ``pull`` gets.

So the upstream is no accomplice of ours, and what ``urls`` prints is of use to others.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mirror.upstream.server import Server
from mirror.upstream.world import World, build_world
from tests.command import Command, in_mirror

ARIA2, CURL = shutil.which("aria2c"), shutil.which("curl")
_BESIDE = Path(sys.executable).with_name("hf")
HF = str(_BESIDE) if _BESIDE.exists() else shutil.which("hf")
needs_aria2 = pytest.mark.skipif(ARIA2 is None, reason="aria2c is not installed")
needs_curl = pytest.mark.skipif(CURL is None, reason="curl is not installed")
needs_hf = pytest.mark.skipif(HF is None, reason="hf, of huggingface_hub, is not installed")
pytestmark = pytest.mark.slow

#: Artifacts of every kind of host: what is pinned, what is not, and what is on a CDN.
NAMES = ("bert-tiny@huggingface", "bert-mini@google", "albert-base-v1@paddle", "tinybert-6l-768d-v2@paddle")


def digests(folder: Path) -> dict[str, str]:
    """Return the sha256 of every file under ``folder``, by path."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".aria2"))
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def pulled(here: Command, *names: str) -> dict[str, str]:
    """Pull and return the sha256 of every file by artifact and path, and make sure that they are the bytes' own."""
    here("pull", *names)
    rows = here("ls", *names, "--json").rows
    for row in rows:
        assert hashlib.sha256(Path(row["blob"]).read_bytes()).hexdigest() == row["sha256"]
    return {f"{row['artifact']}/{row['path']}": row["sha256"] for row in rows}


def aria2(folder: Path, *words: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    assert ARIA2 is not None
    quiet = ("--no-conf", "--quiet", "--console-log-level=error", "--allow-overwrite=true", f"--dir={folder}")
    return subprocess.run(
        [ARIA2, *quiet, *words], input=text, capture_output=True, text=True, check=False, timeout=120, cwd=folder
    )


@needs_hf
@pytest.mark.parametrize("name", ["bert-tiny@huggingface", "albert-base-v2@huggingface"])
def test_hf_download_gets_the_bytes_of_pull(here: Command, outside: Server, tmp_path: Path, name: str) -> None:
    assert isinstance(outside.world, World)
    ours = pulled(here, name)
    repo = {"bert-tiny@huggingface": "google/bert_uncased_L-2_H-128_A-2"}.get(name, "albert/albert-base-v2")
    (revision,) = {row["revision"] for row in here("ls", name, "--json").rows}
    env = {
        **here.env,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "PYTHONWARNINGS": "default",
    }

    def hf(*words: str) -> None:
        assert HF is not None
        done = subprocess.run([HF, *words], env=env, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr

    hf("download", repo, "--revision", revision)
    hf("cache", "verify", repo, "--revision", revision)
    snapshot = tmp_path / "hf" / "hub" / f"models--{repo.replace('/', '--')}" / "snapshots" / revision
    assert {f"{name}/{path}": sha256 for path, sha256 in digests(snapshot).items()} == ours


@needs_aria2
@pytest.mark.parametrize("form", ["aria2", "metalink"])
def test_aria2_gets_the_bytes_of_pull(here: Command, tmp_path: Path, form: str) -> None:
    ours = pulled(here, *NAMES)
    target = tmp_path / "target"
    target.mkdir()
    listed = here("urls", *NAMES, "--as", form, "--out", str(tmp_path / "list"))
    assert listed.out == ""
    option = "--input-file" if form == "aria2" else "--metalink-file"
    done = aria2(target, f"{option}={tmp_path / 'list'}")
    assert done.returncode == 0, done.stdout + done.stderr
    theirs = digests(target)
    # Of a repository, the catalog knows only a part; everything else is all there.
    assert theirs.items() <= ours.items()
    assert {name.partition("/")[0] for name in theirs} == set(NAMES)
    assert all(name in theirs for name in ours if not name.startswith("bert-tiny@"))


@needs_aria2
@pytest.mark.parametrize("form", ["aria2", "metalink"])
def test_aria2_refuses_a_corrupted_file_by_our_checksum(command: Command, tmp_path: Path, form: str) -> None:
    faults = {"*/model.safetensors": [{"fault": "flip_bit", "offset": 1000, "times": "always"}]}
    target = tmp_path / "target"
    target.mkdir()
    with Server(build_world(), faults=faults) as server:
        here = in_mirror(command, tmp_path / "mirror", server)
        text = here("urls", "bert-tiny@huggingface", "--as", form).out
        if form == "aria2":
            done = aria2(target, "--input-file=-", text=text)
        else:
            (tmp_path / "list.meta4").write_text(text)
            done = aria2(target, f"--metalink-file={tmp_path / 'list.meta4'}")
        assert done.returncode == 32, done.stderr  # aria2c(1), EXIT STATUS: checksum validation failed
        # So does pull, with the same word for it.
        refused = here("pull", "bert-tiny@huggingface", code=4)
        assert "disputed bert-tiny@huggingface/model.safetensors" in refused.err


@needs_curl
def test_curl_gets_the_bytes_of_pull(here: Command, tmp_path: Path) -> None:
    assert CURL is not None
    ours = pulled(here, *NAMES)
    target = tmp_path / "target"
    for name in NAMES:
        rows = here("why", name, "--json").rows
        for row in rows:
            out = target / name / row["path"]
            url = row["promised"]["urls"][0]
            subprocess.run([CURL, "-sSfL", "--create-dirs", "-o", out, url], check=True, timeout=60)
    assert digests(target) == ours
