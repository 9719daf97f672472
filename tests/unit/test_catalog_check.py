"""`check` names every problem, and where it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from mirror.catalog import builtin_catalog_text
from mirror.catalog.check import check
from tests.catalogs import SHA256, catalog, file, http, hub, model, pan

INDEX_OF_2018 = "04c1323086e2f1c5b7c0759d8d3e484afbb0ab45f51793daab9f647113a0117b"
Change = Callable[[dict[str, Any]], object]


#: Models that the tests change, or that another would be confused with: to judge all 48 takes five times as long.
NEEDED = {"bert-tiny", "bert-mini", "bert-small", "bert-base"}


def shipped(change: Change) -> list[str]:
    data = json.loads(builtin_catalog_text())
    data["models"] = [entry for entry in data["models"] if entry["name"] in NEEDED]
    change(data)
    return [str(problem) for problem in check(json.dumps(data))]


def tiny(data: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(entry for entry in data["models"] if entry["name"] == "bert-tiny")
    return found


def base(data: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(entry for entry in data["models"] if entry["name"] == "bert-base")
    return found


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: tiny(d).update(colour="red"), "models/bert-tiny: Additional properties are not allowed"),
        (lambda d: tiny(d).pop("licence"), "models/bert-tiny: 'licence' is a required property"),
        (lambda d: tiny(d)["shape"].update(layers="2"), "models/bert-tiny/shape/layers: '2' is not of type"),
        (
            lambda d: tiny(d)["sources"][2].update(code="lnyyy"),
            "models/bert-tiny/sources/baidu-pytorch/code: 'lnyyy' does not match",
        ),
        (
            lambda d: tiny(d)["sources"][2].update(url="https://pan.baidu.com/share/init?surl=x"),
            "models/bert-tiny/sources/baidu-pytorch/url:",
        ),
        (
            lambda d: tiny(d)["sources"][0].update(revision="main"),
            "models/bert-tiny/sources/huggingface/revision: 'main' does not match",
        ),
        (
            lambda d: tiny(d)["sources"][0]["files"][0].update(urls=["https://h/x"]),
            "models/bert-tiny/sources/huggingface/files/config.json: Additional properties",
        ),
        (lambda d: tiny(d)["sources"][0].update(kind="ftp"), "models/bert-tiny/sources/huggingface/kind: 'ftp'"),
        (lambda d: tiny(d)["aliases"].append("BERT-Mini"), "models/bert-mini: 'bert-mini' names models/bert-tiny too"),
        (lambda d: tiny(d).update(name=None, id="a/../b"), "models/a/../b: 'a/../b' cannot be a name"),
        (lambda d: d["bundles"][0].update(name="a@b"), "bundles/a@b: 'a@b' cannot be a name"),
        (lambda d: tiny(d)["sources"].append(tiny(d)["sources"][1]), "models/bert-tiny/sources/google: listed twice"),
        (
            lambda d: tiny(d)["sources"][0]["files"][0].update(path="../config.json"),
            "models/bert-tiny/sources/huggingface/files/../config.json: an unsafe path",
        ),
        (
            lambda d: tiny(d)["sources"][0]["files"][0].update(size=382.0),
            "models/bert-tiny/sources/huggingface/files/config.json/size: 382.0 is not",
        ),
        (
            lambda d: tiny(d)["sources"][0]["files"][0].update(sha256=f"{INDEX_OF_2018}\n"),
            "models/bert-tiny/sources/huggingface/files/config.json/sha256: '04c1323086e2f1c5b7c0759d8d3e484afb",
        ),
        (
            lambda d: tiny(d)["sources"][0]["files"][0].update(provenance=["nobody"]),
            "models/bert-tiny/sources/huggingface/files/config.json/provenance: no 'nobody' in the provenance table",
        ),
        (
            lambda d: tiny(d)["sources"][2].update(code=None),
            "models/bert-tiny/sources/baidu-pytorch/code: a published share of a miniature has an extraction code",
        ),
        (lambda d: tiny(d)["shape"].update(heads=3), "models/bert-tiny/shape/heads: 3 heads do not divide hidden 128"),
        (lambda d: tiny(d)["sources"].pop(3), "models/bert-tiny: a miniature without the source 'baidu-tensorflow'"),
        (
            lambda d: tiny(d)["parameters"]["computed"].update(encoder_with_pooler=4385921),
            "models/bert-tiny/parameters/computed: is {'encoder_with_pooler': 4385921",
        ),
        (
            lambda d: tiny(d)["sources"][1].update(computed_data_bytes=17733871),
            "models/bert-tiny/sources/google/computed_data_bytes: is 17733871, not 4 x 4433468",
        ),
        (
            lambda d: tiny(d)["shape"].update(vocab_size=None),
            "models/bert-tiny/parameters/computed: is stated, but the shape is not known",
        ),
        (
            lambda d: tiny(d)["licence"].update(provenance=["nobody"]),
            "models/bert-tiny/licence/provenance: no 'nobody' in the provenance table",
        ),
        (lambda d: tiny(d)["citations"].append("nobody2020"), "models/bert-tiny: no citation 'nobody2020'"),
        (
            lambda d: tiny(d)["sources"][0]["files"].append(tiny(d)["sources"][0]["files"][0]),
            "models/bert-tiny/sources/huggingface/files/config.json: listed twice",
        ),
        (
            lambda d: base(d)["sources"][1]["files"][0].update(sha256=INDEX_OF_2018),
            "models/bert-base/sources/google/files/uncased_L-12_H-768_A-12.zip: pins a look-alike",
        ),
        (
            lambda d: d["bundles"][0]["sources"][0].update(status="published"),
            "bundles/little-berts-pytorch-all/sources/baidu-pytorch: a share has an address exactly when",
        ),
    ],
)  # fmt: skip
def test_one_mistake_is_one_problem_that_says_where(change: Change, said: str) -> None:
    problems = shipped(change)
    assert [problem for problem in problems if problem.startswith(said)], problems


def test_no_problem_hides_another() -> None:
    def change(data: dict[str, Any]) -> None:
        tiny(data)["aliases"].append("BERT-Mini")
        tiny(data)["shape"]["heads"] = 3
        tiny(data)["sources"].append(tiny(data)["sources"][0])
        base(data).update(colour="red", aliases=["BERT-Tiny"])
        small = next(entry for entry in data["models"] if entry["name"] == "bert-small")
        small["sources"][1]["files"] = []
        small["sources"][0]["files"][0]["path"] = "/etc/passwd"
        data["bundles"][1]["sources"][0]["files"] = [{"path": "x"}]

    found = {problem.partition(": ")[0] for problem in shipped(change)}
    assert found == {
        "models/bert-mini",
        "models/bert-tiny/shape/heads",
        "models/bert-tiny/sources/huggingface",
        "models/bert-base",
        "models/bert-small/sources/google",
        "models/bert-small/sources/huggingface/files//etc/passwd",
        "bundles/little-berts-tensorflow-all/sources/baidu-tensorflow/files/x",
    }


def test_a_key_that_stands_twice_is_a_problem_where_it_stands() -> None:
    good = json.dumps(catalog(model("a", hub("o/a", file("x"))), model("b")))
    twice = good.replace('"family": null', '"family": "bert", "family": null', 1).replace(
        '"path": "x"', '"path": "y", "path": {"z": 1, "z": 2}, "path": "x"'
    )
    assert [str(problem) for problem in check(twice)] == [
        "models/a: the key 'family' stands there twice",
        "models/a/sources/huggingface/files/x: the key 'path' stands there 3 times",
    ]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda d: tiny(d).update(name="\ud800"), "models/\\ud800/name"),
        (lambda d: tiny(d)["notes"].append("\udfff"), "models/bert-tiny/notes/0"),
        (lambda d: tiny(d)["sources"][0]["files"][0].update(path="\ud800"),
         "models/bert-tiny/sources/huggingface/files/\\ud800/path"),
        (lambda d: d["provenance"].update({"\ud800": 1}), "provenance/\\ud800"),
        (lambda d: tiny(d)["lookalikes"].append({"what": "\ud800"}), "models/bert-tiny/lookalikes/\\ud800/what"),
    ],
)  # fmt: skip
def test_half_a_character_is_a_problem_that_can_be_printed(change: Change, where: str) -> None:
    problems = shipped(change)
    assert f"{where}: holds half a character (a lone surrogate), which no text can" in problems
    "\n".join(problems).encode()


def test_a_user_s_own_share_may_have_no_code() -> None:
    assert check(json.dumps(catalog(model("a", pan(code=None))))) == []


@pytest.mark.parametrize(
    "url",
    ["https://user:pw@host/x", "https:///x", "https://host:99999/x", "https://ho st/x", "https://host/x#part",
     "https://хост/x", "https://host:0/x", "https://host/x\n", "file://host/x", "file:///x y"],
)  # fmt: skip
def test_an_address_that_no_client_could_open_is_named(url: str) -> None:
    problems = check(json.dumps(catalog(model("a", http(file("x", url))))))
    assert [problem.where for problem in problems] == ["models/a/sources/google/files/x/urls/0"]


def test_a_password_in_an_address_is_not_repeated() -> None:
    (problem,) = check(json.dumps(catalog(model("a", http(file("x", "https://me:secret@host/x"))))))
    assert problem.what == "'https://…@host/x' has a user name: an address is logged and shared"


@pytest.mark.parametrize(
    "url", ["file:///data/x.bin", "https://host/x", "http://127.0.0.1:8090/a/b?c=d", "http://[::1]:80/x"]
)
def test_a_good_address_is_good(url: str) -> None:
    assert check(json.dumps(catalog(model("a", http(file("x", url)))))) == []


def test_an_http_source_without_files_is_a_problem() -> None:
    problems = check(json.dumps(catalog(model("a", http()))))
    assert [str(problem) for problem in problems] == [
        "models/a/sources/google: an http source must list its files: nobody else does"
    ]


@pytest.mark.parametrize("source", [hub("o/a"), pan(), http(kind="folder", id="folder", url="file:///data/"),
                                    http(kind="peer", id="peer", url="http://head:8090")])  # fmt: skip
def test_other_kinds_need_no_files(source: dict[str, Any]) -> None:
    assert check(json.dumps(catalog(model("a", source)))) == []


def test_the_members_of_an_archive_are_looked_at_too() -> None:
    members = [{key: value for key, value in file("m").items() if key != "urls"}] * 2
    source = http(file("a.zip", "https://h/a.zip", members=members))
    assert [problem.what for problem in check(json.dumps(catalog(model("a", source))))] == ["listed twice"]


def test_a_look_alike_that_shares_a_well_known_file_may_be_pinned() -> None:
    known = {"what": "a vocabulary", "lines": 1, "size": 1, "sha256": SHA256, "git_sha1": None, "note": None}
    lookalikes = [{"what": "another", "members": {"vocab.txt": SHA256}, "provenance": ["named"]}]
    entry = model("a", http(file("vocab.txt", "https://h/v", sha256=SHA256)), lookalikes=lookalikes)
    data = catalog(entry, well_known=[{**known, "provenance": ["named"]}])
    assert check(json.dumps(data)) == []
    assert len(check(json.dumps({**data, "well_known": []}))) == 1


DEEP = json.dumps(catalog(model("a", printed={"x": []}))).replace("[]}", f"{'[' * 900}{']' * 900}}}")


@pytest.mark.parametrize(
    "broken",
    ["", "{", "[" * 100_000, "nul", '"text"', "[]", "{}", DEEP, '{"models": 1, "provenance": []}',
     '{"models": [1], "bundles": {}, "provenance": {"a": 1}, "citations": []}'],
)  # fmt: skip
def test_what_is_no_catalog_is_a_problem_and_no_crash(broken: str) -> None:
    assert check(broken)


@pytest.mark.parametrize("paths", [("f.bin", "f.bin/x"), ("a/b/c", "a", "a.txt")])
def test_what_is_a_file_and_a_folder_is_refused(paths: tuple[str, ...]) -> None:
    source = http(*(file(path, f"https://h/{number}") for number, path in enumerate(paths)))
    (problem,) = check(json.dumps(catalog(model("m", source))))
    assert problem.where == f"models/m/sources/google/files/{min(paths, key=len)}"
    assert "a file, and the folder of others" in problem.what
