"""What is written whole or not at all, and what is no file and is written into as it is."""

from __future__ import annotations

import json
import os
import stat
import threading
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from mirror.catalog import builtin_catalog_text
from mirror.cli import cli
from mirror.cli.miniature import write_catalog
from mirror.errors import DiskFullError, StoreError
from mirror.writing import replace_text, write_files

if TYPE_CHECKING:
    from pathlib import Path


def test_a_link_stays_and_the_file_at_its_end_is_replaced(tmp_path: Path) -> None:
    target, link = tmp_path / "there" / "page.html", tmp_path / "page.html"
    target.parent.mkdir()
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to("there/page.html")
    with target.open() as reader:
        replace_text(link, "new")
        assert reader.read() == "old", "who reads the old one reads it to its end"
    assert link.is_symlink()
    assert (target.read_text(), stat.S_IMODE(target.stat().st_mode)) == ("new", 0o640)
    assert [one.name for one in target.parent.iterdir()] == ["page.html"]


def test_the_end_of_a_link_may_be_new(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    replace_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "new"


def test_a_link_to_itself_and_a_folder_are_refused_and_stay(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match="loop: Too many levels"):
        replace_text(tmp_path / "loop", "new")
    with pytest.raises(StoreError, match="folder: Is a directory"):
        replace_text(tmp_path / "folder", "new")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["folder", "loop"]


@pytest.mark.parametrize("linked", [False, True])
def test_a_pipe_is_written_into(tmp_path: Path, *, linked: bool) -> None:
    pipe, path = tmp_path / "pipe", tmp_path / ("link" if linked else "pipe")
    os.mkfifo(pipe)
    if linked:
        path.symlink_to(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()
    write_catalog(path, {"models": ["text"] * 50_000})
    reader.join(10)
    assert [len(json.loads(text)["models"]) for text in read] == [50_000]
    assert pipe.is_fifo()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_a_device_is_written_into(tmp_path: Path) -> None:
    null, full = tmp_path / "null", tmp_path / "full"
    try:
        for path, number in ((null, 3), (full, 7)):
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, number))
            path.open("rb").close()
    except PermissionError:
        pytest.skip("no devices here")
    replace_text(null, "text")
    with pytest.raises(DiskFullError):
        replace_text(full, "text")
    assert null.is_char_device()
    assert full.is_char_device()


def test_stdout_is_written_into_whatever_it_is(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "stdout").symlink_to("/proc/self/fd/1")  # as /dev/stdout is, and a file while it is captured
    print("before", flush=True)
    replace_text(tmp_path / "stdout", "text\n")
    print("after", flush=True)
    assert capfd.readouterr().out == "before\ntext\nafter\n"


def test_in_a_folder_of_ours_a_link_is_replaced_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    """A link in an exported tree may lead into a store, or a cache of the hub's, where nothing ever changes."""
    blob, folder = tmp_path / "blob", tmp_path / "folder"
    blob.write_text("somebody's")
    folder.mkdir()
    (folder / "model").symlink_to(blob)
    write_files(folder, {"model": [b"new"]})
    assert blob.read_text() == "somebody's"
    assert (folder / "model").read_text() == "new"
    assert not (folder / "model").is_symlink()


@pytest.mark.parametrize(("command", "option"), [("handoff", "--html"), ("urls", "--out")])
def test_about_a_place_that_a_person_named_nothing_is_said_of_a_mirror(
    tmp_path: Path, command: str, option: str
) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "catalog.json").write_text(builtin_catalog_text(), encoding="utf-8")
    done = CliRunner().invoke(cli, ["--mirror", str(tmp_path), command, option, str(tmp_path / "no" / "page.html")])
    assert done.exit_code == 6
    assert f"hint: choose another place with {option}" in done.output
