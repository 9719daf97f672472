"""Our readers against PyTorch itself: the same tensors, bit for bit.

Only where torch is installed (`make oracles`).
"""

from __future__ import annotations

import importlib
import io
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mirror.errors import FormatError
from mirror.formats import torch_legacy, torch_zip

if TYPE_CHECKING:
    from collections.abc import Callable

    from mirror.formats.checkpoint import Checkpoint

pytestmark = pytest.mark.oracle

#: torch's name of a dtype, ours, and torch's of whole numbers that are as wide.
DTYPES = {
    "float64": ("F64", "int64"),
    "float32": ("F32", "int32"),
    "float16": ("F16", "int16"),
    "bfloat16": ("BF16", "int16"),
    "int64": ("I64", "int64"),
    "int32": ("I32", "int32"),
    "int16": ("I16", "int16"),
    "int8": ("I8", "int8"),
    "uint8": ("U8", "uint8"),
    "bool": ("BOOL", "uint8"),
}


@pytest.fixture(scope="module")
def torch() -> Any:
    """Return PyTorch, which whoever only collects these tests does not wait for."""
    return pytest.importorskip("torch", reason="torch is not installed")


def saved(torch: Any, state: Any, *, legacy: bool, protocol: int = 2) -> bytes:
    stream = io.BytesIO()
    torch.save(state, stream, pickle_protocol=protocol, _use_new_zipfile_serialization=not legacy)
    return stream.getvalue()


def read(data: bytes, *, legacy: bool) -> Checkpoint:
    found = torch_legacy.read(data) if legacy else torch_zip.read(data)
    assert found.format == ("torch-legacy" if legacy else "torch-zip")
    return found


def check_equal(torch: Any, data: bytes, *, legacy: bool) -> Checkpoint:
    """Fail on any difference between our reading of a file and PyTorch's."""
    theirs = torch.load(io.BytesIO(data), weights_only=True)
    found = read(data, legacy=legacy)
    assert [one.name for one in found.tensors] == list(theirs)
    for one in found.tensors:
        tensor = theirs[one.name].detach()
        ours, bits = DTYPES[str(tensor.dtype).removeprefix("torch.")]
        assert one.dtype == ours
        assert one.shape == tuple(tensor.shape)
        assert one.array.tobytes() == tensor.contiguous().view(getattr(torch, bits)).numpy().tobytes()
    return found


both = pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])


@both
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_is_read_as_torch_reads_it(torch: Any, dtype: str, legacy: bool) -> None:
    torch.manual_seed(7)
    numbers = (torch.randn(5, 3, 2, dtype=torch.float64) * 50).to(getattr(torch, dtype))
    state = {"a": numbers, "scalar": numbers[0, 0, 0].clone(), "empty": numbers[:0].clone()}
    check_equal(torch, saved(torch, state, legacy=legacy), legacy=legacy)


@both
def test_numbers_that_are_none_keep_their_bits(torch: Any, legacy: bool) -> None:
    bits = torch.tensor([0x7FC00001, -0x3FFFFF, 0x7F800000, -0x80000000, 1], dtype=torch.int32)
    check_equal(torch, saved(torch, {"a": bits.view(torch.float32)}, legacy=legacy), legacy=legacy)


@both
def test_strided_tensors_are_read_as_torch_reads_them(torch: Any, legacy: bool) -> None:
    numbers = torch.arange(60, dtype=torch.float32).reshape(3, 4, 5)
    state = {
        # As converters from TensorFlow leave it.
        "kernel": torch.from_numpy(np.arange(12, dtype=np.float32).reshape(3, 4).T),
        "permuted": numbers.clone().permute(2, 0, 1),
        "part": numbers.clone()[1:, 2],
        "column": numbers.clone()[:, :, 1],
        "every second": numbers.clone()[:, ::2, 1::2],
        "one of one": numbers.clone()[1, 2, 3],
        "with an axis": numbers.clone()[:, None],
        "positions": torch.arange(512).expand((1, -1)),
        "last": numbers.clone()[:, :, 4:],
    }
    check_equal(torch, saved(torch, state, legacy=legacy), legacy=legacy)


@both
def test_a_bert_is_read_as_torch_reads_it(torch: Any, legacy: bool) -> None:
    torch.manual_seed(7)
    encoder = torch.nn.TransformerEncoderLayer(16, 2, 32)
    module = torch.nn.Sequential(torch.nn.Embedding(50, 16), encoder, torch.nn.LayerNorm(16), torch.nn.Linear(16, 50))
    module[3].weight = module[0].weight  # tied
    module.register_buffer("position_ids", torch.arange(20).expand((1, -1)))
    state = module.state_dict()
    assert isinstance(state, OrderedDict)
    assert hasattr(state, "_metadata")
    found = {
        one.name: one.array for one in check_equal(torch, saved(torch, state, legacy=legacy), legacy=legacy).tensors
    }
    assert np.shares_memory(found["0.weight"], found["3.weight"])


@both
def test_parameters_are_read_as_torch_reads_them(torch: Any, legacy: bool) -> None:
    module = torch.nn.Linear(4, 3).to(torch.bfloat16)
    state = dict(module.named_parameters())
    assert all(isinstance(one, torch.nn.Parameter) for one in state.values())
    check_equal(torch, saved(torch, state, legacy=legacy), legacy=legacy)


@both
def test_views_of_one_storage_are_read_as_torch_reads_them(torch: Any, legacy: bool) -> None:
    whole = torch.randn(3, 8)
    check_equal(torch, saved(torch, {"q": whole[0], "k": whole[1], "v": whole[2]}, legacy=legacy), legacy=legacy)


@both
def test_hundreds_of_tensors_are_read(torch: Any, legacy: bool) -> None:
    state = {f"encoder.layer.{at}.weight": torch.full((2, 3), float(at)) for at in range(700)}
    check_equal(torch, saved(torch, state, legacy=legacy), legacy=legacy)


@both
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_any_protocol_is_read(torch: Any, protocol: int, legacy: bool) -> None:
    state = torch.nn.Linear(3, 2).state_dict()
    found = read(saved(torch, state, legacy=legacy, protocol=protocol), legacy=legacy)
    assert [(one.name, one.array.tolist()) for one in found.tensors] == [
        (name, held.tolist()) for name, held in state.items()
    ]


@pytest.mark.parametrize("alignment", [64, 4096])
def test_any_alignment_of_storages_is_read(torch: Any, alignment: int) -> None:
    config = importlib.import_module("torch.utils.serialization").config
    with config.patch("save.storage_alignment", alignment):
        data = saved(torch, {"a": torch.randn(3), "b": torch.randn(4, 5)}, legacy=False)
    assert f"{alignment}".encode() in data
    check_equal(torch, data, legacy=False)


@both
@pytest.mark.filterwarnings("ignore")  # some of this is on its way out of PyTorch
@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("module", "would run"),
        ("expanded", "give elements the same bytes"),
        ("quantised", "would run 'torch._utils._rebuild_qtensor'"),
        ("sparse", "would run 'torch._utils._rebuild_sparse_tensor'"),
        ("complex", "would run 'torch.ComplexFloatStorage'"),
        ("checkpoint", "a training checkpoint"),
        ("list", "no dict of tensors"),
    ],
)
def test_what_torch_saves_beside_state_dicts_is_refused(torch: Any, case: str, said: str, legacy: bool) -> None:
    module = torch.nn.Linear(2, 2)
    made: dict[str, Callable[[], object]] = {
        "module": lambda: module,
        "expanded": lambda: {"a": torch.zeros(1).expand(1 << 20)},
        "quantised": lambda: {"a": torch.quantize_per_tensor(torch.zeros(2), 1.0, 0, torch.qint8)},
        "sparse": lambda: {"a": torch.eye(3).to_sparse()},
        "complex": lambda: {"a": torch.zeros(2, dtype=torch.complex64)},
        "checkpoint": lambda: {
            "model": module.state_dict(),
            "optimizer": torch.optim.Adam(module.parameters()).state_dict(),
        },
        "list": lambda: [torch.zeros(2)],
    }
    data = saved(torch, made[case](), legacy=legacy)
    with pytest.raises(FormatError) as caught:
        read(data, legacy=legacy)
    assert said in str(caught.value)
