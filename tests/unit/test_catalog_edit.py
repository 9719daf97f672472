"""A user's own models, and what differs between two catalogs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mirror.catalog import Catalog, builtin_catalog_text, parse, select, to_text
from mirror.catalog.changes import diff
from mirror.catalog.check import check
from mirror.catalog.edit import add
from mirror.errors import UsageError
from tests.catalogs import COMMIT, SHA256, file, hub, model, text

SHIPPED = parse(builtin_catalog_text())


def added(*addresses: str, **more: Any) -> Catalog:
    changed = add(SHIPPED, addresses, **more)
    assert check(to_text(changed)) == []
    return changed


@pytest.mark.parametrize(
    ("address", "repo", "ref", "revision"),
    [
        ("hf:owner/repo", "owner/repo", "main", None),
        ("hf:gpt2", "gpt2", "main", None),
        ("hf:owner/repo@v1.0", "owner/repo", "v1.0", None),
        ("hf:owner/repo@refs/pr/1", "owner/repo", "refs/pr/1", None),
        (f"hf:owner/repo@{COMMIT}", "owner/repo", COMMIT, COMMIT),
        ("https://huggingface.co/owner/repo", "owner/repo", "main", None),
        ("https://huggingface.co/owner/repo/", "owner/repo", "main", None),
        (f"https://huggingface.co/owner/repo/tree/{COMMIT}", "owner/repo", COMMIT, COMMIT),
        ("https://huggingface.co/owner/repo/tree/refs%2Fpr%2F1", "owner/repo", "refs/pr/1", None),
    ],
)
def test_a_hub_repository_is_added(address: str, repo: str, ref: str, revision: str | None) -> None:
    changed = added(address)
    (artifact,) = select(changed, [repo])
    assert (artifact.kind, artifact.repo, artifact.ref, artifact.revision) == ("hub", repo, ref, revision)
    assert artifact.model is changed.models[-1]
    assert SHIPPED.model(repo) is None


def test_a_repository_answers_to_its_name_without_the_owner_where_that_is_free() -> None:
    once = added("hf:owner/repo")
    assert once.model("repo") is once.model("owner/repo") is once.models[-1]
    assert [artifact.name for artifact in once.artifacts_of(once.models[-1])] == ["owner/repo@huggingface"]
    twice = add(once, ["hf:other/Repo"])
    assert (twice.models[-1].name, twice.models[-1].aliases) == ("other/Repo", ())
    assert twice.model("repo").name == "owner/repo"  # type: ignore[union-attr]  # it is there
    assert added("hf:owner/repo", aliases=["mine"]).model("repo") is None
    assert added("hf:owner/repo", name="mine").model("repo") is None


def test_what_the_address_does_not_say_is_unknown() -> None:
    known = added("hf:owner/repo", aliases=["mine"]).model("mine")
    assert known is not None
    assert (known.family, known.language, known.licence, known.shape.layers) == (None, None, None, None)
    assert dict(known.parameters) == {}


def test_urls_become_the_files_of_one_model() -> None:
    changed = added("https://host/a%20b/model.bin", "http://host:81/vocab.txt?x=1", name="mine")
    (artifact,) = select(changed, ["mine"])
    assert [(entry.path, entry.urls) for entry in artifact.files] == [
        ("model.bin", ("https://host/a%20b/model.bin",)),
        ("vocab.txt", ("http://host:81/vocab.txt?x=1",)),
    ]


def test_a_single_file_may_be_pinned_by_its_user() -> None:
    (artifact,) = select(added("https://host/weights.zip", sha256=SHA256.upper(), size=7), ["weights"])
    (claim,) = artifact.files[0].claims()
    assert (claim.digest.hex, artifact.files[0].size) == (SHA256, 7)
    assert claim.where == "catalog.json: entered by this catalog's owner"


@pytest.mark.parametrize(
    ("address", "name", "kind", "url"),
    [
        ("file:///data/my%20weights/", "my weights", "folder", "file:///data/my%20weights/"),
        ("peer:http://head:8090", "head", "peer", "http://head:8090"),
        ("https://pan.baidu.com/s/1abcdefghijklmnopqrstuv?pwd=a1b2", "1abcdefghijklmnopqrstuv", "baidu-pan",
         "https://pan.baidu.com/s/1abcdefghijklmnopqrstuv"),
    ],
)  # fmt: skip
def test_other_places_are_added(address: str, name: str, kind: str, url: str) -> None:
    changed = add(SHIPPED, [address], name=name.replace(" ", "-"))
    assert check(to_text(changed)) == []
    (artifact,) = select(changed, [name.replace(" ", "-")])
    assert (artifact.kind, artifact.url) == (kind, url)
    assert artifact.code == ("a1b2" if kind == "baidu-pan" else None)


@pytest.mark.parametrize(
    ("addresses", "more", "said"),
    [
        ([], {}, "name a Hub repository or URLs"),
        (["hf:"], {}, "is not hf:OWNER/REPO"),
        (["hf:a/b/c"], {}, "is not hf:OWNER/REPO"),
        (["hf:a/b@"], {}, "is not hf:OWNER/REPO"),
        (["hf:a/b", "hf:c/d"], {}, "add it alone"),
        (["https://host/"], {}, "no address of a file"),
        (["ftp://host/x"], {}, "no address of a file"),
        (["https://host/.."], {}, "no address of a file"),
        (["bert-tiny"], {}, "no address of a file"),
        (["file://other/data/model.bin"], {}, "no address of a file"),
        (["file:///data/\udcff.bin"], {}, "no address of a file"),
        (["hf:a/b@\udcff"], {}, "holds half a character"),
        (["peer:/tmp/x"], {}, "'/tmp/x' is no address of a mirror"),
        (["peer:head:8090"], {}, "'head:8090' is no address of a mirror"),
        (["https://h/a.zip"], {"sha256": "07eced37"}, "'07eced37' is no sha256: that has 64 hexadecimal digits"),
        (["https://me:secret@h/a.zip"], {}, "'https://…@h/a.zip' has a user name"),
        (["peer:https://me:secret@h/"], {}, "'https://…@h/' has a user name"),
        (["https://h/a.zip", "https://h/a.zip"], {}, "two addresses of a file 'a.zip'"),
        (["https://h/a.zip", "https://g/a.zip"], {}, "two addresses of a file 'a.zip'"),
        (["hf:google/bert_uncased_L-2_H-128_A-2"], {}, "in the catalog already: bert-tiny"),
        (["hf:a/b"], {"name": "Bert-Tiny"}, "in the catalog already"),
        (["hf:a/b"], {"aliases": ["2/128"]}, "in the catalog already"),
        (["hf:a/b"], {"sha256": SHA256}, "describe one file"),
        (["https://h/a", "https://h/b"], {"size": 5}, "describe one file"),
    ],
)
def test_what_cannot_be_added_says_why(addresses: list[str], more: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        add(SHIPPED, addresses, **more)
    assert said in str(caught.value)


@pytest.mark.parametrize("more", [{"name": "a@b"}, {"name": "../a"}, {"aliases": ["a b"]}])
def test_a_value_that_does_not_fit_the_schema_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="does not match"):
        add(SHIPPED, ["https://host/x.bin"], **more)


@pytest.mark.parametrize(
    ("addresses", "more", "hint"),
    [
        (["https://h/a.zip"], {"sha256": "07eced37"}, "`sha256sum FILE` prints it"),
        (["https://h/a.zip", "https://g/a.zip"], {}, "`urls` in catalog.json"),
        (["https://me:secret@h/a.zip"], {}, "leave user name and password out"),
        (["peer:/tmp/x"], {}, "peer:file:///FOLDER"),
        (["https://h/a%20b.zip"], {}, "choose a name with --id"),
        (["https://h/bert-tiny.zip"], {}, "choose another with --id"),
        (["hf:a/b"], {"aliases": ["2/128"]}, "choose another --alias"),
        (["hf:a/b"], {"name": "a@b"}, "letters, digits"),
        (["hf:a/b"], {"aliases": ["a b"]}, "letters, digits"),
        (["https://pan.baidu.com/share/init?surl=x"], {}, "https://pan.baidu.com/s/1"),
    ],
)
def test_what_cannot_be_added_says_what_would_be_right(addresses: list[str], more: dict[str, Any], hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        add(SHIPPED, addresses, **more)
    assert hint in caught.value.hint
    assert "secret" not in f"{caught.value} {caught.value.hint}"


def test_a_file_of_this_machine_is_added_like_one_of_a_web_server() -> None:
    changed = added("file:///data/my%20models/weights.bin", sha256=SHA256)
    (artifact,) = select(changed, ["weights"])
    assert (artifact.name, artifact.kind, artifact.url) == (
        "weights@file",
        "http",
        "file:///data/my%20models/weights.bin",
    )
    (entry,) = artifact.files
    assert (entry.path, entry.urls, entry.pinned) == ("weights.bin", ("file:///data/my%20models/weights.bin",), True)


def test_two_equal_catalogs_have_no_difference() -> None:
    assert diff(SHIPPED, parse(builtin_catalog_text())) == []


def test_the_order_of_entries_is_no_difference() -> None:
    assert diff(parse(text(model("a"), model("b"))), parse(text(model("b"), model("a")))) == []


def test_every_difference_is_named_once() -> None:
    old = parse(text(model("a", hub("o/a", file("x", size=1), file("y"))), model("gone")))
    new = parse(text(model("a", hub("o/a", file("x", size=2), file("z"), revision=COMMIT)), model("new")))
    assert [str(change) for change in diff(old, new)] == [
        f'~ models/a/sources/huggingface/revision: null -> "{COMMIT}"',
        "~ models/a/sources/huggingface/files/x/size: 1 -> 2",
        "- models/a/sources/huggingface/files/y",
        "+ models/a/sources/huggingface/files/z",
        "- models/gone",
        "+ models/new",
    ]


def test_an_added_model_is_the_only_difference_to_the_shipped_catalog() -> None:
    changes = [(change.kind, change.where) for change in diff(SHIPPED, added("hf:owner/repo"))]
    assert changes == [("added", "provenance/user"), ("added", "models/owner/repo")]


def test_a_difference_is_json() -> None:
    for change in diff(SHIPPED, parse(text())):
        json.dumps([change.before, change.after])
