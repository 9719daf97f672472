"""`catalog …` and `urls`: what they print and write."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import click
import pytest
from click.testing import CliRunner, Result

from mirror import Mirror
from mirror.catalog import Catalog, builtin_catalog_text, read
from mirror.cli import COMMANDS
from mirror.cli.catalog import catalog as catalog_group
from mirror.cli.urls import urls
from mirror.errors import CatalogError, MirrorError, SelectorError, UsageError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Here:
    """A mirror's folder, as commands get it."""

    root: Path

    @property
    def catalog_path(self) -> Path:
        return self.root / "catalog.json"

    @property
    def catalog(self) -> Catalog:
        return read(self.catalog_path)

    @property
    def mirror(self) -> Mirror:
        return Mirror.open(self.root, environ={})


@pytest.fixture
def here(tmp_path: Path) -> Here:
    (tmp_path / "catalog.json").write_text(builtin_catalog_text(), encoding="utf-8")
    (tmp_path / "cache").mkdir()
    return Here(tmp_path)


def run(here: Here, command: click.Command, *arguments: str, env: dict[str, str] | None = None) -> Result:
    result = CliRunner().invoke(command, arguments, obj=here, env=env)
    if result.exception is not None and not isinstance(result.exception, MirrorError | SystemExit):
        raise result.exception
    return result


def objects(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_list_shows_every_model_and_bundle(here: Here) -> None:
    lines = run(here, catalog_group, "list").stdout.splitlines()
    assert len(lines) == 1 + 48 + 3
    assert lines[1].split() == ["bert-tiny", "2/128", "en", "4.4", "M", "huggingfacex3", "google", "baidux2", "paddle"]


def test_list_takes_selectors(here: Here) -> None:
    found = objects(run(here, catalog_group, "list", "family=albert", "lang=zh", "--json"))
    assert [model["name"] for model in found] == [
        f"albert-chinese-{size}" for size in ("tiny", "small", "base", "large", "xlarge", "xxlarge")
    ]
    assert found[0]["parameters"] == {"encoder_with_pooler": 4080520, "masked_lm_tied_decoder": 4141968}


def test_show_says_that_a_public_record_is_a_claim(here: Here) -> None:
    shown = run(here, catalog_group, "show", "bert-tiny").stdout
    assert "public record 69480406098: one unnamed reader's word, a claim until first contact" in " ".join(
        shown.split()
    )
    assert "unconfirmed" in shown
    assert "code          lnyy; only a person can fetch it" in shown
    # No command is named that is not there.
    assert set(re.findall(r"`(?:minibert-mirror )?([a-z]+)", shown)) <= set(COMMANDS)
    assert max(map(len, shown.splitlines())) <= 100


def test_show_works_for_every_model(here: Here) -> None:
    shown = run(here, catalog_group, "show", "*", "kind=hub,http,baidu-pan").stdout
    assert shown.count("\nread in\n") == 48
    assert run(here, catalog_group, "show", "kind=bundle").stdout.count("not published") == 1


def test_show_as_json_is_the_entry_as_it_stands_in_the_file(here: Here) -> None:
    (entry,) = objects(run(here, catalog_group, "show", "albert-base-v2", "--json"))
    data = json.loads(here.catalog_path.read_text(encoding="utf-8"))
    assert entry == next(model for model in data["models"] if model["id"] == "albert-base-v2")


def test_check_of_a_good_catalog_says_so(here: Here) -> None:
    result = run(here, catalog_group, "check")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "48 models, 171 artifacts, nothing wrong" in result.stderr


def test_check_of_a_bad_file_prints_every_problem_and_fails(here: Here) -> None:
    bad = here.root / "bad.json"
    bad.write_text(builtin_catalog_text().replace('"layers": 2,', '"layers": 3,'), encoding="utf-8")
    result = run(here, catalog_group, "check", str(bad), "--json")
    assert isinstance(result.exception, CatalogError)
    problems = objects(result)
    assert {"where": "models/bert-tiny/sources/google/computed_data_bytes",
            "problem": "is 17733872, not 4 x 4631740"} in problems  # fmt: skip
    assert len(problems) > 4


def test_half_a_character_stops_no_command_with_a_crash(here: Here) -> None:
    half = builtin_catalog_text().replace('"name": "bert-tiny"', '"name": "\\ud800"')
    here.catalog_path.write_text(half, encoding="utf-8")
    for more in ([], ["--json"]):
        result = run(here, catalog_group, "check", *more)
        assert isinstance(result.exception, CatalogError)
        assert "ud800/name" in result.stdout
    for command, *words in ((catalog_group, "list"), (catalog_group, "show", "bert-mini", "--json"),
                            (catalog_group, "diff"), (urls, "bert-mini")):  # fmt: skip
        assert isinstance(run(here, command, *words).exception, CatalogError)


def test_check_of_a_missing_file_says_to_look_at_the_path(here: Here) -> None:
    result = run(here, catalog_group, "check", str(here.root / "nofile.json"))
    assert isinstance(result.exception, CatalogError)
    assert result.exception.hint == "check the path"


def test_add_writes_the_model_and_check_is_content(here: Here) -> None:
    result = run(here, catalog_group, "add", "hf:owner/repo@v1", "--alias", "mine")
    assert result.exit_code == 0
    assert "added owner/repo" in result.stderr
    assert here.catalog.artifact("owner/repo@huggingface").ref == "v1"
    assert run(here, catalog_group, "check").exit_code == 0
    changes = objects(run(here, catalog_group, "diff", "--json"))
    assert [(change["change"], change["where"]) for change in changes] == [
        ("added", "provenance/user"),
        ("added", "models/owner/repo"),
    ]


def test_a_dry_run_of_add_changes_nothing(here: Here) -> None:
    (entry,) = objects(run(here, catalog_group, "add", "https://h/x.bin", "--size", "3", "--dry-run"))
    assert entry["sources"][0]["files"][0]["size"] == 3
    assert here.catalog_path.read_text(encoding="utf-8") == builtin_catalog_text()


def test_diff_compares_the_built_in_catalog_with_this_one(here: Here) -> None:
    result = run(here, catalog_group, "diff")
    assert (result.stdout, result.stderr) == ("", "no difference\n")
    other = shutil.copy(here.catalog_path, here.root / "other.json")
    changed = here.catalog_path.read_text(encoding="utf-8").replace('"code": "lnyy"', '"code": "xxxx"')
    here.catalog_path.write_text(changed, encoding="utf-8")
    where = "models/bert_uncased_L-2_H-128_A-2/sources/baidu-pytorch/code"
    assert run(here, catalog_group, "diff", str(other)).stdout == f'~ {where}: "lnyy" -> "xxxx"\n'
    again = run(here, catalog_group, "diff", str(here.catalog_path), str(other)).stdout
    assert again == f'~ {where}: "xxxx" -> "lnyy"\n'


def test_urls_tell_on_stderr_what_a_pull_would_add(here: Here) -> None:
    result = run(here, urls, "bert-tiny", "--as", "aria2")
    assert result.stdout.count("  checksum=sha-256=") == 4
    assert "3 Hub repositories: only files that the catalog knows; a pull lists the rest" in result.stderr
    assert "2 cloud-drive shares are left out" in result.stderr
    assert "pan.baidu.com" not in result.stdout


def test_urls_honour_the_endpoint_variable(here: Here) -> None:
    result = run(here, urls, "bert-tiny@huggingface", env={"HF_ENDPOINT": "https://hub.example"})
    assert {line.partition("/google/")[0] for line in result.stdout.splitlines()} == {"https://hub.example"}


def test_urls_of_everything_go_to_a_file(here: Here) -> None:
    out = here.root / "all.meta4"
    result = run(here, urls, "--all", "--as", "metalink", "--out", str(out))
    assert (result.exit_code, result.stdout) == (0, "")
    files = list(ET.parse(out).iter("{urn:ietf:params:xml:ns:metalink}file"))
    assert len(files) == 175
    assert len({entry.get("name") for entry in files}) == 175


def test_urls_as_json_are_one_object_a_file(here: Here) -> None:
    rows = objects(run(here, urls, "bert-tiny", "--json"))
    (archive,) = [row for row in rows if row["artifact"] == "bert-tiny@google"]
    assert archive["path"] == "uncased_L-2_H-128_A-2.zip"
    assert archive["urls"] == ["https://storage.googleapis.com/bert_models/2020_02_20/uncased_L-2_H-128_A-2.zip"]
    assert any(digest.startswith("sha256:") for row in rows for digest in row.get("digests", ()))
    assert {row["code"] for row in rows if "code" in row} == {"lnyy", "s5sz"}
    assert "left out" not in run(here, urls, "bert-tiny", "--json").stderr


def test_urls_without_a_selector_are_those_of_everything(here: Here) -> None:
    found = run(here, urls)
    assert (found.exit_code, found.stdout) == (0, run(here, urls, "--all").stdout)
    assert isinstance(run(here, urls, "bert-tny").exception, SelectorError)
    assert isinstance(run(here, urls, "--all", "bert-tiny").exception, UsageError)


@pytest.mark.parametrize("endpoint", ["notaurl", "ftp://host", "https://"])
def test_an_endpoint_that_is_no_address_is_not_blamed_on_the_catalog(here: Here, endpoint: str) -> None:
    for words, env in ((["bert-tiny"], {"HF_ENDPOINT": endpoint}), (["bert-tiny", "--endpoint", endpoint], {})):
        error = run(here, urls, *words, env=env).exception
        assert isinstance(error, UsageError)
        assert "endpoint" in str(error)
        assert "is not an http address" in str(error)


@pytest.mark.parametrize("command", [catalog_group, *catalog_group.commands.values(), urls])
def test_every_help_fits_100_columns(here: Here, command: click.Command) -> None:
    context = click.Context(command, max_content_width=100, terminal_width=100)
    text = command.get_help(context)
    assert max(map(len, text.splitlines())) <= 100
    assert "minibert-mirror " in text or "bert-tiny" in text
