"""A mirror of many files of every kind on several hosts, for tests of whole pulls under stress."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mirror.api import Mirror
from mirror.upstream.objects import Validators
from mirror.upstream.server import Server
from mirror.upstream.world import World
from tests.catalogs import catalog, file, http, hub, model
from tests.faults.pulling import MIB, assert_mirror_sound, assert_nothing_left, noise, place_mirror, sha256

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mirror.upstream.journal import Exchange

COMMIT = "30b0a37ccaaa32f332884b96992754e246e48c5f"


@dataclass(frozen=True, slots=True)
class Fleet:
    """A mirror folder, its upstream, and what every file must be.

    Attributes:
        truth: Bytes of every file, by artifact and path.
        resumable: Names, on the wire, of large files whose bytes of two requests may be joined.
    """

    root: Path
    server: Server
    truth: dict[str, bytes]
    resumable: tuple[str, ...]

    @property
    def environ(self) -> dict[str, str]:
        """The environment of a pull."""
        return {"HF_ENDPOINT": self.server.url("hub")}

    @property
    def mirror(self) -> Mirror:
        """The mirror, newly opened as another process would."""
        return Mirror.open(self.root, environ=self.environ)

    def slow_down(self, rate: float) -> None:
        """Let every body drip at so many bytes a second from now on; 0 is at full speed."""
        self.server.faults.clear()
        if rate:
            self.server.faults.add("*", [{"fault": "slow_drip", "rate": rate, "times": "always"}])

    def assert_sound(self) -> None:
        """Nothing wrong is visible, whatever is missing."""
        assert_mirror_sound(self.mirror, {name: (data,) for name, data in self.truth.items()})

    def assert_complete(self) -> None:
        """Everything is held and right, nothing is left of the work, and every blob reads as it should."""
        self.assert_sound()
        held = {
            f"{state.artifact}/{state.path}": state.sha256 for state in self.mirror.files() if state.state == "held"
        }
        assert held == {name: sha256(data) for name, data in self.truth.items()}
        mirror = self.mirror
        mirror.run_gc(mirror.plan_gc())
        assert_nothing_left(mirror)
        assert {blob.sha256 for blob in mirror.store.iter_blobs()} == set(held.values())
        assert {one.verdict.status.value for one in mirror.verify()} == {"intact"}

    def bodies(self, name: str) -> list[Exchange]:
        """Return the exchanges that gave bytes of addresses that end with ``name``."""
        found = [one for one in self.server.requests() if one.status in {200, 206} and "/api/" not in one.path]
        return [one for one in found if one.path.endswith(name) or name in one.query]

    def sent(self, name: str) -> int:
        """Return the bytes that went over the wire for them."""
        return sum(one.sent for one in self.bodies(name))

    def kept(self, name: str) -> int:
        """Return the bytes that are here of a large file, whatever became of the process that fetched them."""
        (data,) = (data for path, data in self.truth.items() if path.endswith(f"/{name}"))
        if self.mirror.store.find(sha256(data)) is not None:
            return len(data)
        partials = {read_json(one.path / "journal.json").get("url"): one for one in self.mirror.store.iter_partials()}
        return sum(one.held for url, one in partials.items() if url and name in url)


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; an empty one when there is none."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def zipped(seed: int) -> bytes:
    """Return an archive of a few members."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number in range(4):
            archive.writestr(zipfile.ZipInfo(f"bert_model.{number}"), noise(400_000, seed * 10 + number))
    return out.getvalue()


@contextlib.contextmanager
def sailing(root: Path, *, copies: int = 2, parts: int = 10) -> Iterator[Fleet]:
    """Run the upstream and make the mirror.

    Args:
        root: The mirror's folder.
        copies: Models; each has a repository, an archive and a file on a host that says nothing.
        parts: Small files of every repository, beside the one that is the same everywhere.
    """
    world, models = World(), []
    truth: dict[str, bytes] = {}
    resumable: list[str] = []
    with Server(world) as server:
        for number in range(copies):
            name = f"bert-{number}"
            repo = {f"part-{part}.json": noise(20_000 * part + number, part) for part in range(parts)}
            repo["config.json"] = b'{"model_type": "bert"}\n'  # the same in every repository
            repo[f"model-{number}.safetensors"] = noise(2 * MIB + 77, 1000 + number)
            repo["shared.safetensors"] = noise(MIB + 5555, 999)
            for path, data in repo.items():
                world.add_hub_file(f"owner/{name}", COMMIT, path, data)
                truth[f"{name}@huggingface/{path}"] = data
            archive = zipped(number)
            world.add_object("google", f"/bert/{name}.zip", archive)
            truth[f"{name}@google/{name}.zip"] = archive
            silent = noise(MIB + 999 + number, 2000 + number)
            world.add_object("plain", f"/{name}/silent.bin", silent, validators=Validators.NONE)
            truth[f"{name}@silent/silent.bin"] = silent
            resumable += [f"model-{number}.safetensors", f"{name}.zip"]
            zip_file = file(f"{name}.zip", server.url("google", f"/bert/{name}.zip"))
            silent_file = file("silent.bin", server.url("plain", f"/{name}/silent.bin"), size=len(silent))
            models.append(
                model(
                    name,
                    hub(f"owner/{name}", revision=COMMIT, revision_provenance=["named"]),
                    http(zip_file),
                    http(silent_file, id="silent"),
                )
            )
        place_mirror(root, json.dumps(catalog(*models)))
        yield Fleet(root, server, truth, tuple(resumable))
