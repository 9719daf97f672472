"""Growth: a pull with nothing to do, and `status`, over 10^3, 10^4 and 10^5 held files.

Each size gets a mirror of its own with one small blob a file, filled through the store
and the ledger as a pull would. Then the command runs, and its wall time and peak memory
are taken. Prints a table and, last, one JSON line.

Usage: python benchmarks/scale.py [FILES...]
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mirror.model import Event

#: Files of one artifact, as a large repository has them.
PER_ARTIFACT = 1000
REPEATS = 5
COMMANDS = {"pull": ["pull", "--all", "--quiet"], "status": ["status", "--json"]}


def fill(root: Path, files: int) -> None:
    """Make ``root`` a mirror in which ``files`` files are held."""
    from mirror.ledger import Ledger
    from mirror.store import Store

    store = Store(root / "cache")
    (root / "cache").mkdir(parents=True)
    models = []
    with Ledger.open(root / "cache" / "ledger.db", tool="benchmark", now=lambda: datetime.now(UTC)) as ledger:
        for first in range(0, files, PER_ARTIFACT):
            count = min(PER_ARTIFACT, files - first)
            name = f"model-{first // PER_ARTIFACT}"
            bodies = {f"shard-{first + n:06}.bin": f"{first + n}".encode() for n in range(count)}
            store.publish((sha256(body).hexdigest(), body) for body in bodies.values())
            ledger.record(list(events(f"{name}@http", bodies)))
            models.append(model(name, bodies))
    catalog = {"schema": "minibert-mirror/catalog/1", "provenance": {}, "models": models, "bundles": []}
    (root / "catalog.json").write_text(json.dumps(catalog), encoding="utf-8")


def events(artifact: str, bodies: dict[str, bytes]) -> list[Event]:
    """Return what a pull records of one artifact."""
    from mirror.model import Event

    listed = [
        {"path": path, "size": len(body), "urls": [address(path)], "revision": None, "claims": []}
        for path, body in bodies.items()
    ]
    found = [
        Event(
            "listed",
            artifact,
            {"artifact": artifact, "revision": None, "narrowed": None, "source": "catalog.json", "files": listed},
        )
    ]
    for path, body in bodies.items():
        digest = sha256(body).hexdigest()
        found.append(
            Event(
                "stored",
                f"{artifact}/{path}",
                {
                    "artifact": artifact,
                    "path": path,
                    "sha256": digest,
                    "size": len(body),
                    "level": "first-seen",
                    "digests": {"sha256": digest},
                    "agreeing": [],
                    "how": "fetched",
                    "url": address(path),
                    "hops": [],
                    "validator": {"etag": None, "last_modified": None},
                    "bytes": len(body),
                    "seconds": 0.001,
                    "attempts": [],
                    "blocks": None,
                },
            )
        )
        found.append(Event("loaded", f"sha256:{digest}", unread(digest)))
    return found


def unread(digest: str) -> dict[str, Any]:
    """Return what a pull records of a file that is no weights, though it is called so."""
    nothing = {"format": None, "family": None, "parameters": None, "roots": {}, "tensors": []}
    findings = [["container", "note", "", "neither a zip nor a pickle, and nothing else that is known"]]
    return {"sha256": digest, "member": "", "level": "load", "verdict": "unread", "findings": findings, **nothing}


def model(name: str, bodies: dict[str, bytes]) -> dict[str, Any]:
    """Return the catalog's entry of one artifact."""
    files = [{"path": path, "urls": [address(path)], "size": len(body)} for path, body in bodies.items()]
    source = {"id": "http", "kind": "http", "formats": [], "url": address(""), "files": files}
    return {"id": name, "name": None, "family": None, "aliases": [], "sources": [source]}


def address(path: str) -> str:
    """Return an address that nobody ever asks."""
    return f"http://127.0.0.1:9/{path}"


def measure(root: Path, arguments: list[str]) -> tuple[float, float]:
    """Run the command; return wall seconds and peak memory in MiB."""
    begin = time.perf_counter()
    child = os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "mirror", "--mirror", str(root), *arguments],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
    )
    _, status, usage = os.wait4(child, 0)
    if status:
        raise SystemExit(f"{arguments} ended with {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - begin, usage.ru_maxrss / 1024


def main() -> None:
    """Measure every size."""
    if sys.argv[1:2] == ["--fill"]:
        fill(Path(sys.argv[2]), int(sys.argv[3]))
        return
    sizes = [int(size) for size in sys.argv[1:]] or [1_000, 10_000, 100_000]
    print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores, {REPEATS} repeats")
    print(f"{'files':>8} {'command':<8} {'median s':>9} {'spread s':>9} {'peak MiB':>9} {'us/file':>8}")
    results = []
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / "mirror"
            # In a process of its own: a child's peak memory counts from its parent's.
            subprocess.run([sys.executable, __file__, "--fill", str(root), str(size)], check=True)
            for name, arguments in COMMANDS.items():
                runs = [measure(root, arguments) for _ in range(REPEATS)]
                seconds = [run[0] for run in runs]
                row = {
                    "files": size,
                    "command": name,
                    "median_s": round(statistics.median(seconds), 3),
                    "spread_s": round(max(seconds) - min(seconds), 3),
                    "peak_mib": round(max(r[1] for r in runs), 1),
                }
                results.append(row)
                print(
                    f"{size:>8} {name:<8} {row['median_s']:>9} {row['spread_s']:>9} {row['peak_mib']:>9} "
                    f"{row['median_s'] / size * 1e6:>8.1f}"
                )
    print(json.dumps(results))


if __name__ == "__main__":
    main()
