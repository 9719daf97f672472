"""What ``compare``, ``identify`` and ``export`` refuse to begin with, and names that are hard to print."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from mirror.errors import UsageError
from mirror.upstream.containers import safetensors as writer
from mirror.upstream.containers.tensors import Named, arrays
from mirror.upstream.modelfiles import ModelFiles
from mirror.upstream.naming import hugging_face
from mirror.upstream.stock import shipped_catalog
from tests.command import fresh_command
from tests.held import command, holding

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from mirror.api import Mirror

TINY = ModelFiles.of(shipped_catalog()["models"][0], seed=0, scale=32)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    """One model in two formats; no test changes it."""
    files = {"files": {"model.safetensors": TINY.safetensors(), "config.json": TINY.config_json()}}
    return holding(tmp_path_factory.mktemp("tiny"), {"tiny": {**files, "paddle": {"m.pdparams": TINY.paddle()}}})


@pytest.mark.parametrize("tolerance", ["nan", "inf", "-inf", "-1", "0", "much"])
def test_a_tolerance_is_a_positive_number(tiny: Mirror, tolerance: str) -> None:
    done = command(tiny, "compare", "tiny", "--json", "--tolerance", tolerance)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "--tolerance" in done.stderr
    if tolerance != "much":
        with pytest.raises(UsageError, match="tolerance"):
            next(tiny.compare("tiny", tolerance=float(tolerance)))


def test_what_is_no_regular_file_is_not_waited_for(tiny: Mirror, tmp_path: Path) -> None:
    here = fresh_command(tmp_path).at(tiny.place.root)
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "weights").write_bytes(TINY.safetensors())
    fifo, weights = str(tmp_path / "fifo"), str(tmp_path / "weights")
    for words in (("compare", weights, "--index", fifo), ("compare", fifo, "--index", weights), ("identify", fifo)):
        assert "fifo" in here(*words, code=2, timeout=20).err
    assert "/dev/zero" in here("identify", "/dev/zero", code=2, timeout=20).err
    assert "/dev/zero" in here("compare", weights, "--index", "/dev/zero", code=2, timeout=20).err


def test_a_name_that_is_no_text_is_printed_and_in_json_it_comes_back(tiny: Mirror, tmp_path: Path) -> None:
    here = fresh_command(tmp_path).at(tiny.place.root, LANG="C.UTF-8")
    path = os.fsencode(tmp_path / "weights-") + b"\xff\n\x1b[2J.bin"
    with open(path, "wb") as file:  # noqa: PTH123 - a name of bytes
        file.write(TINY.safetensors())
    said = here("identify", os.fsdecode(path), "--json")
    (row,) = said.rows
    assert said.out.isascii()
    assert os.fsencode(row["name"]) == path
    assert json.loads(said.out)["likely"] == "known"
    told = here("identify", os.fsdecode(path)).out
    assert "weights-\\udcff\\n\\x1b[2J.bin\n" in told
    refused = here("compare", os.fsdecode(path), "--index", os.fsdecode(path), code=4)
    assert "\x1b" not in refused.err


def test_a_conversion_that_lacks_a_part_of_the_encoder_is_not_proved(tiny: Mirror, tmp_path: Path) -> None:
    index = tmp_path / "bert_model.ckpt.index"
    index.write_bytes(TINY.checkpoint("x")["x.index"])
    named = [one for one in arrays(hugging_face("bert", TINY.specs), seed=0, model=TINY.id) if one.of is None]
    total = len(named)

    def compared(*kept: Named) -> tuple[Result, dict[str, Any]]:
        (tmp_path / "x").write_bytes(writer.write(list(kept)))
        words = ("compare", str(tmp_path / "x"), "--index", str(index))
        return command(tiny, *words), json.loads(command(tiny, *words, "--json").stdout)

    told, row = compared(named[0])
    assert (told.exit_code, row["level"], row["verdict"]) == (4, None, "incomplete")
    assert told.stdout.startswith(f"incomplete  {tmp_path / 'x'}: 1 of the index's {total} tensors have its CRC-32C\n")
    assert "error: the file lacks " in told.stderr
    told, row = compared(*[one for one in named if "layer.1.output.dense.bias" not in one.name])
    assert (told.exit_code, row["verdict"]) == (4, "incomplete")
    assert "the file lacks encoder.layer.1.output.dense.bias\n" in told.stderr
    # Heads and pooler are kept or dropped by publishers; what is there is proved.
    told, row = compared(*[one for one in named if not one.name.startswith(("cls.", "bert.pooler"))])
    assert (told.exit_code, row["level"], row["verdict"]) == (0, "checked", "checked")
    assert "not in the file: " in told.stdout
    told, row = compared(Named("elsewhere", named[0].array))
    assert (told.exit_code, row["verdict"]) == (4, "incomplete")


def test_a_link_to_nothing_is_replaced_as_little_as_a_file(tiny: Mirror, tmp_path: Path) -> None:
    for name, said in (("a.safetensors", "there already"), ("folder", "is no folder")):
        link = tmp_path / name
        link.symlink_to(tmp_path / "gone")
        with pytest.raises(UsageError, match=said):
            tiny.export_safetensors("tiny", link)
        assert link.is_symlink()
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "config.json").symlink_to(tmp_path / "gone")
    with pytest.raises(UsageError, match=r"config\.json: there already"):
        tiny.export_safetensors("tiny", tmp_path / "there")
    tiny.export_safetensors("tiny", tmp_path / "a.safetensors", force=True)
    assert not (tmp_path / "a.safetensors").is_symlink()
