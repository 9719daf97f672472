"""Real clients find in the embedded upstream what they find in the real one."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mirror.upstream.world import World, build_world
from tests.upstream_world import COMMIT, CONFIG, REPO, WEIGHTS, resolve, serving, small_world

if TYPE_CHECKING:
    from mirror.upstream.server import Server

CURL = shutil.which("curl")
HF = shutil.which("hf") or str(Path(sys.executable).with_name("hf"))
needs_curl = pytest.mark.skipif(CURL is None, reason="curl is not installed")


def curl(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    assert CURL is not None
    return subprocess.run([CURL, "-sS", "--max-time", "20", *arguments], capture_output=True, check=False)


@needs_curl
@pytest.mark.parametrize(
    ("asked", "span"), [("0-9", slice(0, 10)), ("299990-", slice(-10, None)), ("-7", slice(-7, None))]
)
def test_curl_gets_the_range_it_asks_for(asked: str, span: slice) -> None:
    with serving() as server:
        assert curl("-r", asked, server.url("plain", "/weights.bin")).stdout == WEIGHTS[span]


@needs_curl
def test_curl_follows_the_hub_to_the_cdn() -> None:
    with serving() as server:
        assert curl("-L", resolve(server, "model.safetensors", revision="main")).stdout == WEIGHTS


@needs_curl
@pytest.mark.parametrize("kept", [0, 1, 150_000, len(WEIGHTS)])
def test_curl_resumes_and_finds_a_whole_file_whole(tmp_path: Path, kept: int) -> None:
    target = tmp_path / "file"
    target.write_bytes(WEIGHTS[:kept])
    with serving() as server:
        done = curl("-C", "-", "-o", str(target), server.url("google", "/bert_models/2020_02_20/tiny.zip"))
        assert done.returncode == 0
        assert server.requests()[0].status == (416 if kept == len(WEIGHTS) else 206 if kept else 200)
    assert target.read_bytes() == WEIGHTS


@needs_curl
def test_curls_if_range_gets_the_whole_file_once_it_changed() -> None:
    world = small_world()
    with serving(world) as server:
        url = server.url("google", "/bert_models/2020_02_20/tiny.zip")
        etag = f'"{hashlib.md5(WEIGHTS).hexdigest()}"'
        assert curl("-r", "5-9", "-H", f"If-Range: {etag}", url).stdout == WEIGHTS[5:10]
        world.add_object("google", "/bert_models/2020_02_20/tiny.zip", WEIGHTS[::-1])
        assert curl("-r", "5-9", "-H", f"If-Range: {etag}", url).stdout == WEIGHTS[::-1]


@needs_curl
def test_curl_uses_any_port_as_a_proxy_for_the_real_names() -> None:
    with serving() as server:
        proxy = server.url("hub")
        assert curl("-L", "-x", proxy, f"http://huggingface.co/{REPO}/resolve/main/model.safetensors").stdout == WEIGHTS
        assert [one.host for one in server.requests()] == ["hub", "cdn"]


@needs_curl
@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"fault": "cut_after", "bytes": 10}, 18),  # CURLE_PARTIAL_FILE
        ({"fault": "reset_after", "bytes": 10}, 56),  # CURLE_RECV_ERROR
        ({"fault": "close_before_headers"}, 52),  # CURLE_GOT_NOTHING
        ({"fault": "garbage_status_line"}, 1),  # CURLE_UNSUPPORTED_PROTOCOL: HTTP/0.9
        ({"fault": "redirect_loop", "times": "always"}, 47),  # CURLE_TOO_MANY_REDIRECTS
    ],
)
def test_curl_calls_a_fault_by_its_name(fault: dict[str, object], code: int) -> None:
    with serving(faults={"/weights.bin": [fault]}) as server:
        assert curl("-L", server.url("plain", "/weights.bin")).returncode == code


def hf(server: Server, home: Path, *arguments: str, token: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "HF_HOME": str(home / "hf"),
        "HF_ENDPOINT": server.url("hub"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        **({"HF_TOKEN": token} if token else {}),
    }
    return subprocess.run([HF, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=60)


def snapshot(home: Path, repo: str, commit: str) -> Path:
    return home / "hf" / "hub" / f"models--{repo.replace('/', '--')}" / "snapshots" / commit


@pytest.mark.slow
def test_hf_downloads_a_repository_and_verifies_it(tmp_path: Path) -> None:
    world = build_world()
    with serving(world) as server:
        for repo in ("google/bert_uncased_L-4_H-256_A-4", "albert/albert-base-v2"):
            done = hf(server, tmp_path, "download", repo)
            assert done.returncode == 0, done.stderr
            checked = hf(server, tmp_path, "cache", "verify", repo)
            assert checked.returncode == 0, checked.stdout + checked.stderr
            repository = world.hub.repositories[repo]
            commit = repository.refs["main"]
            for path, file in repository.revisions[commit].items():
                assert (snapshot(tmp_path, repo, commit) / path).read_bytes() == bytes(file.content.data)
        hosts = {one.host for one in server.requests() if one.path.endswith(".safetensors")}
        assert hosts == {"hub"}
        assert any(one.host == "cdn" and one.status == 200 for one in server.requests())


@pytest.mark.slow
def test_hf_stops_at_what_it_may_not_have_and_goes_on_with_a_token(tmp_path: Path) -> None:
    world = small_world()
    world.repository(REPO).gated = True
    world.repository(REPO).tokens = {"hf_friend"}
    world.add_hub_file("no/safetensors", "main", "config.json", CONFIG)
    with serving(world) as server:
        assert "requires approval" in hf(server, tmp_path, "download", REPO, "config.json").stderr
        assert hf(server, tmp_path, "download", REPO, token="hf_friend").returncode == 0
        assert (snapshot(tmp_path, REPO, COMMIT) / "model.safetensors").read_bytes() == WEIGHTS
        assert hf(server, tmp_path, "download", "no/safetensors", "nothing.bin").returncode != 0
        assert hf(server, tmp_path, "download", "no/body").returncode != 0


@pytest.mark.slow
def test_hf_verify_finds_a_flipped_bit(tmp_path: Path) -> None:
    faults = {"*/model.safetensors": [{"fault": "flip_bit", "offset": 1234}]}
    with serving(faults=faults) as server:
        assert hf(server, tmp_path, "download", REPO).returncode == 0
        assert hf(server, tmp_path, "cache", "verify", REPO).returncode != 0


@pytest.mark.slow
def test_hf_reconnects_after_a_cut(tmp_path: Path) -> None:
    faults = {"*/model.safetensors": [{"fault": "cut_after", "bytes": 100_000}]}
    with serving(faults=faults) as server:
        assert hf(server, tmp_path, "download", REPO).returncode == 0
        assert (snapshot(tmp_path, REPO, COMMIT) / "model.safetensors").read_bytes() == WEIGHTS
        sizes = [one.sent for one in server.requests() if one.host == "cdn"]
        assert sizes[0] == 100_000
        assert len(sizes) == 2


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("aria2c") is None, reason="aria2c is not installed")
def test_aria2c_downloads_in_segments(tmp_path: Path) -> None:
    world = World()
    data = bytes(range(256)) * 40_000
    world.add_object("google", "/b/big.zip", data)
    with serving(world) as server:
        url = server.url("google", "/b/big.zip")
        sum_of = f"--checksum=sha-256={hashlib.sha256(data).hexdigest()}"
        done = subprocess.run(
            ["aria2c", "-q", "--no-conf", "-x4", "-s4", "-k1M", sum_of, "-d", str(tmp_path), url],
            check=False,
            timeout=60,
        )
        assert done.returncode == 0
        assert (tmp_path / "big.zip").read_bytes() == data
        assert sum(one.status == 206 for one in server.requests()) >= 3
