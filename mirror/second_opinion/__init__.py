"""Held weights, loaded and run by ``transformers`` as well: does it find every key, and say what we say?

It works in a process of its own, since torch and numpy in one fight for the cores, on an
export in a folder that is gone afterwards. What it is given was judged before.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mirror.compare.sizes import Sizes
from mirror.errors import DiskFullError, FormatError, IntegrityError, MirrorError, StoreError, UsageError
from mirror.export.hugging_face import architecture
from mirror.export.safetensors import export
from mirror.forward.arithmetic import stated_activation
from mirror.forward.checks import miniature, probe
from mirror.forward.network import run
from mirror.model import Event
from mirror.second_opinion import in_transformers
from mirror.weights import open_best

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Mapping, Sequence

    from mirror.catalog import Artifact
    from mirror.forward.network import Outputs
    from mirror.prove import Shelf
    from mirror.weights import Opened

#: How near two libraries must come: sums of single precision in another order differ by 1e-5.
NEAR = 1e-4
_WANTED = ("torch", "transformers")
_CONFIG = "config.json"


class Opinion(NamedTuple):
    """What ``transformers`` made of one weight file.

    Attributes:
        name: Artifact and file.
        blob: sha256 of the file that has the weights.
        tool: Who was asked, with its version.
        keys: Names of tensors by what is the matter with them: ``missing``, ``unexpected``, ``mismatched``.
        off: The largest difference of each output, by its name.
        error: Why it did not come to an answer; empty when it did.
    """

    name: str
    blob: str
    tool: str
    keys: Mapping[str, Sequence[str]]
    off: Mapping[str, float]
    error: str = ""

    @property
    def agrees(self) -> bool:
        """Whether every key was found, none was left, and every output is as near as can be."""
        near = bool(self.off) and all(value <= NEAR for value in self.off.values())
        return near and not self.error and not any(self.keys.values())

    def __str__(self) -> str:
        """What came of it, in a line."""
        if self.error:
            return f"{self.tool} could not be compared: {self.error}"
        keys = [f"{len(names)} keys {kind}: {', '.join(names[:3])}" for kind, names in self.keys.items() if names]
        off = f"outputs within {max(self.off.values()):.1e}"
        return f"{self.tool} {'agrees' if self.agrees else 'does not agree'}: {'; '.join([*keys, off])}"


def require() -> None:
    """Look whether torch and transformers are here, without importing them.

    Raises:
        UsageError: One of them is not.
    """
    absent = [name for name in _WANTED if find_spec(name) is None]
    if absent:
        raise UsageError(
            f"{' and '.join(absent)} {'is' if len(absent) == 1 else 'are'} not installed",
            hint="pip install 'minibert-mirror[transformers]'",
        )


def second_opinions(shelf: Shelf, artifacts: Sequence[Artifact], stop: threading.Event) -> Iterator[Opinion]:
    """Yield what ``transformers`` makes of the best weights that are held of each artifact, and record it.

    Artifacts without sound weights of a family that is known, or with files that cannot be read, are left out:
    ``judge_round`` says what is wrong with them.

    Raises:
        UsageError: torch or transformers is not installed, or does not start.
        DiskFullError: There is no room for the export.
        LedgerError: What came of it cannot be recorded.
    """
    require()
    events: list[Event] = []
    try:
        with _asking() as ask:
            for artifact in artifacts:
                if stop.is_set():
                    return
                opened = _opened(shelf, artifact)
                if opened is None:
                    continue
                opinion = _opinion(opened, ask)
                events.append(_event(opinion))
                yield opinion
    finally:
        if shelf.open_ledger is not None and events:
            with shelf.open_ledger() as ledger:
                ledger.record(events)


def _opened(shelf: Shelf, artifact: Artifact) -> Opened | None:
    try:
        opened = open_best(shelf.reader, shelf.store, [artifact], shelf.scratch)
    except (IntegrityError, UsageError):
        return None
    except StoreError as error:
        if isinstance(error, DiskFullError):
            raise
        return None
    return opened if opened.tensors.family else None


def _opinion(opened: Opened, ask: _Asking) -> Opinion:
    """Export the weights, have them loaded and run, and compare with what we say."""
    proof, tensors = opened.proof, opened.tensors
    with tempfile.TemporaryDirectory(prefix="minibert-mirror-") as name:
        folder = Path(name)
        keys: dict[str, list[str]] = {}
        try:
            done = export(opened, folder)
            if _CONFIG not in done.beside:
                raise FormatError("no configuration says its sizes")
            ids, ours = _ours(opened, folder)
            keys = ask(folder, architecture(tensors), ids)
            off = _compared(ours, folder / in_transformers.OUTPUTS)
        except MirrorError as error:
            return Opinion(proof.name, proof.loaded.weights.blob, ask.tool, keys, {}, str(error))
    return Opinion(proof.name, proof.loaded.weights.blob, ask.tool, keys, off)


def _ours(opened: Opened, folder: Path) -> tuple[list[int], Outputs]:
    """Return the input, and what our own pass says to it with the configuration that was exported."""
    config = json.loads((folder / _CONFIG).read_bytes())
    family = opened.tensors.family
    sizes = miniature(Sizes.of(config, family))
    ids = probe(sizes)
    activation = stated_activation(config, family)
    eps = config.get("layer_norm_eps", 1e-12)
    found = run(family, sizes, opened.tensors.tensors, ids, activation=activation, eps=eps)
    return ids[0].tolist(), found


def _compared(ours: Outputs, theirs: Path) -> dict[str, float]:
    """Return the largest difference of each output that both have.

    Raises:
        FormatError: An output has another shape, or is no number.
    """
    mine = {"hidden": ours.hidden[-1], "pooler": ours.pooled, "mlm": ours.mlm, "nsp": ours.nsp}
    off = {}
    with np.load(theirs, allow_pickle=False) as found:
        for name in found.files:
            one = mine[name]
            if one is None:
                continue
            if one.shape != found[name].shape or not np.isfinite(found[name]).all():
                raise FormatError(f"its output of {name} is of another shape, or no number")
            off[name] = float(np.abs(one - found[name]).max())
    return off


class _Asking:
    """The other process, between one question and the next."""

    def __init__(self, process: subprocess.Popen[str], said: IO[str]) -> None:
        self._process = process
        self._said = said
        self.tool = f"transformers {self._answer()['version']}"

    def __call__(self, folder: Path, kind: str, ids: Sequence[int]) -> dict[str, list[str]]:
        """Have one model loaded and run; return what was the matter with its keys.

        Raises:
            FormatError: It would not.
        """
        assert self._process.stdin is not None
        print(json.dumps({"folder": str(folder), "kind": kind, "ids": ids}), file=self._process.stdin, flush=True)
        found = self._answer()
        if "error" in found:
            raise FormatError(found["error"])
        return found

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._said.seek(0)
            last = self._said.read().strip().splitlines()[-1:] or ["it said nothing"]
            raise UsageError(f"transformers did not start, or ended: {last[0]}", hint="is it whole? `pip check`")
        return dict(json.loads(line))


@contextmanager
def _asking() -> Iterator[_Asking]:
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
        process = subprocess.Popen(  # noqa: S603 - our own program
            # -P: a torch.py in the working directory must not be taken for the library.
            [sys.executable, "-P", in_transformers.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        )
        try:
            yield _Asking(process, said)
        finally:
            process.kill()
            process.communicate()


def _event(opinion: Opinion) -> Event:
    detail = opinion._asdict()
    sha256 = detail.pop("blob")
    return Event("opinion", f"sha256:{sha256}", {"sha256": sha256, "agrees": opinion.agrees, **detail})
