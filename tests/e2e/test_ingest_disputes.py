"""A person's files against what is known: who is believed, what takes whose place, and what stays as it is."""

from __future__ import annotations

import io
import json
import threading
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mirror.api import Mirror
from mirror.catalog import parse
from mirror.ingest import ingest
from mirror.upstream.containers import safetensors, torch_zip
from mirror.upstream.containers.tensors import Named
from mirror.upstream.stock import share_id
from mirror.upstream.world import World
from tests.command import in_mirror

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from mirror.upstream.server import Server
    from tests.command import Command

pytestmark = pytest.mark.slow  # whole commands, one after the other: seconds each

SHARE = "bert-tiny@baidu-pytorch"


def given(outside: Server, share: str) -> dict[str, bytes]:
    """Return what a share of the outside world gives, by name."""
    assert isinstance(outside.world, World)
    catalog = parse(json.dumps(outside.world.catalog(outside)), where="the upstream's catalog")
    artifact = catalog.by_artifact[share]
    return {name: bytes(one.data) for name, one in outside.world.handoffs[share_id(artifact.url or "")].items()}


def put(folder: Path, files: Mapping[str, bytes]) -> str:
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return str(folder)


@pytest.fixture
def tensors(here: Command, outside: Server, tmp_path: Path) -> dict[str, NDArray[Any]]:
    """The numbers of BERT-Tiny, as a publisher who vouches for them gives them to another mirror."""
    other = in_mirror(here, tmp_path / "elsewhere", outside)
    other("pull", "bert-tiny@google", "--quiet")
    found = Mirror.open(tmp_path / "elsewhere").load("bert-tiny@google")
    return {name: np.array(array) for name, array in found.items()}


@pytest.fixture
def known(here: Command, tensors: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The same, and the mirror holds them."""
    here("pull", "bert-tiny@google", "--quiet")
    return tensors


def written(tensors: Mapping[str, NDArray[Any]], **changes: NDArray[Any]) -> bytes:
    return safetensors.write([Named(name, array) for name, array in {**tensors, **changes}.items()])


def altered(tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return weights of which one number is another."""
    name = max(tensors, key=lambda one: tensors[one].size)
    changed = tensors[name].copy()
    changed.flat[0] += 0.5
    return {**tensors, name: changed}


def padded(data: bytes) -> bytes:
    """Return the same tensors in other bytes: the header may end with blanks."""
    size = int.from_bytes(data[:8], "little")
    return (size + 8).to_bytes(8, "little") + data[8 : 8 + size] + b" " * 8 + data[8 + size :]


def held(here: Command, share: str = SHARE) -> dict[str, str]:
    return {row["path"]: row["sha256"] for row in here("ls", share, "--json").rows if row["state"] == "held"}


def status(here: Command, share: str = SHARE) -> dict[str, Any]:
    (row,) = here("status", share, "--json").rows
    return row


def test_a_share_waits_until_its_weights_are_here(here: Command, outside: Server, tmp_path: Path) -> None:
    files = given(outside, SHARE)
    folder, mirror = put(tmp_path / "whole", files), Mirror.open(tmp_path / "mirror")
    with mirror._rooms() as rooms:
        plan = mirror._look(rooms, (folder,), None)
        plan.takes = [one for one in plan.takes if not one.find.kind]
        assert ingest(plan, rooms, threading.Event()).taken
    assert set(held(here)) == set(files) - {"pytorch_model.bin"}
    (waiting,) = mirror.handoffs(SHARE)
    assert (waiting.is_open, waiting.arrived) == (True, 0)
    assert status(here)["waits"]
    here("handoff", SHARE, "--strict", code=8)
    rows = here("ingest", folder, "--json").rows
    assert {row["path"] for row in rows if row["status"] == "taken"} == set(files)
    here("handoff", SHARE, "--strict")
    assert not status(here)["waits"]


def test_what_stands_beside_weights_does_not_come_without_them(here: Command, outside: Server, tmp_path: Path) -> None:
    folder, mirror = put(tmp_path / "whole", given(outside, SHARE)), Mirror.open(tmp_path / "mirror")
    weights = tmp_path / "whole/pytorch_model.bin"
    with mirror._rooms() as rooms:
        plan = mirror._look(rooms, (folder,), None)
        weights.unlink()
        done = ingest(plan, rooms, threading.Event())
    assert [name for name, _ in done.problems] == [str(weights)]
    assert done.taken == []
    assert held(here) == {}
    here("handoff", SHARE, "--strict", code=8)


def test_a_file_that_is_refused_leaves_what_is_held_as_it_was(
    here: Command, known: dict[str, NDArray[Any]], tmp_path: Path
) -> None:
    here("ingest", put(tmp_path / "good", {"model.safetensors": written(known)}))
    before, said = held(here), status(here)
    chance = np.random.default_rng(0)
    other = {name: chance.normal(size=array.shape).astype(array.dtype) for name, array in known.items()}
    bad = put(tmp_path / "bad", {"a.safetensors": written(other)})
    (row,) = here("ingest", bad, "--as", SHARE, "--json", code=4).rows
    assert (row["status"], row["artifact"]) == ("refused", SHARE)
    again = put(tmp_path / "again", {"a.safetensors": padded(written(known))})
    (row,) = here("ingest", again, "--as", SHARE, "--json", code=4).rows
    assert (row["status"], row["artifact"]) == ("disputed", SHARE)
    assert held(here) == before
    assert status(here) == said
    assert "corroborated by tensors of bert-tiny@google" in said["tensors"][0]
    told = here("why", f"{SHARE}/model.safetensors").out
    assert "ingested from" in told
    assert f"refused {again}/a.safetensors: " in told
    assert "kept in cache/quarantine/" in told


def test_a_second_run_on_a_disputed_file_does_nothing_more(
    here: Command, known: dict[str, NDArray[Any]], tmp_path: Path
) -> None:
    folder = put(tmp_path / "bad", {"a.safetensors": written(altered(known))})
    named = put(tmp_path / "named", {"b.safetensors": padded(written(known))})
    here("ingest", put(tmp_path / "good", {"model.safetensors": written(known)}))
    quarantine, mirror = tmp_path / "mirror/cache/quarantine", Mirror.open(tmp_path / "mirror")
    dry = here("ingest", folder, "--dry-run", code=4)
    assert "quarantine" not in dry.err
    assert not quarantine.exists()
    seen = []
    for _ in range(3):
        assert "a copy of what is disputed is in quarantine" in here("ingest", folder, code=4).err
        here("ingest", named, "--as", SHARE, code=4)
        seen.append((len(list(quarantine.iterdir())), sum(1 for _ in mirror.events())))
    assert seen[0] == seen[1] == seen[2]


@pytest.mark.parametrize("locked", [False, True])
def test_a_copy_that_differs_from_a_publishers_speaks_for_no_other_file(
    here: Command, tensors: dict[str, NDArray[Any]], tmp_path: Path, *, locked: bool
) -> None:
    wrong = altered(tensors)
    here("ingest", put(tmp_path / "first", {"model.safetensors": written(wrong)}))  # by its shape: nothing is known
    here("pull", "bert-tiny@google", "--quiet")
    if locked:  # our own lock is no publisher
        here("lock")
        here("pull", "bert-tiny")
        assert status(here)["levels"] == {"pinned": 1}
    assert "differs from bert-tiny@google" in status(here)["tensors"][0]
    again = put(tmp_path / "again", {"odd.safetensors": written(wrong)})
    # The same tensors in other bytes: nobody's word but Google's counts.
    other = put(tmp_path / "other", {"odd.bin": torch_zip.write([Named(*one) for one in wrong.items()])})
    assert [row["status"] for row in here("ingest", again, "--json").rows] == ["held"]
    (row,) = here("ingest", other, "--json", code=4).rows
    assert row["status"] == "disputed"
    assert "altered: " in row["why"]
    assert "bert-tiny@google" in row["why"]
    (found,) = here("identify", other, "--json").rows
    assert found["likely"] == "partly"


@pytest.mark.parametrize("as_given", [True, False])
def test_good_weights_take_the_place_of_a_copy_that_differs_when_a_person_says_so(
    here: Command, outside: Server, tensors: dict[str, NDArray[Any]], tmp_path: Path, *, as_given: bool
) -> None:
    here("ingest", put(tmp_path / "first", {"model.safetensors": written(altered(tensors))}))  # by its shape
    first = held(here)
    here("pull", "bert-tiny@google", "--quiet")
    assert "differs from bert-tiny@google" in status(here)["tensors"][0]
    files = given(outside, SHARE) if as_given else {"model.safetensors": written(tensors)}
    good = put(tmp_path / "good", files)
    (row,) = (row for row in here("ingest", good, "--json").rows if row["status"] == "held")
    assert f"`ingest --as {SHARE}` puts these in their place" in row["why"]
    assert held(here) == first
    taken = [row for row in here("ingest", good, "--as", SHARE, "--json").rows if row["status"] == "taken"]
    assert {row["path"] for row in taken} == set(files) == set(held(here))
    assert not set(held(here).values()) & set(first.values())
    assert "corroborated by tensors of bert-tiny@google" in status(here)["tensors"][0]
    assert "nothing new to take in" in here("ingest", good, "--as", SHARE).err
    here("ledger", "verify")
    here("verify", SHARE)


def test_a_checkpoint_whose_data_are_cut_is_refused(here: Command, outside: Server, tmp_path: Path) -> None:
    share = given(outside, "bert-tiny@baidu-tensorflow")
    (archive,) = (name for name in share if name.endswith(".zip"))
    with zipfile.ZipFile(io.BytesIO(share[archive])) as packed:
        files = {name.rpartition("/")[2]: packed.read(name) for name in packed.namelist() if not name.endswith("/")}
    (data,) = (name for name in files if ".data-" in name)
    for place, content in {"cut": files[data][:-1000], "long": files[data] + b"more"}.items():
        folder = put(tmp_path / place, {**files, data: content})
        rows = here("ingest", folder, "--json", code=4).rows
        (row,) = (row for row in rows if row["status"] == "refused")
        assert row["name"].endswith(data)
        assert f"{len(content)} bytes, where bert_model.ckpt.index says {len(files[data])}" in row["why"]
    assert held(here, "bert-tiny@baidu-tensorflow") == {}


def test_a_checkpoint_whose_index_is_cut_is_refused(here: Command, outside: Server, tmp_path: Path) -> None:
    share = given(outside, "bert-tiny@baidu-tensorflow")
    (archive,) = (name for name in share if name.endswith(".zip"))
    with zipfile.ZipFile(io.BytesIO(share[archive])) as packed:
        files = {name.rpartition("/")[2]: packed.read(name) for name in packed.namelist() if not name.endswith("/")}
    index = "bert_model.ckpt.index"
    folder = put(tmp_path / "x", {**files, index: files[index][:-10]})
    rows = here("ingest", folder, "--json", code=4).rows
    assert [(row["name"].rpartition("/")[2], row["status"]) for row in rows] == [(index, "refused")]


def test_an_archive_of_which_nothing_is_of_use_is_named(here: Command, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("vocab.txt", "[PAD]")
    empty = io.BytesIO()
    with zipfile.ZipFile(empty, "w"):
        pass
    folder = put(tmp_path / "x", {"a.zip": packed.getvalue(), "b.zip": empty.getvalue()})
    rows = here("ingest", folder, "--json").rows
    assert {(row["name"].rpartition("/")[2], row["status"]) for row in rows} == {
        ("a.zip", "unknown"),
        ("b.zip", "unknown"),
    }


def test_weights_of_another_format_are_not_what_a_person_says(
    here: Command, tensors: dict[str, NDArray[Any]], tmp_path: Path
) -> None:
    folder = put(tmp_path / "x", {"a.safetensors": written(tensors)})
    (row,) = here("ingest", folder, "--as", "bert-tiny@baidu-tensorflow", "--json", code=4).rows
    assert row["status"] == "refused"
    assert "has tensorflow weights, and these are safetensors" in row["why"]


def test_a_text_that_a_person_names_alone_is_told_what_it_belongs_to(
    here: Command, outside: Server, tmp_path: Path
) -> None:
    put(tmp_path / "x", given(outside, SHARE))
    (row,) = here("ingest", str(tmp_path / "x/vocab.txt"), "--json").rows
    assert (row["status"], row["why"]) == (
        "unknown",
        "it comes along with weights, and none are beside it: give the folder that has both",
    )


def test_what_a_person_says_of_an_archive_is_seen_in_it(here: Command, outside: Server, tmp_path: Path) -> None:
    here("pull", "bert-tiny@google", "--quiet")
    assert isinstance(outside.world, World)
    (archive,) = (Mirror.open(tmp_path / "mirror").path("bert-tiny@google")).iterdir()
    folder = put(tmp_path / "x", {"a.zip": archive.read_bytes()})
    for said, why in {
        "bert-mini@baidu-tensorflow": "not BERT-Mini",
        SHARE: "has pytorch weights, and these are tensorflow",
    }.items():
        (row,) = here("ingest", folder, "--as", said, "--json", code=4).rows
        assert (row["status"], why in row["why"]) == ("refused", True), row
        assert held(here, said) == {}
    rows = here("ingest", folder, "--as", "bert-tiny@baidu-tensorflow", "--json").rows
    assert {row["status"] for row in rows} == {"taken"}
    again = here("ingest", folder, "--as", "bert-tiny@baidu-tensorflow")
    assert "nothing new to take in" in again.err


def test_promised_bytes_are_what_a_person_says_at_once(here: Command, outside: Server, tmp_path: Path) -> None:
    other = in_mirror(here, tmp_path / "elsewhere", outside)
    other("pull", "bert-tiny@huggingface", "--quiet")
    other("lock")
    weights = Mirror.open(tmp_path / "elsewhere").path("bert-tiny@huggingface") / "pytorch_model.bin"
    (tmp_path / "mirror/catalog.lock.json").write_bytes((tmp_path / "elsewhere/catalog.lock.json").read_bytes())
    folder = put(tmp_path / "x", {"odd.bin": weights.read_bytes()})
    (row,) = here("ingest", folder, "--as", SHARE, "--json").rows
    assert (row["status"], row["artifact"]) == ("taken", SHARE)
    (row,) = here("ingest", folder, "--as", SHARE, "--json").rows
    assert row["status"] == "held"


def test_a_file_with_other_numbers_is_not_put_beside_good_weights_and_one_that_was_goes(
    here: Command, outside: Server, tensors: dict[str, NDArray[Any]], tmp_path: Path
) -> None:
    chance, files = np.random.default_rng(1), given(outside, SHARE)
    other = {name: chance.normal(size=array.shape).astype(array.dtype) for name, array in tensors.items()}
    bad, good = put(tmp_path / "bad", {"odd.safetensors": written(other)}), put(tmp_path / "good", files)
    # Before anybody vouches, both are taken; afterwards the good one alone is left.
    here("ingest", bad)
    here("ingest", good, "--as", SHARE)
    assert "model.safetensors" in held(here)
    here("pull", "bert-tiny@google", "--quiet")
    here("ingest", good, "--as", SHARE)
    assert set(held(here)) == set(files)
    (said,) = status(here)["tensors"]
    assert "corroborated by tensors of bert-tiny@google" in said
    (row,) = here("ingest", bad, "--as", SHARE, "--json", code=4).rows
    assert row["status"] == "refused"
    assert "has good weights, and these have other numbers" in row["why"]
    assert set(held(here)) == set(files)


def test_an_altered_file_is_disputed_whatever_a_person_says(
    here: Command, known: dict[str, NDArray[Any]], tmp_path: Path
) -> None:
    folder = put(tmp_path / "x", {"a.safetensors": written(altered(known))})
    (row,) = here("ingest", folder, "--as", SHARE, "--json", code=4).rows
    assert row["status"] == "disputed"
    assert held(here) == {}


def test_a_replacement_of_another_size_under_the_same_name_is_taken(
    here: Command, outside: Server, tensors: dict[str, NDArray[Any]], tmp_path: Path
) -> None:
    wrong = torch_zip.write([Named(*one) for one in altered(tensors).items()])
    files = given(outside, SHARE)
    config = files["config.json"].replace(b"{", b'{"note": "of the bad copy",', 1)
    here("ingest", put(tmp_path / "first", {"pytorch_model.bin": wrong, "config.json": config}))
    here("pull", "bert-tiny@google", "--quiet")
    assert len(files["pytorch_model.bin"]) != len(wrong)
    rows = here("ingest", put(tmp_path / "good", files), "--as", SHARE, "--json").rows
    assert {row["path"] for row in rows if row["status"] == "taken"} == set(files) == set(held(here))


def test_a_part_of_a_repository_is_not_taken_for_the_whole_of_it(
    here: Command, outside: Server, tmp_path: Path
) -> None:
    other = in_mirror(here, tmp_path / "elsewhere", outside)
    other("pull", "bert-tiny@huggingface", "--quiet")
    tree = Mirror.open(tmp_path / "elsewhere").path("bert-tiny@huggingface")
    files = {name: (tree / name).read_bytes() for name in ("model.safetensors", "config.json", "vocab.txt")}
    here("ingest", put(tmp_path / "x", files), "--as", "bert-tiny@huggingface")
    planned = {row["fetch"] for row in here("pull", "bert-tiny@huggingface", "-n", "--json").rows if "fetch" in row}
    assert "bert-tiny@huggingface/pytorch_model.bin" in planned
    here("pull", "bert-tiny@huggingface")
    assert set(held(here, "bert-tiny@huggingface")) == {path.name for path in tree.iterdir()}
