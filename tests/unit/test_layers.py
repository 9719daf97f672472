"""Which room may import which: the table of the house, read from the imports themselves."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(__file__).parents[2] / "mirror"

# A room may import the rooms named for it, and nothing else of ours.
VALUES = {"errors", "model", "evidence"}
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "model": set(),
    "evidence": {"model"},
    "digests": {"model"},
    "wire": VALUES,
    "bounds": set(),
    "formats": {"errors", "model", "digests", "bounds"},
    "compare": {"errors", "formats"},
    "forward": {"errors", "formats", "compare"},
    "load": {"errors", "bounds", "formats", "compare", "forward"},
    "promised": {"catalog", "compare", "load"},
    "prove": VALUES | {"promised", "catalog", "store", "ledger", "compare", "forward", "load"},
    "likeness": VALUES | {"catalog", "ledger", "compare"},
    "crosscheck": VALUES
    | {"catalog", "store", "ledger", "formats", "compare", "load", "prove", "likeness", "recheck", "verify"},
    "corroborate": VALUES | {"catalog", "ledger", "likeness"},
    "probe": VALUES | {"catalog", "ledger", "sources"},
    "handoffs": VALUES | {"promised", "catalog", "compare", "corroborate", "ledger", "load", "sources", "probe"},
    "ingest": VALUES
    | {
        "probe",
        "sources",
        "digests",
        "formats",
        "catalog",
        "lock",
        "store",
        "ledger",
        "compare",
        "load",
        "likeness",
        "identify",
        "promised",
        "prove",
    }
    | {"sync", "transfer"},
    "drive": VALUES | {"digests", "stopping", "sources", "store", "ledger", "transfer", "sync", "ingest"},
    "identify": VALUES | {"catalog", "ledger", "formats", "compare", "load", "likeness"},
    "writing": {"errors"},
    "catalog": VALUES | {"writing"},
    "plan": VALUES,
    "place": {"errors"},
    "stopping": set(),
    "interrupt": set(),
    "lock": VALUES | {"writing"},
    "sources": VALUES | {"wire", "bounds"},
    "store": VALUES | {"digests"},
    "ledger": VALUES,
    "transfer": VALUES | {"digests", "stopping", "wire", "sources", "store"},
    "verify": VALUES | {"digests"},
    "recheck": VALUES | {"store", "ledger", "verify"},
    "rounds": VALUES | {"catalog", "store", "ledger", "load", "prove", "recheck", "verify"},
    "tree": VALUES | {"catalog", "store"},
    "explain": VALUES | {"catalog", "ledger", "corroborate"},
    "status": VALUES | {"ledger", "load"},
    "sync": VALUES
    | {"stopping", "digests", "wire", "formats", "catalog", "plan", "lock", "sources", "store", "ledger", "transfer"},
    "weights": VALUES | {"promised", "digests", "formats", "catalog", "store", "ledger", "compare", "load", "prove"},
    "export": VALUES | {"digests", "formats", "compare", "load", "weights", "writing"},
    "second_opinion": VALUES | {"catalog", "compare", "export", "forward", "prove", "weights"},
    "repair": VALUES | {"digests", "stopping", "store", "ledger", "recheck", "sync", "transfer", "verify"},
    "upstream": VALUES | {"digests", "wire"},
    "progress": VALUES | {"sync", "transfer"},
    "doctor": VALUES | {"wire"},
    "api": VALUES
    | {"digests", "stopping", "wire", "formats", "catalog", "plan", "place", "lock", "sources", "store", "ledger"}
    | {"transfer", "sync", "verify", "recheck", "tree", "explain", "status", "doctor", "compare", "load", "prove"}
    | {"crosscheck", "rounds", "identify", "repair", "weights", "export", "second_opinion", "corroborate"}
    | {"handoffs", "ingest", "probe", "drive"},
}
# `cli` is at the end of the way and may know everything; nothing may know `cli` or `upstream`.
THIRD_PARTY: dict[str, set[str]] = {
    "digests": {"google_crc32c", "zlib_ng"},
    "ingest": {"watchdog"},
    "formats": {"google_crc32c", "h5py", "numpy", "zlib_ng"},
    "compare": {"numpy"},
    "forward": {"numpy"},
    "catalog": {"jsonschema"},
    "place": {"platformdirs"},
    "sources": {"httpx2", "huggingface_hub"},
    "ledger": {"sqlite_utils"},
    "probe": {"httpx2"},
    "upstream": {"numpy", "google_crc32c"},
    "progress": {"tqdm"},
    "doctor": {"httpx2"},
    "weights": {"numpy"},
    "second_opinion": {"numpy", "torch", "transformers"},
    "api": {"httpx2", "numpy"},
    "cli": {"click", "segno"},
}
KNOWN_THIRD_PARTY = {
    "click",
    "google_crc32c",
    "h5py",
    "httpx2",
    "huggingface_hub",
    "jsonschema",
    "numpy",
    "platformdirs",
    "segno",
    "sqlite_utils",
    "torch",
    "tqdm",
    "transformers",
    "watchdog",
    "zlib_ng",
}


def room_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            if node.module == "mirror":
                yield from (f"mirror.{alias.name}" for alias in node.names)
            else:
                yield node.module


FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or not path.name.startswith("__"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_room_imports_only_the_rooms_it_may(path: Path) -> None:
    room = room_of(path)
    for name in imports(path):
        top, _, rest = name.partition(".")
        if top == "mirror":
            other = rest.partition(".")[0]
            assert other in {room, "", "__version__"} or room == "cli" or other in MAY_IMPORT[room], (
                f"{room} may not import {other}"
            )
        elif top in KNOWN_THIRD_PARTY:
            assert top in THIRD_PARTY.get(room, set()), f"{room} may not touch {top}"


def test_every_room_is_in_the_table() -> None:
    rooms = {room_of(path) for path in FILES}
    assert rooms - {"cli"} == set(MAY_IMPORT)


def test_nothing_but_the_command_line_knows_the_upstream() -> None:
    assert not any("upstream" in allowed for allowed in MAY_IMPORT.values())


def test_sources_store_and_ledger_do_not_know_each_other() -> None:
    siblings = {"sources", "store", "ledger"}
    assert not any(MAY_IMPORT[room] & siblings for room in siblings)
