"""A process of its own that works in a store on command, so that it can be killed or raced with."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from mirror.errors import BusyError
from mirror.store import Partial, Store, partial_key

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT = Path(__file__).parents[1]


def pattern(size: int, seed: int = 7) -> bytes:
    """Return bytes in which no two neighbourhoods are alike, the same in every process."""
    return random.Random(seed).randbytes(size)


class Worker:
    """The process; one command a line in, one answer a line out."""

    def __init__(self, root: Path) -> None:
        command = [sys.executable, "-m", "tests.store_process", str(root)]
        self.process = subprocess.Popen(
            command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def send(self, *words: object) -> None:
        assert self.process.stdin is not None
        print(*words, file=self.process.stdin, flush=True)

    def answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ask(self, *words: object) -> str:
        self.send(*words)
        return self.answer()

    def kill(self) -> None:
        """End it as a power cut would: no handler, no cleanup."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue


@contextmanager
def two_workers(root: Path) -> Iterator[tuple[Worker, Worker]]:
    """Two processes, both ready."""
    with Worker(root) as one, Worker(root) as two:
        assert {one.ask("hello"), two.ask("hello")} == {"hello"}
        yield one, two


def main() -> None:
    """Obey until the input ends."""
    store = Store(Path(sys.argv[1]))
    held: dict[str, Partial] = {}
    for line in sys.stdin:
        match line.split():
            case ["take", key, moment]:  # at a moment of the clock that all processes share
                while time.monotonic() < float(moment):
                    pass
                try:
                    held[key] = store.partial(key)
                    print("won", held[key].contiguous, flush=True)
                except BusyError:
                    print("busy", flush=True)
            case ["pour", key, size]:  # says so after the first piece, and goes on until it is killed or done
                partial, data = held[key], pattern(int(size))
                partial.restart(len(data))
                for offset in range(0, len(data), 4096):
                    partial.write(0, offset, data[offset : offset + 4096])
                    if offset == 0:
                        print("pouring", flush=True)
                print("poured", flush=True)
            case ["commit", key, sha256]:
                held[key].commit(sha256)
                print("committed", flush=True)
            case ["forget", key]:
                held.pop(key).forget()
                print("forgotten", flush=True)
            case ["publish", *names]:
                store.publish((name, name.encode()) for name in names)
                print("published", flush=True)
            case ["storm", seconds, size]:
                print(*_storm(store, float(seconds), pattern(int(size))), flush=True)
            case other:
                print(*other, flush=True)


def _storm(store: Store, seconds: float, data: bytes) -> tuple[int, int]:
    """Take, write, commit, forget, release and sweep a few keys in a hurry; count what was won and lost."""
    sha256, won, lost = hashlib.sha256(data).hexdigest(), 0, 0
    dice = random.Random()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            with store.partial(partial_key(str(dice.randrange(3)))) as partial:
                won += 1
                if not partial.spans:
                    partial.restart(len(data))
                at = partial.contiguous
                partial.write(0, at, data[at : at + dice.randrange(1, len(data) // 3)])
                if partial.spans[0].whole:
                    partial.commit(sha256)
                    partial.forget() if dice.random() < 0.9 else partial.release()
        except BusyError:
            lost += 1
        if dice.random() < 0.02:
            store.run_gc(store.plan_gc({sha256}))
    return won, lost


if __name__ == "__main__":
    main()
