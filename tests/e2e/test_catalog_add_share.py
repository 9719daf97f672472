"""A share that somebody sent: pasted into the catalog, handed off, and answered by what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mirror.upstream.modelfiles import ModelFiles
from mirror.upstream.stock import shipped_catalog
from tests.command import Command, fresh_command

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow  # whole commands, one after the other: seconds each

LINK = "https://pan.baidu.com/s/1-qN1BLlXaY_SIGIOws1lqQ"
ENTRY = {
    "id": "baidu-pytorch",
    "kind": "baidu-pan",
    "role": None,
    "formats": ["pytorch"],
    "url": LINK,
    "code": "aB1d",
    "files": [],
    "provenance": ["user"],
}


@pytest.fixture
def here(tmp_path: Path) -> Command:
    command = fresh_command(tmp_path)
    command("init", "mirror")
    return command.at(tmp_path / "mirror")


@pytest.mark.parametrize(
    "words",
    [
        [f"{LINK}?pwd=aB1d"],
        [f"链接：{LINK}  提取码：ａＢ１ｄ"],
        ["链接:", LINK, "提取码:", "aB1d", "--来自百度网盘"],
        ["https://pan.baidu.com/share/init?surl=-qN1BLlXaY_SIGIOws1lqQ&pwd=aB1d"],
    ],
)
def test_a_share_is_added_to_a_model_however_it_was_pasted(here: Command, words: list[str]) -> None:
    done = here("catalog", "add", "--model", "albert-base-v2", "--format", "pytorch", "--json", "--", *words)
    assert done.rows == [ENTRY]
    (row,) = here("handoff", "albert-base-v2@baidu-pytorch", "--json").rows
    assert (row["url"], row["code"], row["open"]) == (f"{LINK}?pwd=aB1d", "aB1d", True)
    assert row["expected"]["formats"] == ["pytorch"]
    assert here("catalog", "check").err.endswith("nothing wrong\n")
    diff = here("catalog", "diff", "--json").rows
    assert {change["change"] for change in diff} == {"added"}
    assert len(diff) == 2  # the source, and who says so
    again = here("catalog", "add", f"{LINK}?pwd=zzzz", "--model", "albert-base-v2", code=2)
    assert "in the catalog already: albert-base-v2@baidu-pytorch" in again.err


def test_another_share_of_a_model_gets_a_number_and_is_answered_like_the_first(here: Command, tmp_path: Path) -> None:
    done = here("catalog", "add", f"{LINK}?pwd=aB1d", "--model", "bert-tiny", "--format", "pytorch")
    assert "added bert-tiny@baidu-pytorch-2 to" in done.err
    assert "next: minibert-mirror handoff bert-tiny@baidu-pytorch-2" in done.err
    files = ModelFiles.of(shipped_catalog()["models"][0], seed=0, scale=1)
    (tmp_path / "model.bin").write_bytes(files.torch())
    said = here("ingest", str(tmp_path / "model.bin"), "--as", "bert-tiny@baidu-pytorch-2", "--json").rows
    assert said[0]["artifact"] == "bert-tiny@baidu-pytorch-2"
    assert said[0]["share"] == LINK


def test_a_share_of_unknown_format_is_answered_by_any(here: Command, tmp_path: Path) -> None:
    here("catalog", "add", f"{LINK}?pwd=aB1d", "--model", "distilbert-base-uncased")
    (row,) = here("handoff", "distilbert-base-uncased@baidu-pan", "--json").rows
    assert row["expected"]["formats"] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["https://pan.baidu.com/e/1abcdef", "--model", "bert-tiny"], "an enterprise share"),
        (["https://pan.baidu.com/share/link?shareid=1&uk=2", "--model", "bert-tiny"], "a share by numbers"),
        (["https://pan.baidu.com/disk/home", "--model", "bert-tiny"], "no link to a share"),
        ([f"{LINK} https://pan.baidu.com/s/1abcdefgh", "--model", "bert-tiny"], "several shares"),
        (
            [LINK, "--model", "bert-tiny", "--format", "pytorch"],
            "a published share of a miniature has an extraction code",
        ),
        ([f"{LINK}?pwd=aB1d", "--model", "bert-huge"], "no model 'bert-huge'"),
        ([f"{LINK}?pwd=aB1d", "--model", "little-berts-pytorch-all"], "no model 'little-berts-pytorch-all'"),
        ([f"{LINK}?pwd=aB1d", "--format", "pytorch"], "--format goes with --model"),
        ([f"{LINK}?pwd=aB1d", "--model", "bert-tiny", "--id", "x"], "--model goes without --id"),
        (["https://pan.baidu.com/s/1abc", "--model", "bert-tiny"], "does not match"),
    ],
)
def test_what_cannot_be_added_says_why_and_changes_nothing(here: Command, words: list[str], said: str) -> None:
    before = (here.cwd / "catalog.json").read_bytes()
    assert said in here("catalog", "add", *words, code=2).err
    assert (here.cwd / "catalog.json").read_bytes() == before


def test_a_share_is_a_model_of_its_own_without_a_model(here: Command) -> None:
    done = here("catalog", "add", f"链接: {LINK} 提取码: aB1d", "--id", "mine", "--dry-run")
    assert done.rows[0]["sources"][0]["url"] == LINK
    assert done.rows[0]["sources"][0]["code"] == "aB1d"
