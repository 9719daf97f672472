"""How long the ledger takes to record files: ``python benchmarks/ledger.py``.

One file is three rows: its event, its row in ``files`` and its row in ``blobs``. The details
are a Hub repository's: of nine files, five small ones with one hop and a git blob id, four
large ones with a redirect to a CDN. Listing comes first, as in a pull, and is shown apart.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import platform
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mirror.ledger import Ledger
from mirror.model import Event

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

REVISION = "30b0a37ccaaa32f332884b96992754e246e48c5f"
PER_REPOSITORY = 9
SMALL = 5
ROWS_PER_FILE = 3


def headers(number: int, digest: str, size: int) -> list[list[str]]:
    return [
        ["content-length", str(size)],
        ["content-type", "text/plain; charset=utf-8"],
        ["date", "Mon, 06 Jan 2025 10:00:00 GMT"],
        ["etag", f'"{digest}"'],
        ["x-repo-commit", REVISION],
    ]


def stored(number: int) -> Event:
    """Return the event of one file that came from the Hub."""
    repository, place = divmod(number, PER_REPOSITORY)
    artifact, path = f"bert-{repository:06d}@huggingface", f"file-{place}.bin"
    sha256 = hashlib.sha256(str(number).encode()).hexdigest()
    small = place < SMALL
    strong = sha256[:40] if small else sha256
    size = 600 + number if small else 17_756_393 + number
    url = f"https://huggingface.co/google/bert-{repository:06d}/resolve/{REVISION}/{path}"
    hops: list[dict[str, Any]] = [{"url": url, "status": 200, "headers": headers(number, strong, size)}]
    if not small:
        cdn = f"https://cdn-lfs.huggingface.co/repos/{sha256[:2]}/{sha256[2:4]}/{sha256}"
        hops = [
            {"url": url, "status": 302, "headers": [["location", cdn], ["x-linked-size", str(size)]]},
            {"url": cdn, "status": 206, "headers": headers(number, strong, size)},
        ]
    algorithm = "git-sha1" if small else "sha256"
    claim = {"digest": f"{algorithm}:{strong}", "authority": "publisher", "where": "huggingface.co API", "secure": True}
    detail = {
        "artifact": artifact,
        "path": path,
        "sha256": sha256,
        "size": size,
        "level": "attested",
        "digests": {"sha256": sha256, **({"git-sha1": strong} if small else {})},
        "url": hops[-1]["url"],
        "hops": hops,
        "validator": {"etag": f'"{strong}"', "last_modified": None},
        "agreeing": [claim],
        "bytes": size,
        "seconds": 0.0123,
        "attempts": [],
        "blocks": None if small else base64.b64encode(bytes.fromhex(sha256) * 2 + b"\0\0\0\0").decode(),
        "how": "fetched",
    }
    return Event("stored", f"{artifact}/{path}", detail)


def listings(events: Sequence[Event]) -> Iterator[Event]:
    """Yield the event that lists each repository whose files ``events`` store."""
    for start in range(0, len(events), PER_REPOSITORY):
        details = [event.detail for event in events[start : start + PER_REPOSITORY]]
        artifact = details[0]["artifact"]
        files = [
            {"path": d["path"], "size": d["size"], "urls": [d["url"]], "revision": REVISION, "claims": d["agreeing"]}
            for d in details
        ]
        detail = {"artifact": artifact, "revision": REVISION, "narrowed": None, "source": "https://huggingface.co"}
        yield Event("listed", artifact, {**detail, "files": files})


def record(ledger: Ledger, events: Sequence[Event], batch: int) -> list[float]:
    """Record ``events`` in batches and return the seconds that each took."""
    seconds = []
    for start in range(0, len(events), batch):
        begin = time.perf_counter()
        ledger.record(events[start : start + batch])
        seconds.append(time.perf_counter() - begin)
    return seconds


def run(folder: Path, files: Sequence[Event], batch: int) -> dict[str, float]:
    """Fill one ledger, ask it, and return µs per file by what was done."""
    path = folder / "ledger.db"
    listed = list(listings(files))
    seconds = {}
    with Ledger.open(path, tool="benchmark", now=lambda: datetime.now(UTC)) as ledger:
        seconds["list"] = sum(record(ledger, listed, max(1, batch // PER_REPOSITORY)))
        spent = time.process_time()
        batches = record(ledger, files, batch)
        seconds["store, processor time"] = time.process_time() - spent
        # Every seventh batch or so waits until the disk has the log: in the sum, not in the median.
        seconds["store"] = sum(batches)
        seconds["store, median batch"] = statistics.median(batches) * len(batches)
        begin = time.perf_counter()
    seconds["close"] = time.perf_counter() - begin
    with Ledger.reader(path) as reader:
        begin = time.perf_counter()
        held = sum(file.state == "held" for one in reader.holdings([e.subject for e in listed]) for file in one.files)
        seconds["ask for holdings"] = time.perf_counter() - begin
        if held != len(files):
            sys.exit(f"{held} of {len(files)} files are held")
        begin = time.perf_counter()
        reader.verify()
        seconds["verify"] = time.perf_counter() - begin
    return {name: value * 1e6 / len(files) for name, value in seconds.items()}


def show(name: str, values: list[float], rows: int = 1) -> None:
    values = sorted(value / rows for value in values)
    print(f"{name:<32} median {statistics.median(values):6.2f} µs   {values[0]:.2f} to {values[-1]:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--dir", type=Path, default=None, help="where the ledgers are made and removed")
    options = parser.parse_args()
    print(f"{platform.platform()}, {os.cpu_count()} cpus, Python {platform.python_version()},", end=" ")
    print(
        f"SQLite {sqlite3.sqlite_version}; {options.files} files, batches of {options.batch}, {options.repeats} repeats"
    )
    files = [stored(number) for number in range(options.files)]
    results = []
    for _ in range(options.repeats):
        folder = Path(tempfile.mkdtemp(dir=options.dir))
        try:
            results.append(run(folder, files, options.batch))
        finally:
            shutil.rmtree(folder)
    for name in (name for name in results[0] if name.startswith("store")):
        show(f"{name}, per row", [result[name] for result in results], ROWS_PER_FILE)
    for name in results[0]:
        show(f"{name}, per file", [result[name] for result in results])


if __name__ == "__main__":
    main()
