"""Files, and whole mirrors, behind a real nginx."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mirror.upstream.server import Server, dead_port
from mirror.upstream.world import World
from tests import catalogs
from tests.command import Command, in_mirror

if TYPE_CHECKING:
    from collections.abc import Iterator

NGINX = shutil.which("nginx")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(NGINX is None, reason="nginx is not installed")]

SIZE = 20_000_000
#: Bytes that the system buffers at the two ends of one connection over loopback: about four are seen.
BUFFERED = 8 << 20
CONF = """
daemon off;
master_process off;
worker_processes 1;
error_log {folder}/error.log;
pid {folder}/nginx.pid;
events {{}}
http {{
  log_format wire escape=none '$status|$request_uri|$http_range|$http_if_range|$body_bytes_sent';
  access_log {folder}/access.log wire;
  types {{ }}
  default_type application/octet-stream;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{ listen 127.0.0.1:{port}; root {folder}/www; }}
}}
"""


@dataclass
class Nginx:
    """A running nginx.

    Attributes:
        root: What it serves.
        base: Where.
    """

    folder: Path
    base: str

    @property
    def root(self) -> Path:
        return self.folder / "www"

    def log(self, path: str) -> list[tuple[int, str, str, int]]:
        """Return status, Range, If-Range and body bytes of every request for ``path``."""
        rows = [line.split("|") for line in (self.folder / "access.log").read_text().splitlines()]
        return [(int(row[0]), row[2] or "-", row[3] or "-", int(row[4])) for row in rows if row[1] == path]


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Nginx]:
    folder, port = tmp_path / "nginx", dead_port()
    (folder / "www").mkdir(parents=True)
    conf = folder / "nginx.conf"
    conf.write_text(CONF.format(folder=folder, port=port))
    assert NGINX is not None
    process = subprocess.Popen([NGINX, "-c", str(conf), "-p", str(folder)], stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, process.communicate()[1]
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield Nginx(folder, f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.communicate(timeout=10)


@pytest.fixture
def big(nginx: Nginx) -> bytes:
    data = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(SIZE // 32))
    (nginx.root / "big.bin").write_bytes(data)
    return data


def fresh(command: Command, folder: Path) -> Command:
    """Return the command in a mirror whose hub does not exist."""
    with Server(World()) as server:
        return in_mirror(command, folder, server, catalogs.catalog(catalogs.model("nothing")))


def blob(command: Command, name: str) -> bytes:
    (path,) = command("ls", name, "--paths").out.split()
    return Path(path).read_bytes()


def killed_midway(command: Command, *words: str, after: int) -> None:
    """Start the command and kill it once its partial has ``after`` bytes."""
    process = command.start(*words)
    deadline = time.monotonic() + 30
    partial = command.cwd / "cache" / "partial"
    while sum(path.stat().st_blocks * 512 for path in partial.glob("*/data")) < after:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_a_file_of_nginx_comes_whole(command: Command, tmp_path: Path, nginx: Nginx, big: bytes) -> None:
    here = fresh(command, tmp_path / "mirror")
    here("catalog", "add", f"{nginx.base}/big.bin", "--id", "big")
    here("pull", "big")
    assert blob(here, "big") == big
    # Nobody offered a digest: what we saw binds every later pull.
    assert here("ls", "big", "--json").rows[0]["level"] == "first-seen"
    sent = [sent for _, _, _, sent in nginx.log("/big.bin")]
    # On a busy machine nginx seems slow, and gets a second connection; what it had put into the buffers of the
    # first one's socket by then counts as sent.
    assert sum(sent) <= SIZE + (1 << 20) + (len(sent) - 1) * BUFFERED


def test_a_killed_pull_from_nginx_goes_on_with_range_and_if_range(
    command: Command, tmp_path: Path, nginx: Nginx, big: bytes
) -> None:
    here = fresh(command, tmp_path / "mirror")
    here("catalog", "add", f"{nginx.base}/big.bin", "--id", "big")
    killed_midway(here, "pull", "big", "--limit-rate", "8M", after=4 << 20)
    assert here("ls").out == ""
    here("pull", "big")
    assert blob(here, "big") == big
    status, asked, condition, sent = next(row for row in nginx.log("/big.bin") if row[1] != "-")
    start = int(asked.removeprefix("bytes=").partition("-")[0])
    assert (status, start >= (3 << 20)) == (206, True)
    assert condition.startswith('"')
    assert sent <= SIZE - start


def test_a_file_that_changed_at_nginx_meanwhile_is_not_mixed(
    command: Command, tmp_path: Path, nginx: Nginx, big: bytes
) -> None:
    here = fresh(command, tmp_path / "mirror")
    here("catalog", "add", f"{nginx.base}/big.bin", "--id", "big")
    killed_midway(here, "pull", "big", "--limit-rate", "8M", after=4 << 20)
    other = big[::-1]
    fresh_file = nginx.root / "fresh"
    fresh_file.write_bytes(other)
    os.utime(fresh_file, (1_000_000_000, 1_000_000_000))
    fresh_file.rename(nginx.root / "big.bin")
    here("pull", "big")
    assert blob(here, "big") == other
    # nginx answers a stale If-Range with the whole file.
    assert any(status == 200 and condition != "-" for status, _, condition, _ in nginx.log("/big.bin"))


@pytest.mark.parametrize("how", ["nginx", "folder"])
def test_an_exported_mirror_gives_everything_that_it_holds(
    command: Command, tmp_path: Path, nginx: Nginx, how: str
) -> None:
    world = World()
    commit = "c" * 40
    files = {"config.json": b"{}", "model.safetensors": bytes(range(256)) * 40_000, "vocab.txt": b"[PAD]\n"}
    for path, data in files.items():
        world.add_hub_file("o/r", commit, path, data)
    with Server(world) as server:
        catalog = catalogs.catalog(catalogs.model("mine", catalogs.hub("o/r")))
        old = in_mirror(command, tmp_path / "old", server, catalog)
        old("pull", "mine")
        asked = len(server.requests())
        shutil.copytree(old.cwd / "cache", nginx.root / "cache")
        peer = f"{nginx.base}/cache" if how == "nginx" else str(nginx.root / "cache")
        new = in_mirror(command, tmp_path / "new", server, catalog)
        new("pull", "mine", "--from", peer)
        rows = {row["path"]: row for row in new("ls", "--json").rows}
        assert {path: Path(row["blob"]).read_bytes() for path, row in rows.items()} == files
        assert {row["revision"] for row in rows.values()} == {commit}
        assert len(server.requests()) == asked

        wrong = nginx.root / "cache" / "blobs" / "sha256"
        name = rows["model.safetensors"]["sha256"]
        (wrong / name[:2] / name).chmod(0o644)
        (wrong / name[:2] / name).write_bytes(files["model.safetensors"][::-1])
        third = in_mirror(command, tmp_path / "third", server, catalog)
        told = third("pull", "mine", "--from", peer)
        assert "note: mine@huggingface/model.safetensors: what the peer gives is refused" in told.err
        rows = {row["path"]: row for row in third("ls", "--json").rows}
        assert {path: Path(row["blob"]).read_bytes() for path, row in rows.items()} == files
        assert rows["model.safetensors"]["level"] == "attested"
        assert len(list((third.cwd / "cache" / "quarantine").iterdir())) == 1
        assert "disputed" in third("why", "mine/model.safetensors").out
        third("verify", "--quiet")
        third("ledger", "verify")


def test_a_large_blob_of_a_peer_is_resumed(command: Command, tmp_path: Path, nginx: Nginx, big: bytes) -> None:
    old = fresh(command, tmp_path / "old")
    old("catalog", "add", f"{nginx.base}/big.bin", "--id", "big")
    old("pull", "big")
    shutil.copytree(old.cwd / "cache", nginx.root / "cache")
    (nginx.root / "big.bin").unlink()
    new = fresh(command, tmp_path / "new")
    new("catalog", "add", f"{nginx.base}/big.bin", "--id", "big")
    words = ("pull", "big", "--from", f"{nginx.base}/cache")
    killed_midway(new, *words, "--limit-rate", "8M", after=4 << 20)
    new(*words)
    assert blob(new, "big") == big
    sha256 = hashlib.sha256(big).hexdigest()
    log = nginx.log(f"/cache/blobs/sha256/{sha256[:2]}/{sha256}")
    assert any(status == 206 and asked != "bytes=0-" for status, asked, _, _ in log)
    assert sum(sent for _, _, _, sent in log) < 2 * SIZE - (4 << 20)
