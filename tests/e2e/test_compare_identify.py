"""``compare`` and ``identify`` as a user calls them, on a small world of copies, faithful and not."""

from __future__ import annotations

import re
import zipfile
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mirror.formats import safetensors
from mirror.upstream.containers import safetensors as writer
from mirror.upstream.containers.tensors import Named
from mirror.upstream.modelfiles import ModelFiles
from mirror.upstream.server import Server
from mirror.upstream.stock import shipped_catalog
from mirror.upstream.world import World
from tests import catalogs, hostile
from tests.command import DATA, Command, fresh_command, in_mirror

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

pytestmark = pytest.mark.slow  # whole commands, one after the other: seconds each

ENTRY = next(entry for entry in shipped_catalog()["models"] if entry["id"] == "bert_uncased_L-4_H-256_A-4")
FAITHFUL = replace(ModelFiles.of(ENTRY, seed=0, scale=16), id="faithful")
#: Of the same shape, with other numbers.
TWIN = replace(FAITHFUL, id="twin")
ZIP = "uncased_L-4_H-256_A-4.zip"
QUERY = "bert.encoder.layer.3.attention.self.query.weight"
PAYLOAD = hostile.torch_zip(
    hostile.pickle(hostile.call(hostile.name("posix", "system"), hostile.text(hostile.COMMAND)))
)


def changed(change: Callable[[dict[str, NDArray[Any]]], object]) -> bytes:
    """Return the faithful model's safetensors after a change."""
    held = {one.name: one.array.copy() for one in safetensors.read(FAITHFUL.safetensors()).tensors}
    change(held)
    return writer.write([Named(name, array) for name, array in held.items()])


def one_step(held: dict[str, NDArray[Any]]) -> None:
    held[QUERY][5, 2] = np.nextafter(held[QUERY][5, 2], np.float32(9))


def other_heads_and_last_layer(held: dict[str, NDArray[Any]]) -> None:
    for name in held:
        if name.startswith("cls.") or ".layer.3." in name:
            held[name] += 1


#: What each source of each model offers; all but ``twin`` say that they are the faithful one.
SOURCES: Mapping[str, Mapping[str, Mapping[str, Callable[[], bytes]]]] = {
    "faithful": {
        "google": {ZIP: FAITHFUL.google_archive},
        "huggingface": {
            "flax_model.msgpack": FAITHFUL.flax,
            "model.safetensors": FAITHFUL.safetensors,
            "pytorch_model.bin": lambda: FAITHFUL.torch(converted=True),
        },
        "baidu-pytorch": {"pytorch_model.bin": lambda: FAITHFUL.torch(legacy=True, converted=True)},
        "paddle": {"model_state.pdparams": FAITHFUL.paddle},
        "paddle-late": {"model_state.pdparams": lambda: FAITHFUL.paddle(protocol=4)},
    },
    "converted": {
        "huggingface": {"pytorch_model.bin": FAITHFUL.torch},
        "google": {ZIP: FAITHFUL.google_archive},
        "paddle": {"model_state.pdparams": lambda: FAITHFUL.paddle(converted=True)},
    },
    "lossy": {
        "google": {ZIP: FAITHFUL.google_archive},
        "paddle": {"model_state.pdparams": lambda: FAITHFUL.paddle(rounded=True)},
    },
    "mistaken": {
        "google": {ZIP: FAITHFUL.google_archive},
        "paddle": {"model_state.pdparams": lambda: FAITHFUL.paddle(numbers_of="twin")},
    },
    "touched": {
        "huggingface": {"model.safetensors": lambda: changed(one_step)},
        "google": {ZIP: FAITHFUL.google_archive},
    },
    "hostile": {
        "google": {ZIP: FAITHFUL.google_archive},
        "huggingface": {"pytorch_model.bin": lambda: PAYLOAD},
    },
    "twin": {"google": {ZIP: TWIN.google_archive}},
}
SOUND = tuple(name for name in SOURCES if name != "hostile")


def world_and_catalog(server: Server, world: World) -> dict[str, Any]:
    """Put every copy on the plain host and return the catalog that names them."""
    models = []
    shape = {name: value for name, value in asdict(FAITHFUL.shape).items() if name in catalogs.SIZES}
    for model, sources in SOURCES.items():
        entries = []
        for source, files in sources.items():
            for path, make in files.items():
                world.add_object("plain", f"/{model}/{source}/{path}", make)
            listed = [catalogs.file(path, server.url("plain", f"/{model}/{source}/{path}")) for path in files]
            entries.append(catalogs.http(*listed, id=source, url=server.url("plain", f"/{model}/")))
        known = {**shape, "note": None, "provenance": []}
        models.append(catalogs.model(model, *entries, family="bert-miniature", aliases=[model.upper()], shape=known))
    return catalogs.catalog(*models)


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """The command in a mirror that holds everything; no test changes it."""
    root = tmp_path_factory.mktemp("compared")
    world = World()
    with Server(world) as server:
        here = in_mirror(fresh_command(root), root / "mirror", server, world_and_catalog(server, world))
        here("pull", *SOUND)
        here("pull", "hostile", code=4)
        yield here


def verdicts(told: str) -> dict[str, str]:
    """Return the last cell of each row of a table, by file."""
    return {row[0]: row[2] for line in told.splitlines() if len(row := re.split("  +", line)) == 3 and row[0]}


def test_every_format_and_source_of_one_model_is_identical(there: Command) -> None:
    told = there("compare", "faithful").out
    (head, *others) = verdicts(told).items()
    assert head == ("faithful", "verdict")
    assert others[0] == (f"faithful@google/{ZIP}!bert_model.ckpt", "reference")
    assert [verdict for _, verdict in others[1:]] == ["identical"] * 6
    formats = {row["weights"].partition("@")[2]: row["format"] for row in there("compare", "faithful", "--json").rows}
    assert formats == {
        f"google/{ZIP}!bert_model.ckpt": "tensorflow",
        "huggingface/flax_model.msgpack": "flax",
        "huggingface/model.safetensors": "safetensors",
        "huggingface/pytorch_model.bin": "torch-zip",
        "baidu-pytorch/pytorch_model.bin": "torch-legacy",
        "paddle/model_state.pdparams": "paddle",
        "paddle-late/model_state.pdparams": "paddle",
    }


def test_a_converter_that_left_the_heads_random_has_the_encoder_all_the_same(there: Command) -> None:
    told = there("compare", "converted").out
    assert verdicts(told)["converted@paddle/model_state.pdparams"] == "encoder identical, mlm and nsp differ"
    # Google's comes first, wherever it stands in the catalog.
    assert verdicts(told)[f"converted@google/{ZIP}!bert_model.ckpt"] == "reference"
    assert "cls.predictions.bias: max |Δ| " in told
    assert "encoder." not in told
    (row,) = [row for row in there("compare", "converted", "--json").rows if row["format"] == "paddle"]
    assert row["relation"] == "encoder-identical"
    assert row["parts"] == {"core": "same", "pooler": "same", "mlm": "differs", "nsp": "differs"}
    assert all(each["name"].startswith("cls.") for each in row["differences"])


def test_a_lossy_conversion_is_named_with_its_largest_difference(there: Command) -> None:
    done = there("compare", "lossy", code=4)
    file = "lossy@paddle/model_state.pdparams"
    assert verdicts(done.out)[file] == "different: core, pooler, mlm and nsp differ"
    assert re.search(r"78 tensors: max \|Δ\| 0\.00048\d, .*; cast through F16$", done.out, re.M)
    assert "error: 1 of 2 weight files differs from the reference" in done.err
    (_, row) = there("compare", "lossy", "--json", code=4).rows
    assert len(row["differences"]) == 78
    assert {each["cause"] for each in row["differences"]} == {"cast through F16"}
    assert 0 < max(each["largest"] for each in row["differences"]) < 5e-4


def test_a_tolerance_lets_it_pass_and_says_that_this_is_less(there: Command) -> None:
    told = there("compare", "lossy", "--tolerance", "1e-3").out
    said = "within 0.001, which is not identical: core, pooler, mlm and nsp within tolerance"
    assert verdicts(told)["lossy@paddle/model_state.pdparams"] == said
    there("compare", "lossy", "--tolerance", "1e-6", code=4)
    there("compare", "lossy", "--tolerance", "0", code=2)


def test_another_model_under_the_right_name_is_different_and_recognised(there: Command, tmp_path: Path) -> None:
    told = there("compare", "mistaken", code=4).out
    assert verdicts(told)["mistaken@paddle/model_state.pdparams"].startswith("different: ")
    assert f"its encoder is, bit by bit, that of twin@google/{ZIP}!bert_model.ckpt" in told
    (tmp_path / "mine.bin").write_bytes(TWIN.torch(legacy=True))
    (row,) = there("identify", str(tmp_path / "mine.bin"), "--json").rows
    assert (row["likely"], row["model"], row["format"]) == ("identical", "twin", "torch-legacy")
    assert row["same"] == [f"twin@google/{ZIP}!bert_model.ckpt", "mistaken@paddle/model_state.pdparams"]


def test_one_step_of_one_element_is_found_and_its_tensor_named(there: Command) -> None:
    told = there("compare", "touched", code=4).out
    assert verdicts(told)["touched@huggingface/model.safetensors"] == "different: core differs"
    name = QUERY.removeprefix("bert.")
    assert re.search(rf"{re.escape(name)}: max \|Δ\| \S+ \(1 ULP\), 1 of 256 elements$", told, re.M)


def test_a_file_that_would_run_code_is_not_read_and_said_so(there: Command) -> None:
    done = there("compare", "hostile", code=4)
    said = verdicts(done.out)["hostile@huggingface/pytorch_model.bin"]
    assert "would run 'posix.system', which no weights need" in said
    assert not list(there.cwd.rglob(hostile.CANARY))


def test_everything_is_compared_without_a_name_and_only_what_is_named_with_one(there: Command) -> None:
    done = there("compare", code=4)
    assert "7 models, 19 weight files" in done.err
    assert "error: 4 of 19 weight files differ" in done.err
    two = verdicts(there("compare", "faithful@google", "faithful@paddle").out)
    assert len(two) == 1 + 2
    alone = there("compare", "twin").out
    assert "reference, and nothing to compare it with" in alone
    assert there("compare", "twin", "--json").rows[0]["relation"] == "reference"


@pytest.mark.slow
def test_what_was_never_loaded_is_loaded_and_recorded(command: Command, tmp_path: Path) -> None:
    world = World()
    with Server(world) as server:
        here = in_mirror(command, tmp_path / "mirror", server, world_and_catalog(server, world))
        assert "no weights of faithful are held" in here("compare", "faithful", code=2).err
        assert "no weights are held" in here("compare", code=2).err
        here("pull", "faithful", "--no-verify")
        assert here("ledger", "log", "--kind", "loaded").out == ""
        assert here("compare", "faithful").out.count(" identical\n") == 6
        assert len(here("ledger", "log", "--kind", "loaded", "--json").rows) == 7
        here("compare", "faithful")
        assert len(here("ledger", "log", "--kind", "loaded", "--json").rows) == 7


@pytest.mark.slow
def test_a_file_is_proved_by_nothing_but_an_index(there: Command, tmp_path: Path) -> None:
    index = tmp_path / "bert_model.ckpt.index"
    index.write_bytes(FAITHFUL.checkpoint("x")["x.index"])
    for name, data in (
        ("a.bin", FAITHFUL.torch(converted=True)),
        ("b", FAITHFUL.paddle()),
        ("c.zip", FAITHFUL.google_archive()),
    ):
        (tmp_path / name).write_bytes(data)
        told = there("compare", str(tmp_path / name), "--index", str(index)).out
        assert re.match(r"checked  .*: 78 of the index's 78 tensors have its CRC-32C\n$", told), told
    (tmp_path / "d").write_bytes(changed(one_step))
    done = there("compare", str(tmp_path / "d"), "--index", str(index), code=4)
    assert f"error: the index refutes {QUERY.removeprefix('bert.')}\n" in done.err
    (row,) = there("compare", str(tmp_path / "d"), "--index", str(index), "--json", code=4).rows
    assert (len(row["proved"]), len(row["refuted"]), row["level"]) == (77, 1, None)
    real = str(DATA / "bert-mini" / "bert_model.ckpt.index")
    assert "78 of" not in there("compare", str(tmp_path / "d"), "--index", real, code=4).out
    (tmp_path / "e").write_bytes(PAYLOAD)
    assert "would run 'posix.system'" in there("compare", str(tmp_path / "e"), "--index", real, code=4).err
    assert "--index wants one FILE" in there("compare", "faithful", "--index", real, code=2).err
    (tmp_path / "f.zip").write_bytes(b"PK\5\6" + bytes(18))
    assert "holds no weights" in there("compare", str(tmp_path / "f.zip"), "--index", real, code=2).err


def identified(there: Command, path: Path, code: int = 0) -> dict[str, Any]:
    (row,) = there("identify", str(path), "--json", code=code).rows
    return dict(row)


def test_held_bytes_are_known_wherever_they_lie(there: Command, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(FAITHFUL.flax())
    row = identified(there, tmp_path / "x")
    assert (row["likely"], row["model"]) == ("known", "faithful")
    assert row["same"] == ["faithful@huggingface/flax_model.msgpack"]
    (tmp_path / "vocab.txt").write_bytes(FAITHFUL.vocab())
    assert identified(there, tmp_path / "vocab.txt")["same"][0] == f"faithful@google/{ZIP}!vocab.txt"


@pytest.mark.parametrize("name", ["weights", "a.zip", "b.tgz"])
def test_the_same_tensors_are_recognised_in_other_bytes(there: Command, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "weights":
        path.write_bytes(FAITHFUL.torch(legacy=True))
    elif name == "a.zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("deep/model.safetensors", FAITHFUL.safetensors())
    else:
        path.write_bytes(FAITHFUL.albert_archive("any"))
    told = there("identify", str(path)).out
    assert told.startswith("identical")
    assert "FAITHFUL: identical, as in faithful@google/" in told


def test_an_encoder_is_recognised_without_its_heads(there: Command, tmp_path: Path) -> None:
    def headless(held: dict[str, NDArray[Any]]) -> None:
        for name in [name for name in held if name.startswith("cls.")]:
            del held[name]

    (tmp_path / "x").write_bytes(changed(headless))
    row = identified(there, tmp_path / "x")
    assert (row["likely"], row["model"]) == ("encoder-identical", "faithful")
    assert "FAITHFUL: encoder identical, mlm and nsp absent, as in faithful@google/" in row["text"]


def test_single_tensors_vote_and_what_is_not_theirs_is_told(there: Command, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(changed(other_heads_and_last_layer))
    row = identified(there, tmp_path / "x")
    assert (row["likely"], row["model"], row["votes"]) == ("partly", "faithful", [55, 78])
    assert row["text"].startswith("55 of 78 tensors are FAITHFUL's, as in faithful@google/")
    assert row["text"].endswith("; not mlm, nsp, layer 3")


def test_numbers_that_nobody_has_are_known_by_their_shape(there: Command, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(replace(FAITHFUL, id="nobody").safetensors())
    row = identified(there, tmp_path / "x")
    assert (row["likely"], row["family"], row["sizes"]["layers"]) == ("shape", "bert", 4)
    assert row["nearest"] == list(SOURCES)
    assert row["text"].endswith("no weights with these numbers were ever loaded here")


def test_without_a_mirror_the_shipped_catalog_answers(command: Command, tmp_path: Path) -> None:
    mini = identified(command, DATA / "bert-mini" / "bert_model.ckpt.index")
    assert (mini["likely"], mini["model"]) == ("known", "bert-mini")
    base = identified(command, DATA / "tf" / "chinese_L-12_H-768_A-12" / "bert_model.ckpt.index")
    assert (base["likely"], base["format"], base["nearest"][0]) == ("shape", "tensorflow", "bert-base")
    assert "BERT-Base (vocabulary 30522)" in base["text"]
    keras = identified(command, DATA / "tf" / "keras-bert" / "bert_model.ckpt.data-00000-of-00001")
    assert (keras["name"].rpartition("/")[2], keras["likely"]) == ("bert_model.ckpt.index", "shape")
    assert not (tmp_path / "home" / "data").exists()


def test_what_is_unknown_is_said_and_why_and_is_no_failure(there: Command, tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_text("<!doctype html><html>log in</html>")
    (tmp_path / "notes").write_text("hello")
    told = there("identify", str(tmp_path / "pytorch_model.bin"), str(tmp_path / "notes")).out
    assert [line.split()[0] for line in told.splitlines()[::2]] == ["unknown", "unknown"]
    assert "an HTML page: a login, a consent or an error, where the file should be" in told
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as archive:
        archive.writestr("README", "hello")
    assert identified(there, tmp_path / "empty.zip")["text"] == "an archive without weights"
    (tmp_path / "other").write_bytes(writer.write([Named("conv.weight", np.ones((2, 2), "<f4"))]))
    assert identified(there, tmp_path / "other")["text"] == "1 tensor of no family that is known here"
    there("identify", str(tmp_path / "nowhere"), code=2)


@pytest.mark.parametrize("where", ["file", "archive"])
def test_a_file_that_would_run_code_is_refused_and_nothing_runs(there: Command, tmp_path: Path, where: str) -> None:
    path = tmp_path / "x.zip"
    if where == "file":
        path.write_bytes(PAYLOAD)
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("pytorch_model.bin", PAYLOAD)
    there_now = there.at(tmp_path)
    done = there_now("--mirror", str(there.cwd), "identify", str(path), code=4)
    assert "would run 'posix.system', which no weights need" in done.out
    assert "error: 1 file refused" in done.err
    assert not list(tmp_path.rglob(hostile.CANARY))


def test_held_bytes_of_another_model_than_their_name_says_are_not_only_known(there: Command, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(FAITHFUL.paddle(numbers_of="twin"))
    row = identified(there, tmp_path / "x")
    assert (row["likely"], row["model"]) == ("identical", "twin")
    said = "the very bytes of mistaken@paddle/model_state.pdparams, whose numbers are another's: TWIN: identical"
    assert row["text"].startswith(said)


def test_damage_is_refused_and_located(there: Command, tmp_path: Path) -> None:
    for name, data in FAITHFUL.checkpoint("model").items():
        (tmp_path / name).write_bytes(data)
    shard = tmp_path / "model.data-00000-of-00001"
    altered = bytearray(shard.read_bytes())
    altered[-3] ^= 1
    shard.write_bytes(altered)
    row = identified(there, tmp_path / "model.index", code=4)
    assert row["likely"] == "refused"
    assert re.search(r"tensor cls/seq_relationship/output_weights: CRC-32C \w+, where the index has", row["text"])
    (tmp_path / "cut.zip").write_bytes(FAITHFUL.google_archive()[:-50])
    assert identified(there, tmp_path / "cut.zip", code=4)["likely"] == "refused"


def test_a_checkpoint_is_known_by_its_bytes_only_with_all_of_its_data(there: Command, tmp_path: Path) -> None:
    for name, data in FAITHFUL.checkpoint("bert_model.ckpt").items():
        (tmp_path / name).write_bytes(data)
    row = identified(there, tmp_path)
    assert (row["likely"], row["same"][0]) == ("known", f"faithful@google/{ZIP}!bert_model.ckpt.index")
    renamed = tmp_path / "other"
    renamed.mkdir()
    for name, data in TWIN.checkpoint("model").items():
        (renamed / name).write_bytes(data if name.endswith(".index") else bytes(len(data)))
    assert identified(there, renamed, code=4)["likely"] == "refused"


def test_of_a_folder_what_is_no_weights_is_passed_over(there: Command, tmp_path: Path) -> None:
    hub = tmp_path / "models--o--r"
    (hub / "blobs").mkdir(parents=True)
    (hub / "snapshots").mkdir()
    (hub / "blobs" / "abc").write_bytes(FAITHFUL.torch(legacy=True))
    (hub / "snapshots" / "pytorch_model.bin").symlink_to("../blobs/abc")
    (hub / "snapshots" / "tf_model.h5").write_text("<html>")
    (hub / "snapshots" / "README.md").write_text("# hello")
    (hub / "snapshots" / "gone").symlink_to("nowhere")
    (hub / "snapshots" / "round").symlink_to("..")
    rows = there("identify", str(tmp_path), "--json").rows
    assert [(row["name"].rpartition("/")[2], row["likely"]) for row in rows] == [
        ("abc", "identical"),
        ("pytorch_model.bin", "identical"),
        ("tf_model.h5", "unknown"),
    ]
    (tmp_path / "bare").mkdir()
    assert there("identify", str(tmp_path / "bare")).err.endswith("there are no weights\n")


def test_the_library_does_what_the_commands_do(there: Command, tmp_path: Path) -> None:
    from mirror import Mirror

    mirror = Mirror.open(there.cwd, environ={})
    (found,) = mirror.compare("converted")
    assert found.reference is not None
    assert [str(one.verdict) for one in found.others if one.verdict is not None] == [
        "identical",
        "encoder identical, mlm and nsp differ",
    ]
    assert not any(one.differs for one in found.others)
    (tmp_path / "x").write_bytes(FAITHFUL.paddle(protocol=4))
    (one,) = mirror.identify(tmp_path / "x")
    assert (one.likely.value, one.model) == ("known", "faithful")
    assert (one.family, set(one.roots)) == ("bert", {"core", "pooler", "mlm", "nsp", "all"})
