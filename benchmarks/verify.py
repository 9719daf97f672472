"""What it costs to load weights: the 24 miniatures at their true sizes, as PyTorch files, in the page cache.

Every side runs as a process of its own with two threads; sides alternate, the median counts.
``--models N`` takes the N smallest. The sides with torch need it, and are left out without it.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from mirror.compare.sizes import Sizes
from mirror.compare.structure import expected
from mirror.digests import digest_file
from mirror.load.judging import judge
from mirror.load.known import Known
from mirror.load.material import HeldFile, beside
from mirror.upstream.containers import torch_zip
from mirror.upstream.containers.tensors import Named

THREADS = 2
SHAPES = sorted(
    ((layers, hidden) for layers in range(2, 13, 2) for hidden in (128, 256, 512, 768)), key=lambda s: s[0] * s[1]
)


def write_models(folder: Path, count: int) -> int:
    """Write the models; return their bytes."""
    block = np.random.default_rng(0).normal(0, 0.05, 1 << 22).astype(np.float32)
    total = 0
    for layers, hidden in SHAPES[:count]:
        sizes = Sizes(layers, hidden, hidden // 64, hidden, 4 * hidden, 30522, 512, 2)
        named = []
        for number, (name, shape) in enumerate(
            expected("bert", sizes, groups=("core", "pooler", "mlm", "nsp")).items()
        ):
            array = np.resize(np.roll(block, number * 4099), shape)
            # Kernels lie as a converter from TensorFlow leaves them.
            turned = array.ndim == 2 and "embeddings" not in name and "relationship" not in name
            named.append(
                Named(
                    name if name.startswith("cls.") else f"bert.{name}", np.asfortranarray(array) if turned else array
                )
            )
        config = {
            "hidden_size": hidden,
            "num_hidden_layers": layers,
            "num_attention_heads": hidden // 64,
            "intermediate_size": 4 * hidden,
            "vocab_size": 30522,
            "max_position_embeddings": 512,
            "type_vocab_size": 2,
        }
        place = folder / f"L-{layers}_H-{hidden}"
        place.mkdir()
        data = torch_zip.write(named)
        (place / "pytorch_model.bin").write_bytes(data)
        (place / "config.json").write_text(json.dumps(config))
        total += len(data)
    return total


def models(folder: Path) -> list[Path]:
    return sorted(folder.iterdir(), key=lambda place: -(place / "pytorch_model.bin").stat().st_size)


def side_sha256(folder: Path) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda place: digest_file(place / "pytorch_model.bin", {"sha256"}), models(folder)))


def side_load(folder: Path) -> None:
    def load(place: Path) -> bool:
        files = [HeldFile(path.name, hashlib.sha256(path.name.encode()).hexdigest(), path) for path in place.iterdir()]
        material = beside(files)
        return all(judge(weights, material.texts, Known("bert"), threads=1).sound for weights in material.weights)

    with ThreadPoolExecutor(THREADS) as pool:
        assert all(pool.map(load, models(folder)))


def side_both(folder: Path) -> None:
    side_sha256(folder)
    side_load(folder)


def with_torch(place: Path) -> bool:
    """Do with torch what a script does that wants to be sure; it checks less than ours."""
    import torch

    state = torch.load(place / "pytorch_model.bin", weights_only=True)
    with (place / "pytorch_model.bin").open("rb") as file:
        hashlib.file_digest(file, "sha256")
    return all(bool(torch.isfinite(tensor).all()) for tensor in state.values())


def side_torch(folder: Path) -> None:
    """One file after the other, as scripts do; torch has both cores for its own work."""
    import torch

    torch.set_num_threads(THREADS)
    assert all(map(with_torch, models(folder)))


def side_torch_threads(folder: Path) -> None:
    """Two files at a time."""
    import torch

    torch.set_num_threads(1)
    with ThreadPoolExecutor(THREADS) as pool:
        assert all(pool.map(with_torch, models(folder)))


SIDES = {
    "sha256": side_sha256,
    "load": side_load,
    "sha256 + load": side_both,
    "torch, a script": side_torch,
    "torch, 2 files": side_torch_threads,
}
ONE_SIDE = """
import resource, sys, time
sys.path[:0] = {paths!r}
import verify
from pathlib import Path
side = verify.SIDES[sys.argv[1]]
begun, before = time.perf_counter(), int(open("/proc/self/statm").read().split()[1])
side(Path(sys.argv[2]))
anonymous = [line for line in open("/proc/self/status") if line.startswith("RssAnon")]
print(time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, anonymous[0].split()[1])
"""


def run(side: str, folder: Path) -> tuple[float, int]:
    """Return seconds, imports left out, and the anonymous memory at the end in KiB."""
    script = ONE_SIDE.format(paths=[str(Path(__file__).parent), str(Path(__file__).parents[1])])
    done = subprocess.run([sys.executable, "-c", script, side, str(folder)], capture_output=True, text=True, check=True)
    seconds, _, anonymous = done.stdout.split()
    return float(seconds), int(anonymous)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--models", type=int, default=24)
    given = parser.parse_args()
    sides = [side for side in SIDES if not side.startswith("torch") or importlib.util.find_spec("torch")]
    with tempfile.TemporaryDirectory(prefix="minibert-bench-") as temporary:
        folder = Path(temporary)
        begun = time.monotonic()
        total = write_models(folder, given.models)
        made = f"{given.models} models, {total / 1e9:.2f} GB, made in {time.monotonic() - begun:.0f} s"
        print(f"{platform.platform()}, {os.cpu_count()} cores; {made}")
        times: dict[str, list[float]] = {side: [] for side in sides}
        anonymous: dict[str, int] = {}
        for repeat in range(given.repeats + 1):  # the first fills the page cache
            for side in sides:
                seconds, memory = run(side, folder)
                if repeat:
                    times[side].append(seconds)
                anonymous[side] = max(memory, anonymous.get(side, 0))
        base = statistics.median(times["sha256"])
        for side in sides:
            median = statistics.median(times[side])
            print(
                f"{side:15} {median:6.2f} s  {median / base:5.2f} x sha256  "
                f"{total / median / 1e9:5.2f} GB/s  anonymous memory at the end {anonymous[side] >> 10} MiB"
            )


if __name__ == "__main__":
    main()
