"""What `pull.py` measures against: a local nginx, a hub made of static files, and other downloaders.

Everything binds to loopback, lives in one temporary directory and ends with the benchmark.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMIT = "30b0a37ccaaa32f332884b96992754e246e48c5f"

NGINX = """
worker_processes 1; daemon off; pid {root}/nginx.pid; error_log {root}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; sendfile_max_chunk 2m; keepalive_requests 1000000; gzip off;
  open_file_cache max=20000 inactive=60s; default_type application/octet-stream;
  client_body_temp_path {root}/t1; proxy_temp_path {root}/t2; fastcgi_temp_path {root}/t3;
  uwsgi_temp_path {root}/t4; scgi_temp_path {root}/t5;
  map $arg_recursive $tree {{ default plain; "~*^(true|1)$" recursive; }}
  map $realpath_root $hub_etag {{ default ""; "~/(?<e>[0-9a-f]{{64}}|[0-9a-f]{{40}})$" '"$e"'; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096; root {root}/hub;
    location = /api/agent-harnesses {{ return 200 '{{"standardEnvVars":[],"harnesses":{{}}}}'; }}
    location ^~ /api/telemetry/ {{ return 204; }}
    location ^~ /capped/ {{ alias {root}/hub/; limit_rate 40m; }}
    location ~ ^/(?<repo>[^/]+/[^/]+)/resolve/[^/]+/(?<path>.+)$ {{
      alias {root}/hub/$repo/$path;
      add_header X-Repo-Commit {commit}; add_header X-Linked-Etag $hub_etag;
    }}
    location ~ ^/api/models/(?<repo>[^/]+/[^/]+)/tree/ {{ alias {root}/hub/$repo/.tree.json; }}
    location ~ ^/api/models/(?<repo>[^/]+/[^/]+)(/revision/[^/]+)?$ {{ alias {root}/hub/$repo/.info.json; }}
  }}
}}
"""

#: A server that thinks for 20 ms before every answer, as a host across a country does.
DELAYED = """
import asyncio, sys
from pathlib import Path
root, delay = Path(sys.argv[1]), float(sys.argv[2])
bodies = {}
async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            path = head.split(b" ", 2)[1].decode()
            body = bodies.get(path) or bodies.setdefault(path, (root / path.lstrip("/")).read_bytes())
            await asyncio.sleep(delay)
            writer.write(b"HTTP/1.1 200 OK\\r\\nETag: \\"1\\"\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body) + body)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""

#: A plain loop over httpx2, one client, hashing as the bytes come.
HTTPX_LOOP = """
import hashlib, sys
from pathlib import Path
import httpx2
folder, listed = Path(sys.argv[1]), Path(sys.argv[2])
with httpx2.Client() as client:
    for number, url in enumerate(listed.read_text().split()):
        with client.stream("GET", url) as reply, (folder / str(number)).open("wb") as out:
            digest = hashlib.sha256()
            for chunk in reply.iter_raw():
                digest.update(chunk)
                out.write(chunk)
"""

SNAPSHOTS = """
import sys
from huggingface_hub import snapshot_download
for repo in sys.argv[2:]:
    snapshot_download(repo, cache_dir=sys.argv[1])
"""


@dataclass
class Served:
    """One file of a repository.

    Attributes:
        repo: ``org/name``.
        path: Its path there.
        size: Bytes.
        sha256: Hex.
    """

    repo: str
    path: str
    size: int
    sha256: str


@dataclass
class World:
    """The directory that nginx serves, and its address.

    Attributes:
        root: Everything of the benchmark.
        port: Where nginx listens.
        files: Everything that is served.
    """

    root: Path
    port: int
    files: list[Served] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Address of the server."""
        return f"http://127.0.0.1:{self.port}"

    def add(self, repo: str, sizes: dict[str, int]) -> list[Served]:
        """Make a repository of random files and the JSON that a hub says of it."""
        folder = self.root / "hub" / repo
        blobs = self.root / "blobs"
        blobs.mkdir(parents=True, exist_ok=True)
        added = []
        for path, size in sizes.items():
            digest = _random_blob(blobs, size)
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).symlink_to(blobs / digest)
            added.append(Served(repo, path, size, digest))
        tree = [_entry(file) for file in added]
        siblings = [{"rfilename": file.path} for file in added]
        info = {"id": repo, "modelId": repo, "sha": COMMIT, "siblings": siblings, "private": False, "tags": []}
        (folder / ".tree.json").write_text(json.dumps(tree))
        (folder / ".info.json").write_text(json.dumps(info))
        self.files += added
        return added

    def address(self, file: Served, prefix: str = "") -> str:
        """Return the plain address of a file."""
        return f"{self.url}{prefix}/{file.repo}/{file.path}"


def _random_blob(folder: Path, size: int) -> str:
    """Write random bytes under their sha256; in pieces, for a child's peak memory counts from its parent's."""
    digest, aside = hashlib.sha256(), folder / "new"
    with aside.open("wb") as out:
        for at in range(0, size, 1 << 20):
            piece = os.urandom(min(1 << 20, size - at))
            digest.update(piece)
            out.write(piece)
    aside.rename(folder / digest.hexdigest())
    return digest.hexdigest()


def _entry(file: Served) -> dict[str, Any]:
    lfs = {"oid": file.sha256, "size": file.size, "pointerSize": 134}
    return {"type": "file", "path": file.path, "size": file.size, "oid": file.sha256[:40], "lfs": lfs}


@contextlib.contextmanager
def nginx(root: Path) -> Iterator[World]:
    """Run nginx over ``root/hub`` on a free port."""
    binary = shutil.which("nginx") or "/usr/sbin/nginx"
    if not Path(binary).exists():
        raise SystemExit("nginx is not installed: the benchmark measures against it")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    (root / "hub").mkdir(parents=True)
    conf = root / "nginx.conf"
    conf.write_text(NGINX.format(root=root, port=port, commit=COMMIT))
    process = subprocess.Popen([binary, "-c", str(conf), "-e", str(root / "error.log")])
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.1):
                break
            time.sleep(0.05)
        yield World(root, port)
    finally:
        process.send_signal(signal.SIGQUIT)
        process.wait(10)


@contextlib.contextmanager
def delayed(root: Path, seconds: float) -> Iterator[str]:
    """Run a server over ``root`` that waits before every answer; gives its address."""
    process = subprocess.Popen(
        [sys.executable, "-c", DELAYED, str(root), str(seconds)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def mirror_of(folder: Path, artifacts: dict[str, list[tuple[str, str, int, str | None]]]) -> list[str]:
    """Make ``folder`` a fresh mirror whose catalog promises the files; return the command's beginning.

    Args:
        folder: Where.
        artifacts: By model name, ``(path, url, size, sha256)`` of every file.
    """
    note = {"repo": None, "path": None, "commit": None, "public_record": None, "note": "made by the benchmark"}
    models = []
    for name, files in artifacts.items():
        rows = [
            {"path": path, "urls": [url], "size": size, "sha256": sha256, "provenance": ["benchmark"]}
            for path, url, size, sha256 in files
        ]
        source = {"id": "http", "kind": "http", "formats": [], "url": files[0][1], "files": rows}
        models.append({"id": name, "name": None, "family": None, "aliases": [], "sources": [source]})
    catalog = {
        "schema": "minibert-mirror/catalog/1",
        "provenance": {"benchmark": note},
        "models": models,
        "bundles": [],
    }
    if not (folder / "cache").exists():
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
        subprocess.run([*ours(), "init", str(folder)], check=True, env=environment, **quiet)
    (folder / "catalog.json").write_text(json.dumps(catalog), encoding="utf-8")
    return [*ours(), "--mirror", str(folder)]


def ours() -> list[str]:
    """Return the installed command; without one, the package beside this file."""
    installed = Path(sys.executable).with_name("minibert-mirror")
    return [str(installed)] if installed.exists() else [sys.executable, "-m", "mirror"]


def curl_config(folder: Path, urls: list[str]) -> list[str]:
    """Return the arguments with which curl fetches many files over kept connections."""
    folder.mkdir(parents=True, exist_ok=True)
    conf = folder / "curl.conf"
    lines = [f'url = "{url}"\noutput = "{folder / str(number)}"' for number, url in enumerate(urls)]
    conf.write_text("\n".join(lines))
    return ["-s", "-K", str(conf)]


def hub_environment(world: World, home: Path) -> dict[str, str]:
    """Return the environment in which Hub clients ask our nginx and nobody else."""
    return {
        **os.environ,
        "HF_ENDPOINT": world.url,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }


def script(folder: Path, name: str, text: str) -> str:
    """Write a peer's script and return its path."""
    path = folder / name
    path.write_text(textwrap.dedent(text))
    return str(path)


def versions() -> dict[str, str]:
    """Return the first line of what every peer says of itself."""
    found = {}
    for name, arguments in {
        "curl": ["--version"],
        "aria2c": ["--version"],
        "hf": ["--version"],
        "openssl": ["version"],
    }.items():
        binary = tool(name)
        if binary is not None:
            done = subprocess.run([binary, *arguments], capture_output=True, text=True, check=False)
            found[name] = (done.stdout or done.stderr).splitlines()[0][:60]
    done = subprocess.run(
        [shutil.which("nginx") or "/usr/sbin/nginx", "-v"], capture_output=True, text=True, check=False
    )
    return {**found, "nginx": done.stderr.strip(), "python": sys.version.split()[0]}


def tool(name: str) -> str | None:
    """Return the path of a peer: beside this interpreter first."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else shutil.which(name)
