"""How fast a pull is: `python benchmarks/pull.py [CASE...]`.

All sides of a case run as whole processes against one local nginx, interleaved, in a
fresh directory each; the median counts. Our side is the installed command line in a
fresh mirror. Prints a table for every case and, last, one JSON line.

Cases: big small latency models capped noop help resume
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import peers
from peers import Served, World

if TYPE_CHECKING:
    from collections.abc import Callable

BIG = 440_000_000
ROOT = str(Path(__file__).resolve().parents[1])
#: Sizes of a miniature's files; 24 of them make about 700 MB.
MODEL = {
    "config.json": 600,
    "vocab.txt": 231_508,
    "tokenizer.json": 466_062,
    "model.safetensors": 14_000_000,
    "pytorch_model.bin": 14_500_000,
}


@dataclass
class Side:
    """One way to do the case's work.

    Attributes:
        name: For the table.
        command: Given a fresh directory, the commands to run one after the other.
        environment: Given the same, their environment.
    """

    name: str
    command: Callable[[Path], list[list[str]]]
    environment: Callable[[Path], dict[str, str]] = lambda folder: {**os.environ, "PYTHONPATH": ROOT}


@dataclass
class Case:
    """What is measured, and against whom.

    Attributes:
        title: For the table.
        sides: Ours first; the table's factors are ours against each.
        prepare: Called once with each fresh directory before the clock starts.
        many: Whether the files are many and small: they are removed when the case is over, since creating a
            file soon after thousands were deleted takes ext4 many times as long.
    """

    title: str
    sides: list[Side]
    prepare: Callable[[Side, Path], None] = lambda side, folder: None
    notes: dict[str, Any] = field(default_factory=dict)
    many: bool = False


def run(side: Side, folder: Path) -> tuple[float, float]:
    """Run one side; return wall seconds and peak memory in MiB."""
    commands, environment = side.command(folder), side.environment(folder)
    os.sync()
    # The host of a virtual machine takes back what the last run freed, and whoever comes next pays for
    # its return: up to twice the wall time of a large file. So it is fetched before the clock starts.
    subprocess.run([sys.executable, "-c", "bytearray(b'x') * (1 << 30)"], check=True)
    peak, seconds = 0.0, 0.0
    for command in commands:
        begin = time.perf_counter()
        child = os.posix_spawn(
            command[0],
            command,
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_OPEN, 2, str(folder / "stderr"), os.O_WRONLY | os.O_CREAT, 0o600),
            ],
        )
        _, status, usage = os.wait4(child, 0)
        seconds += time.perf_counter() - begin
        peak = max(peak, usage.ru_maxrss / 1024)
        if status:
            sys.exit(f"{side.name}: {' '.join(command)[:200]} failed: {(folder / 'stderr').read_text()[-800:]}")
    return seconds, peak


def measure(name: str, case: Case, root: Path, repeats: int) -> dict[str, Any]:
    """Run all sides of a case in turns and print the table."""
    seconds: dict[str, list[float]] = {side.name: [] for side in case.sides}
    peaks: dict[str, list[float]] = {side.name: [] for side in case.sides}
    for turn in range(repeats):
        order = case.sides[turn % len(case.sides) :] + case.sides[: turn % len(case.sides)]
        for side in order:
            folder = root / "runs" / f"{turn}-{side.name.replace(' ', '_').replace('/', '_')}"
            folder.mkdir(parents=True)
            case.prepare(side, folder)
            took, peak = run(side, folder)
            seconds[side.name].append(took)
            peaks[side.name].append(peak)
            if not case.many:
                shutil.rmtree(folder)
    shutil.rmtree(root / "runs")
    mine = statistics.median(seconds[case.sides[0].name])
    print(f"\n{name}: {case.title}")
    print(f"  {'side':<34} {'median s':>9} {'min':>8} {'max':>8} {'peak MiB':>9} {'ours / it':>9}")
    rows = []
    for side in case.sides:
        median = statistics.median(seconds[side.name])
        low, high = min(seconds[side.name]), max(seconds[side.name])
        peak = max(peaks[side.name])
        print(
            f"  {side.name:<34} {median:>9.3f} {low:>8.3f} {high:>8.3f} {peak:>9.1f} {mine / median:>9.2f}", flush=True
        )
        rows.append({"side": side.name, "median_s": median, "min_s": low, "max_s": high, "peak_mib": peak})
    for key, value in case.notes.items():
        print(f"  {key}: {value}")
    return {"case": name, "title": case.title, "rows": rows, "notes": case.notes}


# --- the cases ---


def pulled(
    world: World, files: list[Served], *, prefix: str = "", base: str | None = None, extra: tuple[str, ...] = ()
) -> Side:
    """Return our side: a fresh mirror of ``files``, hashed against their pins."""

    def command(folder: Path) -> list[list[str]]:
        artifacts: dict[str, list[tuple[str, str, int, str | None]]] = {}
        for file in files:
            url = f"{base}/{file.repo}/{file.path}" if base else world.address(file, prefix)
            name = file.repo.replace("/", "-")
            artifacts.setdefault(name, []).append((file.path, url, file.size, file.sha256))
        return [[*peers.mirror_of(folder / "mirror", artifacts), "pull", "--all", "--quiet", "--no-verify", *extra]]

    return Side("minibert-mirror pull", command)


def curls(name: str, urls: list[str], *options: str) -> Side:
    curl = str(peers.tool("curl"))
    return Side(name, lambda folder: [[curl, *options, *peers.curl_config(folder / "out", urls)]])


def loop(urls: list[str]) -> Side:
    def command(folder: Path) -> list[list[str]]:
        (folder / "out").mkdir()
        (folder / "urls").write_text("\n".join(urls))
        path = peers.script(folder, "loop.py", peers.HTTPX_LOOP)
        return [[sys.executable, path, str(folder / "out"), str(folder / "urls")]]

    return Side("httpx2 loop with sha256", command)


def hf_download(world: World, repo: str, *, verify: bool = False) -> Side:
    hf = str(peers.tool("hf"))

    def command(folder: Path) -> list[list[str]]:
        download = [hf, "download", repo]
        return [download, [hf, "cache", "verify", repo]] if verify else [download]

    name = "hf download + hf cache verify" if verify else "hf download"
    return Side(name, command, lambda folder: peers.hub_environment(world, folder / "hf"))


def aria(url: str, sha256: str) -> Side:
    aria2c = str(peers.tool("aria2c"))

    def command(folder: Path) -> list[list[str]]:
        return [[aria2c, "-q", "-x8", "-d", str(folder), "-o", "out", f"--checksum=sha-256={sha256}", url]]

    return Side("aria2c -x8 --checksum", command)


def big(world: World, root: Path) -> Case:
    (file,) = world.add("bench/big", {"model.safetensors": BIG})
    url, curl = world.address(file), str(peers.tool("curl"))
    plain = Side("curl -o (no hash)", lambda folder: [[curl, "-s", "-o", str(folder / "out"), url]])
    hashed = Side(
        "curl -o; openssl dgst",
        lambda folder: [
            [curl, "-s", "-o", str(folder / "out"), url],
            [str(peers.tool("openssl")), "dgst", "-sha256", str(folder / "out")],
        ],
    )
    sides = [pulled(world, [file]), plain, hashed, aria(url, file.sha256), loop([url])]
    sides += [hf_download(world, "bench/big"), hf_download(world, "bench/big", verify=True)]
    return Case("one file of 440 MB with its sha256, fresh", sides)


def small(world: World, root: Path) -> Case:
    files = world.add("bench/small", {f"f{number:04}.json": 4096 for number in range(2000)})
    urls = [world.address(file) for file in files]
    sides = [pulled(world, files), curls("curl -K keep-alive (no hash)", urls), loop(urls)]
    return Case("2000 files of 4 KB", [*sides, hf_download(world, "bench/small")], many=True)


def latency(world: World, root: Path) -> Case:
    files = world.add("bench/far", {f"f{number:03}.json": 4096 for number in range(300)})
    base = str(world.root / "delayed-url")
    address = Path(base).read_text()
    urls = [f"{address}/{file.repo}/{file.path}" for file in files]
    sides = [pulled(world, files, base=address), curls("curl -Z", urls, "-Z"), curls("curl -K", urls)]
    return Case("300 files of 4 KB, 20 ms until each answer", sides, many=True)


def models(world: World, root: Path) -> Case:
    repos = [f"bench/model-{number:02}" for number in range(24)]
    files = [file for repo in repos for file in world.add(repo, MODEL)]
    urls = [world.address(file) for file in files]

    def snapshots(folder: Path) -> list[list[str]]:
        path = peers.script(folder, "snapshots.py", peers.SNAPSHOTS)
        return [[sys.executable, path, str(folder / "cache"), *repos]]

    hub = Side("snapshot_download, one process", snapshots, lambda folder: peers.hub_environment(world, folder / "hf"))
    total = sum(file.size for file in files) // 1_000_000
    return Case(
        f"24 models of 5 files, {total} MB, hashed", [pulled(world, files), curls("curl -K (no hash)", urls), hub]
    )


def capped(world: World, root: Path) -> Case:
    (file,) = world.add("bench/capped", {"model.safetensors": 49_000_000})
    url = world.address(file, "/capped")
    aria2c = aria(url, file.sha256)
    return Case(
        "one file of 49 MB, each connection capped at 40 MB/s",
        [pulled(world, [file], prefix="/capped"), curls("curl -K, one connection", [url]), aria2c],
    )


def noop(world: World, root: Path) -> Case:
    repos = [f"bench/held-{number:02}" for number in range(48)]
    sizes = {name: min(size, 20_000) for name, size in MODEL.items()}
    files = [file for repo in repos for file in world.add(repo, sizes)]
    held = pulled(world, files)
    place = root / "held"
    (first,) = held.command(place)
    subprocess.run(first, check=True, stdout=subprocess.DEVNULL, env=held.environment(place))
    warm = hf_download(world, repos[0])
    environment = peers.hub_environment(world, root / "warm")
    subprocess.run(warm.command(root)[0], check=True, env=environment, stdout=subprocess.DEVNULL)
    sides = [
        Side(held.name, lambda folder: [first]),
        Side("hf download, warm, one repository", warm.command, lambda folder: environment),
    ]
    return Case("nothing to do: 48 models held", sides)


def helping(world: World, root: Path) -> Case:
    sides = [
        Side("minibert-mirror --help", lambda folder: [[*peers.ours(), "--help"]]),
        Side("python -c 'import click'", lambda folder: [[sys.executable, "-c", "import click"]]),
        Side("hf --help", lambda folder: [[str(peers.tool("hf")), "--help"]]),
    ]
    return Case("--help", sides)


#: Hashes what a partial holds as a resumed transfer does, and prints bytes a second.
REHASH = """
import sys, time
from pathlib import Path
from mirror.transfer.hashing import Hashing
path = Path(sys.argv[1])
size = path.stat().st_size
best = 0.0
for _ in range(3):
    begin = time.perf_counter()
    hashing = Hashing(path, {"sha256"}, size=size)
    hashing.follow(size)
    hashing.finish(size)
    best = max(best, size / (time.perf_counter() - begin))
print(best)
"""


#: Leaves a partial with the first bytes of a file, as a pull that was killed does.
HOLD = """
import sys
from pathlib import Path
from mirror.model import Authority, Claim, Digest, RemoteFile
from mirror.store import Store
from mirror.transfer import key_of
cache, half, url, size, sha256, path = sys.argv[1:]
promise = Claim(Digest("sha256", sha256), Authority.CATALOG, "benchmark")
with Store(Path(cache)).partial(key_of(RemoteFile("m@http", path, (url,), int(size), (promise,)))) as partial:
    partial.restart(int(size))
    with open(half, "rb") as source:
        while piece := source.read(1 << 20):
            partial.write(0, source.tell() - len(piece), piece)
"""


def resume(world: World, root: Path) -> Case:
    (file,) = world.add("bench/half", {"model.safetensors": BIG})
    url, curl = world.address(file), str(peers.tool("curl"))
    half = root / "half"
    shutil.copyfile(root / "hub" / file.repo / file.path, half)
    os.truncate(half, BIG // 2)

    def prepare(side: Side, folder: Path) -> None:
        shutil.copyfile(half, folder / "out")
        words = [str(folder / "mirror" / "cache"), str(half), url, str(file.size), file.sha256, file.path]
        subprocess.run([sys.executable, "-c", HOLD, *words], check=True, env=side.environment(folder))

    done = subprocess.run(
        [sys.executable, "-c", REHASH, str(half)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ROOT},
    )
    speed = subprocess.run(
        [str(peers.tool("openssl")), "speed", "-seconds", "1", "-bytes", "524288", "sha256"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()[-1]
    notes = {
        "re-hash of the prefix, GB/s": round(float(done.stdout) / 1e9, 2),
        "openssl speed sha256, GB/s": round(float(speed.rstrip("k")) / 1e6, 2),
    }
    sides = [
        Side("minibert-mirror pull, resumed", pulled(world, [file]).command),
        Side("curl -C - (no hash)", lambda folder: [[curl, "-s", "-C", "-", "-o", str(folder / "out"), url]]),
    ]
    return Case("the second half of 440 MB", sides, prepare, notes)


CASES: dict[str, Callable[[World, Path], Case]] = {
    "big": big, "small": small, "latency": latency, "models": models,
    "capped": capped, "noop": noop, "help": helping, "resume": resume,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {' '.join(CASES)}; all by default")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--dir", type=Path, default=None, help="where everything is made and removed")
    options = parser.parse_args()
    names = options.cases or list(CASES)
    if unknown := set(names) - set(CASES):
        parser.error(f"no case {', '.join(sorted(unknown))}")
    machine = f"{platform.platform()}, {os.cpu_count()} cores, {options.repeats} repeats"
    versions = peers.versions()
    print(machine)
    print("; ".join(f"{name} {version}" for name, version in versions.items()))
    compileall.compile_dir(f"{ROOT}/mirror", quiet=2)  # as an installation does
    root = Path(tempfile.mkdtemp(prefix="pull-benchmark-", dir=options.dir))
    root.chmod(0o755)  # nginx reads it as another user when it is started by root
    try:
        with peers.nginx(root) as world, peers.delayed(root / "hub", 0.02) as slow:
            (root / "delayed-url").write_text(slow)
            results = [measure(name, CASES[name](world, root), root, options.repeats) for name in names]
    finally:
        shutil.rmtree(root)
    print(json.dumps({"machine": machine, "versions": versions, "cases": results}))


if __name__ == "__main__":
    main()
