"""Reading and writing: what is refused, what is kept."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from mirror.catalog import parse, read, to_text, write
from mirror.errors import CatalogError, SelectorError, StoreError
from tests.catalogs import COMMIT, GIT_SHA1, SHA256, catalog, file, http, hub, model, pan, text

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("", "line 1, column 1"),
        ("[]", "not a catalog of schema"),
        ('{"schema": "other/2"}', "'other/2'"),
        ('{"schema": "minibert-mirror/catalog/1"}', "'provenance' is missing"),
        (text(model("a", {"id": "x"})), "'files' is missing"),
        (text(model("../a")), "'../a' cannot be a name"),
        (text(model("a@b")), "'a@b' cannot be a name"),
        (text(model("a"), model("A")), "'A' names both a and A"),
        (text(model("a", aliases=["b"]), model("b")), "'b' names both"),
        (text(model("a", hub("o/a"), hub("o/b"))), "two sources 'huggingface'"),
        (text(model("a", http(id="Bad Slug"))), "cannot be a source's id"),
        (text(model("a", hub("o/a", file("../x")))), "unsafe path '../x'"),
        (text(model("a", hub("o/a", file("x", sha256="AB" * 32)))), "is no digest of 64"),
        (text(model("a", hub("o/a", file("x", git_sha1="1")))), "is no digest of 40"),
        (text(model("a", hub("o/a", file("x", size=-1)))), "is no size"),
        (text(model("a", hub("o/a", file("x", size=True)))), "is no size"),
        (text(model("a", hub("o/a", file("x", provenance=["nobody"])))), "no provenance 'nobody'"),
        (text(model("a", http(file("x", urls="https://host/x")))), "should be a list of strings"),
        (text(model("a", {**hub("o/a"), "files": {}})), "should be a list"),
        ("[" * 100_000, "nested too deeply"),
        (text(model("a", notes=["\ud83d\ude00 \ud800"])), "models/a/notes/0: holds half a character"),
        (text(model("a", hub("o/a", file("\udc00")))), "models/a/sources/huggingface/files/\\udc00/path: holds half"),
    ],
)
def test_what_would_be_dangerous_or_useless_is_refused(broken: str, said: str) -> None:
    with pytest.raises(CatalogError, match="here") as caught:
        parse(broken, where="here.json")
    assert said in str(caught.value)


def test_a_character_in_two_escapes_is_whole() -> None:
    assert parse(text(model("a", notes=["\U0001f600"]))).data["models"][0]["notes"] == ["\U0001f600"]


def test_a_missing_file_is_a_catalog_error(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="No such file") as caught:
        read(tmp_path / "catalog.json")
    assert caught.value.hint == "check the path"


def test_bytes_that_are_not_utf8_are_a_catalog_error(tmp_path: Path) -> None:
    (tmp_path / "catalog.json").write_bytes(b'{"schema": "\xff"}')
    with pytest.raises(CatalogError, match="not UTF-8 at byte 12"):
        read(tmp_path / "catalog.json")


def test_a_nickname_names_the_artifact_and_the_id_still_finds_the_model() -> None:
    known = parse(text(model("owner/Long", name="short", aliases=["SHORT", "s/1"])))
    artifact = known.artifact("short@huggingface")
    assert artifact.model.id == "owner/Long"
    assert artifact.model.label == "SHORT"
    assert {known.model(name) for name in ("owner/long", "Short", "S/1")} == {artifact.model}


def test_an_unknown_artifact_answers_with_the_nearest() -> None:
    known = parse(text(model("albert"), model("bert")))
    with pytest.raises(SelectorError, match=r"nearest: albert@huggingface"):
        known.artifact("albrt@huggingface")


@pytest.mark.parametrize(
    ("more", "ref"), [({}, "main"), ({"ref": "refs/pr/1"}, "refs/pr/1"), ({"ref": "v1", "revision": COMMIT}, COMMIT)]
)
def test_a_hub_is_asked_for_the_commit_else_the_ref_else_main(more: dict[str, Any], ref: str) -> None:
    artifact = parse(text(model("a", hub("o/a", file("d/x y"), **more)))).artifact("a@huggingface")
    assert artifact.ref == ref
    quoted = ref.replace("/", "%2F")
    assert artifact.files[0].urls == (f"https://huggingface.co/o/a/resolve/{quoted}/d/x%20y",)


def test_a_promise_names_its_readers() -> None:
    known = parse(
        text(
            model(
                "a",
                hub(
                    "o/a",
                    file("one", sha256=SHA256, provenance=["record"]),
                    file("two", git_sha1=GIT_SHA1, provenance=["record", "named", "other"]),
                    file("none", provenance=["named"]),
                ),
            )
        )
    )
    one, two, none = known.artifact("a@huggingface").files
    assert [claim.where for claim in one.claims()] == ["catalog.json: public record 69480406098, unconfirmed"]
    assert [str(claim) for claim in two.claims()] == [
        "catalog (catalog.json: o/r README.md, public records 69480406098, 70318009907) says git-sha1:" + GIT_SHA1
    ]
    assert none.claims() == ()
    assert [entry.pinned for entry in (one, two, none)] == [True, False, False]


def test_a_file_read_at_another_revision_keeps_its_address_and_promises_nothing() -> None:
    entry = file("x", sha256=SHA256, size=5, revision="main")
    pinned = parse(text(model("a", hub("o/a", entry, revision=COMMIT)))).artifact("a@huggingface").files[0]
    assert pinned.urls == ("https://huggingface.co/o/a/resolve/main/x",)
    assert (pinned.claims(), pinned.promised_size, pinned.size) == ((), None, 5)


def test_an_http_source_is_complete_and_a_hub_is_not() -> None:
    known = parse(text(model("a", hub("o/a", file("x")), http(file("x", "https://h/x")), pan())))
    assert [artifact.complete for artifact in known.artifacts()] == [False, True, False]


def test_writing_and_reading_keeps_every_word() -> None:
    data = catalog(model("a", hub("o/a", file("x", note="word", role="vocab", candidate_size=3)), pan()), model("b"))
    written = to_text(parse(json.dumps(data)))
    assert json.loads(written) == data
    assert to_text(parse(written)) == written


def test_a_file_that_fits_a_line_stands_on_one() -> None:
    lines = to_text(parse(text(model("a", hub("o/a", file("x")))))).splitlines()
    assert any(line.strip().startswith('{"path": "x"') and line.endswith("}") for line in lines)
    assert max(map(len, lines)) <= 120


def test_writing_replaces_all_or_nothing_and_keeps_the_mode(tmp_path: Path) -> None:
    path = tmp_path / "catalog.json"
    path.write_text("old", encoding="utf-8")
    path.chmod(0o664)
    known = parse(text(model("a")))
    write(known, path)
    assert read(path).sha256 == parse(to_text(known)).sha256
    assert path.stat().st_mode & 0o777 == 0o664
    assert [entry.name for entry in tmp_path.iterdir()] == ["catalog.json"]


def test_a_new_file_gets_the_mode_of_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        write(parse(text(model("a"))), tmp_path / "new.json")
    finally:
        os.umask(old)
    assert (tmp_path / "new.json").stat().st_mode & 0o777 == 0o640


def test_a_folder_that_is_not_there_is_a_store_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file"):
        write(parse(text(model("a"))), tmp_path / "nowhere" / "catalog.json")


def test_a_catalog_of_many_files_is_read_in_linear_time_and_little_memory() -> None:
    import tracemalloc

    files = [file(f"part-{number:05}.bin", sha256=f"{number:064x}", size=number) for number in range(5000)]
    written = text(model("big", hub("o/big", *files)))
    tracemalloc.start()
    known = parse(written)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(known.artifact("big@huggingface").files) == 5000
    # 10^5 files then take under 100 MiB; the JSON objects of one source are the peak.
    assert held / 5000 < 1000
    assert peak / 5000 < 2500
