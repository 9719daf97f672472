"""Our reader against Paddle itself: the same tensors, bit for bit, whatever the protocol.

Only where Paddle is installed (`make oracles`), and in a process of its own: it does not bear
other frameworks beside it.
"""

from __future__ import annotations

import importlib.util
import os
import pickletools
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mirror.errors import FormatError
from mirror.formats import paddle

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.oracle

PROTOCOLS = (2, 3, 4)
#: Makes every file, and beside it what Paddle itself reads from it.
SCRIPT = """
import collections, inspect, sys
import numpy, paddle
from paddle.framework import io, io_utils

folder = sys.argv[1]
paddle.seed(7)


def save(name, state, protocol):
    path = f"{folder}/{name}-{protocol}.pdparams"
    paddle.save(state, path, protocol=protocol)
    keep(path)


def keep(path):
    numpy.savez(path + ".npz", **paddle.load(path, return_numpy=True))


model = paddle.nn.Sequential(
    paddle.nn.Embedding(50, 16), paddle.nn.TransformerEncoderLayer(16, 2, 32), paddle.nn.Linear(16, 40)
)
kinds = "float64 float32 float16 int64 int32 int16 int8 uint8 bool".split()
numbers = numpy.random.default_rng(7).standard_normal((20, 30)) * 50
kinds = {kind: numbers.astype(kind) for kind in kinds}
for protocol in (2, 3, 4):
    save("model", model.state_dict(), protocol)
    save("kinds", {kind: paddle.to_tensor(held) for kind, held in kinds.items()}, protocol)
    save("brain", {"a": paddle.to_tensor(numbers.astype("float32")).astype("bfloat16")}, protocol)
    save("arrays", kinds, protocol)
    save("ordered", collections.OrderedDict(model.state_dict()), protocol)
    save("live", {"a": paddle.to_tensor(numbers), "b": model.state_dict()["2.weight"]}, protocol)
    # What is no plain state dict has no table of names, and each is saved alive.
    state = {name: held for name, held in model.state_dict().items()}
    with open(f"{folder}/alive-{protocol}.pdparams", "wb") as file:
        io._pickle_save(state, file, protocol)
    keep(file.name)
    small = {"a": paddle.to_tensor(3.0), "b": paddle.to_tensor([7]), "c": numpy.zeros((0, 3), "float32")}
    save("small", small, protocol)
    dense = {"a": model.state_dict()["2.weight"].value().get_tensor()}
    with open(f"{folder}/dense-{protocol}.pdparams", "wb") as file:
        io._pickle_save(dense, file, protocol)

# Paddle cuts what is larger than 1 GiB. With that limit lowered it cuts what is larger than 100 bytes.
source = inspect.getsource(io_utils._unpack_saved_dict)
assert source.count("2**30 - 1") == 1
exec(source.replace("2**30 - 1", "100"), io_utils.__dict__)
io._unpack_saved_dict = io_utils._unpack_saved_dict
for protocol in (2, 3, 4):
    save("cut", {**model.state_dict(), **{kind: paddle.to_tensor(held) for kind, held in kinds.items()}}, protocol)
"""
CASES = ("model", "kinds", "arrays", "ordered", "live", "alive", "small", "cut")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if importlib.util.find_spec("paddle") is None:
        pytest.skip("paddlepaddle is not installed")
    made = tmp_path_factory.mktemp("paddle")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(made)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=os.environ | {"GLOG_minloglevel": "2"},
    )
    assert not done.returncode, done.stderr
    return made


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("case", CASES)
def test_every_tensor_is_read_as_paddle_reads_it(folder: Path, case: str, protocol: int) -> None:
    path = folder / f"{case}-{protocol}.pdparams"
    found = {one.name: one.array for one in paddle.read(path.read_bytes()).tensors}
    with np.load(f"{path}.npz") as theirs:
        assert found.keys() == set(theirs)
        for name, array in found.items():
            assert (array.dtype, array.shape) == (theirs[name].dtype, theirs[name].shape)
            assert array.tobytes() == theirs[name].tobytes()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_bfloat16_keeps_its_bits(folder: Path, protocol: int) -> None:
    (found,) = paddle.read((folder / f"brain-{protocol}.pdparams").read_bytes()).tensors
    with np.load(folder / f"brain-{protocol}.pdparams.npz") as theirs:
        assert found.dtype == "BF16"
        assert found.array.tobytes() == theirs["a"].tobytes()


@pytest.mark.parametrize(("protocol", "is_cut"), [(2, True), (3, True), (4, False)])
def test_large_tensors_are_cut_in_the_older_protocols(folder: Path, protocol: int, is_cut: bool) -> None:
    data = (folder / f"cut-{protocol}.pdparams").read_bytes()
    assert (b"UnpackBigParamInfor@@" in data) == is_cut
    assert (b"float64@@.49" in data) == is_cut


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_files_are_of_the_protocol_that_they_are_called_after(folder: Path, protocol: int) -> None:
    data = (folder / f"model-{protocol}.pdparams").read_bytes()
    _, version, _ = next(iter(pickletools.genops(data)))
    assert version == protocol
    assert (b"_codecs" in data) == (protocol == 2)
    assert b"StructuredToParameterName@@" in data


def test_a_live_tensor_is_a_tuple_of_its_name_and_an_array(folder: Path) -> None:
    data = (folder / "alive-2.pdparams").read_bytes()
    assert b"c__builtin__\ntuple\n" in data
    assert b"StructuredToParameterName@@" not in data


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_dense_tensor_which_paddle_would_evaluate_is_refused(folder: Path, protocol: int) -> None:
    with pytest.raises(FormatError, match=r"would run '(__builtin__|builtins)\.eval'"):
        paddle.read((folder / f"dense-{protocol}.pdparams").read_bytes())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_file_that_is_cut_off_is_refused(folder: Path, protocol: int) -> None:
    data = (folder / f"small-{protocol}.pdparams").read_bytes()
    for length in range(len(data)):
        with pytest.raises(FormatError):
            paddle.read(data[:length])
