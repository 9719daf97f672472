"""Folders as they are found: thousands of files, odd names, pipes, closed doors, links, depth; never a crash."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import sys
import tempfile
import threading
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mirror.api import Mirror
from mirror.catalog import builtin_catalog_text
from mirror.errors import StoreError
from mirror.ingest.finds import finds
from mirror.upstream.modelfiles import ModelFiles
from mirror.upstream.stock import shipped_catalog
from tests.faults.processes import Running, run
from tests.faults.test_store_users import being

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

pytestmark = pytest.mark.slow  # whole commands, one after the other: seconds each

TINY = "bert-tiny@baidu-pytorch"


@pytest.fixture(scope="module")
def weights() -> dict[str, bytes]:
    model = ModelFiles.of(shipped_catalog()["models"][0], seed=0, scale=1)
    return {"pytorch_model.bin": model.torch(), "config.json": model.config_json(), "vocab.txt": model.vocab()}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "mirror"
    (root / "cache").mkdir(parents=True)
    (root / "catalog.json").write_text(builtin_catalog_text(), encoding="utf-8")
    return root


def put(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def zipped(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def rows(out: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in out.splitlines()]


def taken(out: str) -> set[str]:
    return {row["path"] for row in rows(out) if row["status"] == "taken"}


#: No more than so many open files at a time.
FEW = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
from mirror.cli import main
main()
"""


#: No more memory of its own than so much; half of it is the interpreter's, numpy's and its threads'.
LITTLE = FEW.replace("RLIMIT_NOFILE, (128, 128)", "RLIMIT_DATA, (300 << 20, 300 << 20)")


def limited(limit: str, root: Path, *words: str) -> tuple[int, str, str]:
    with Running(root, "ingest", *words, program=(sys.executable, "-c", limit)) as process:
        return process.end(), process.out, process.err


def test_a_folder_of_more_files_than_may_be_open(root: Path, tmp_path: Path, weights: dict[str, bytes]) -> None:
    folder = put(tmp_path / "x", {**weights, **{f"more/{n}.bin": b"%d" % n for n in range(500)}})
    code, out, err = limited(FEW, root, str(folder), "--json")
    assert code == 0, err
    assert taken(out) == set(weights)
    assert len(rows(out)) == 500 + len(weights)


def test_an_archive_of_more_members_than_may_be_open(root: Path, tmp_path: Path, weights: dict[str, bytes]) -> None:
    packed = zipped({**weights, **{f"more/{n}.txt": b"%d" % n for n in range(500)}})
    code, out, err = limited(FEW, root, str(put(tmp_path / "x", {"a.zip": packed})), "--json")
    assert code == 0, err
    assert taken(out) == set(weights)


@pytest.mark.slow
def test_twenty_thousand_small_files_take_no_more_memory_than_few(root: Path, tmp_path: Path) -> None:
    put(tmp_path / "x", {f"{n % 10}/{n}.txt": b"%d" % n for n in range(20_000)})
    code, _, err = limited(LITTLE, root, str(tmp_path / "x"))
    assert code == 0, err
    assert "20000 other files left alone" in err


def test_names_that_no_terminal_should_see_are_escaped_and_recorded_so(
    root: Path, tmp_path: Path, weights: dict[str, bytes]
) -> None:
    folder = tmp_path / "x"
    odd = os.fsdecode(b"a\nb\x1b[31m\xff \xe2\x80\xae")
    put(folder / odd, weights)
    put(folder / odd, {os.fsdecode(b"odd\x07\xfe.bin"): b"neither"})
    code, out, err = run(root, "ingest", str(folder))
    assert code == 0, err
    assert r"a\nb\x1b[31m\udcff \u202e/pytorch_model.bin" in out
    assert r"odd\x07\udcfe.bin" in out
    assert all(sign.isprintable() or sign == "\n" for sign in out + err)
    events = list(Mirror.open(root, environ={}).events(kind="stored"))
    assert {event.detail["path"] for event in events} == set(weights)
    assert all(event.detail["origin"]["name"].isprintable() for event in events)
    assert run(root, "ledger", "verify")[0] == 0


def test_a_mark_of_exclamation_in_a_name_is_no_archive(root: Path, tmp_path: Path, weights: dict[str, bytes]) -> None:
    files = {f"a!b/{name}": data for name, data in weights.items()}
    files["a!b/model!.bin"] = files.pop("a!b/pytorch_model.bin")
    code, out, err = run(root, "ingest", str(put(tmp_path / "x", files)), "--json")
    assert code == 0, err
    assert taken(out) == set(weights)


def test_pipes_and_devices_are_passed_over_and_none_is_waited_for(
    root: Path, tmp_path: Path, weights: dict[str, bytes]
) -> None:
    folder = put(tmp_path / "x", weights)
    os.mkfifo(folder / "pipe.bin")
    (folder / "zero.bin").symlink_to("/dev/zero")
    code, out, err = run(root, "ingest", str(folder), "--json")
    assert code == 0, err
    assert taken(out) == set(weights)
    for path in (folder / "pipe.bin", Path("/dev/zero")):
        code, _, err = run(root, "ingest", str(path))
        assert code == 2
        assert "neither a file nor a folder" in err


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A directory that another user may reach; pytest's own are closed to others."""
    place = Path(tempfile.mkdtemp(prefix="trees-"))
    place.chmod(0o755)
    yield place
    shutil.rmtree(place)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")
def test_what_may_not_be_read_is_named(open_place: Path, weights: dict[str, bytes]) -> None:
    root = open_place / "mirror"
    (root / "cache").mkdir(parents=True)
    (root / "catalog.json").write_text(builtin_catalog_text(), encoding="utf-8")
    folder = put(open_place / "x", {**weights, "closed/a.bin": b"1", "secret.txt": b"2"})
    (folder / "closed").chmod(0o700)
    (folder / "secret.txt").chmod(0o600)
    mirror = Mirror.open(root, environ={})
    assert len(mirror.look_through(folder).takes) == 3  # and everything is imported
    with being(60001):
        plan = mirror.look_through(folder)
    assert {take.file.path for take in plan.takes} == set(weights)
    assert {one.name: one.why for one in plan.left} == {
        str(folder / "closed"): "cannot be read: Permission denied",
        str(folder / "secret.txt"): "cannot be read: Permission denied",
    }


def test_depth_has_no_bound_but_the_systems_and_that_is_named(
    root: Path, tmp_path: Path, weights: dict[str, bytes]
) -> None:
    deep = tmp_path / "x" / "/".join("d" for _ in range(500))
    put(deep, weights)
    code, out, err = run(root, "ingest", str(tmp_path / "x"), "--json")
    assert code == 0, err
    assert taken(out) == set(weights)
    # Deeper than a path may be long, as only a walk by descriptors makes it.
    fd = os.open(put(tmp_path / "y", {"a.txt": b""}), os.O_RDONLY)
    for _ in range(60):
        os.mkdir("d" * 100, dir_fd=fd)
        below = os.open("d" * 100, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    code, out, err = run(root, "ingest", str(tmp_path / "y"), "--json")
    assert code == 0, err
    (row,) = rows(out)
    assert row["why"] == "cannot be read: File name too long"


@pytest.mark.parametrize("depth", [3, 4, 5])
def test_archives_in_archives_are_opened_to_a_depth_and_deeper_ones_named(
    root: Path, tmp_path: Path, weights: dict[str, bytes], depth: int
) -> None:
    files = dict(weights)
    for level in range(depth):
        files = {f"{level}.zip": zipped(files)}
    code, out, err = run(root, "ingest", str(put(tmp_path / "x", files)), "--json")
    assert code == 0, err
    assert taken(out) == (set(weights) if depth <= 4 else set())
    if depth > 4:
        (row,) = rows(out)
        assert row["why"] == "an archive within 4 others: unpack it first"


def test_one_file_under_three_names_is_taken_once_and_the_others_are_the_same(
    root: Path, tmp_path: Path, weights: dict[str, bytes]
) -> None:
    files = {f"{place}/{name}": data for place in ("a", "b", "c") for name, data in weights.items()}
    files["d/renamed.pt"] = weights["pytorch_model.bin"]
    folder = put(tmp_path / "x", files)
    code, out, err = run(root, "ingest", str(folder), "--json")
    assert code == 0, err
    assert taken(out) == set(weights)
    others = [row for row in rows(out) if row["status"] != "taken"]
    assert {row["name"] for row in others} == {
        f"{folder}/b/pytorch_model.bin",
        f"{folder}/c/pytorch_model.bin",
        f"{folder}/d/renamed.pt",
    }
    assert {(row["status"], row["why"]) for row in others} == {
        ("held", f"the same bytes as {folder}/a/pytorch_model.bin")
    }


def test_links_are_followed_within_what_was_given_and_nowhere_else(
    root: Path, tmp_path: Path, weights: dict[str, bytes]
) -> None:
    put(tmp_path / "elsewhere", weights)
    folder = tmp_path / "x"
    folder.mkdir()
    for name in weights:
        (folder / name).symlink_to(f"../elsewhere/{name}")
    (folder / "loop").symlink_to(".")
    (folder / "passwords.txt").symlink_to("/etc/passwd")
    code, out, err = run(root, "ingest", str(folder), "--json")
    assert code == 0, err
    told = {row["name"]: row["why"] for row in rows(out)}  # of what is called otherwise, nothing is said
    assert told.keys() == {str(folder / name) for name in weights}
    for name in weights:
        place, said = tmp_path / "elsewhere" / name, told[str(folder / name)]
        assert said == f"a link that leads out of what you gave, to {place}: give that path as well to have it taken"
    code, out, err = run(root, "ingest", str(folder), str(tmp_path / "elsewhere"), "--json")
    assert code == 0, err
    assert taken(out) == set(weights)


def test_what_no_file_comes_of_is_named_with_the_reason(root: Path, tmp_path: Path, weights: dict[str, bytes]) -> None:
    put(tmp_path / "elsewhere", weights)
    folder = put(tmp_path / "x", {"inside/a.txt": b"1"})
    for name, end in {
        "models": "../elsewhere",
        "up": "..",
        "inside/again": ".",
        "beside": "inside",
        "weights": "nowhere.bin",
        "itself": "itself",
        "zero.bin": "/dev/zero",
        "tty": "/dev/tty",
    }.items():
        (folder / name).symlink_to(end)
    os.mkfifo(folder / "pipe.bin")
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "model.safetensors"))
    code, out, err = run(root, "ingest", str(folder), "--json")
    assert code == 0, err
    assert {row["status"] for row in rows(out)} == {"leftover"}
    assert {Path(row["name"]).name: row["why"] for row in rows(out)} == {
        "models": f"a link to a folder: give that folder itself, {tmp_path}/elsewhere",
        "up": f"a link to a folder: give that folder itself, {tmp_path}",
        "weights": "a dangling link",
        "itself": "a dangling link",
        "zero.bin": "neither a file nor a folder",
        "pipe.bin": "neither a file nor a folder",
        "model.safetensors": "neither a file nor a folder",
    }
    code, out, err = run(root, "ingest", str(folder), "--dry-run")
    assert f"leftover    {folder}/models\n    a link to a folder" in out
    assert "3 other files left alone" in err  # a text, and what no name makes one wait for


def test_a_link_to_a_folder_that_was_given_as_well_needs_no_word(
    root: Path, tmp_path: Path, weights: dict[str, bytes]
) -> None:
    put(tmp_path / "elsewhere/below", weights)
    folder = put(tmp_path / "x", {"a.txt": b"1"})
    (folder / "models").symlink_to("../elsewhere/below")
    code, out, err = run(root, "ingest", str(folder), str(tmp_path / "elsewhere"), "--json")
    assert code == 0, err
    assert taken(out) == set(weights)
    assert {row["status"] for row in rows(out)} == {"taken"}


def test_a_folder_that_changes_while_it_is_read_ends_without_a_trace_of_half_a_file(
    root: Path, tmp_path: Path, weights: dict[str, bytes]
) -> None:
    folder = put(tmp_path / "x", {f"{n}/{name}": data for n in range(4) for name, data in weights.items()})
    stop = threading.Event()

    def change() -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            path = folder / "1/pytorch_model.bin"
            path.write_bytes(weights["pytorch_model.bin"][: turn * 100_003 % 5_000_000])
            shutil.rmtree(folder / "2", ignore_errors=True)
            put(folder / "2", weights)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        outcomes = [run(root, "ingest", str(folder), "--json") for _ in range(3)]
    finally:
        stop.set()
        thread.join()
    for code, _, err in outcomes:
        assert code in {0, 4}, (code, err)
        assert "Traceback" not in err
    assert run(root, "verify")[0] == 0
    held = [state.path for state in Mirror.open(root, environ={}).files(TINY) if state.state == "held"]
    assert set(held) == set(weights)


def test_a_file_that_may_still_change_is_looked_at_in_a_copy(tmp_path: Path, weights: dict[str, bytes]) -> None:
    path = put(tmp_path / "x", weights) / "pytorch_model.bin"
    (scratch := tmp_path / "scratch").mkdir()
    (find,) = finds([path], lambda _: False, scratch)
    view = find.view
    path.write_bytes(b"short")  # under a mapping this would end the process
    assert bytes(view) == weights["pytorch_model.bin"]
    with pytest.raises(StoreError, match="changes while it is read"):
        _ = find.view
    # What has stood still is mapped, and needs no room.
    path.write_bytes(weights["pytorch_model.bin"])
    os.utime(path, (0, 0))
    (find,) = finds([path], lambda _: False, tmp_path / "nowhere")
    assert bytes(find.view) == weights["pytorch_model.bin"]
