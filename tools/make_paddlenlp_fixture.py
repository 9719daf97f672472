"""Make tests/data/paddlenlp/: toy models of PaddleNLP's own classes, as they save themselves, and what they say.

Run it where PaddleNLP 2.8 is installed (it wants paddlepaddle 2.6, numpy<2, huggingface_hub<0.26, datasets<3,
aistudio-sdk<0.3, pyarrow<19, setuptools): python tools/make_paddlenlp_fixture.py
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import zlib  # noqa: F401 -- before Paddle 2.6, which breaks it otherwise
from pathlib import Path

import numpy as np
import paddle
import paddlenlp
from paddlenlp import transformers

FOLDER = Path(__file__).parents[1] / "tests/data/paddlenlp"
#: Without 0, which PaddleNLP takes for padding.
IDS = [[1, 5, 9, 2, 31, 17], [3, 3, 8, 30, 4, 11]]
SEGMENTS = [[0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 1]]
SIZES = {
    "vocab_size": 32,
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 12,
}
ALBERT = SIZES | {"embedding_size": 4, "num_hidden_groups": 1, "inner_group_num": 1, "type_vocab_size": 2}
MODELS = {
    "bert": ("BertForPretraining", "BertConfig", SIZES | {"type_vocab_size": 2}),
    "bert-bare": ("BertModel", "BertConfig", SIZES | {"type_vocab_size": 2}),
    "tinybert": ("TinyBertForPretraining", "TinyBertConfig", SIZES | {"type_vocab_size": 2, "fit_size": 12}),
    "tinybert-bare": ("TinyBertModel", "TinyBertConfig", SIZES | {"type_vocab_size": 2, "fit_size": 12}),
    "distilbert": ("DistilBertForMaskedLM", "DistilBertConfig", SIZES),
    "distilbert-bare": ("DistilBertModel", "DistilBertConfig", SIZES),
    "albert": ("AlbertForPretraining", "AlbertConfig", ALBERT | {"hidden_act": "gelu"}),
    "albert-words": ("AlbertForMaskedLM", "AlbertConfig", ALBERT | {"hidden_act": "gelu_new"}),
    "albert-bare": ("AlbertModel", "AlbertConfig", ALBERT | {"hidden_act": "relu"}),
}


def main() -> None:
    """Make every file, and expected.json with what Paddle itself reads from it and the model says."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    made = f"paddlepaddle {paddle.__version__}, paddlenlp {paddlenlp.__version__}"
    expected = {"input": {"made with": made, "ids": IDS, "segments": SEGMENTS}}
    for name, (built, config, sizes) in MODELS.items():
        paddle.seed(7)
        np.random.seed(7)
        model = getattr(transformers, built)(getattr(transformers, config)(**sizes))
        model.eval()
        for held in model.state_dict().values():  # no bias is 0 and no norm is 1: each of them counts
            held.set_value(held + paddle.randn(held.shape) * 0.2)
        for layer in model.sublayers():  # the norms of some heads add 1e-5, whatever the configuration says
            if isinstance(layer, paddle.nn.LayerNorm):
                layer._epsilon = model.config.layer_norm_eps  # noqa: SLF001
        with tempfile.TemporaryDirectory() as temporary:
            model.save_pretrained(temporary)
            data = (Path(temporary) / "model_state.pdparams").read_bytes()
            stated = json.loads((Path(temporary) / "config.json").read_text())
            read = paddle.load(f"{temporary}/model_state.pdparams", return_numpy=True)
        (FOLDER / f"{name}.pdparams").write_bytes(data)
        expected[name] = {
            "class": built,
            "sha256": hashlib.sha256(data).hexdigest(),
            "config": stated,
            "tensors": {
                key: [str(value.dtype), list(value.shape), hashlib.sha256(value.tobytes()).hexdigest()]
                for key, value in read.items()
                if isinstance(value, np.ndarray)
            },
            "outputs": said(model),
        }
    (FOLDER / "expected.json").write_text(json.dumps(expected, separators=(",", ":")).replace('},"', '},\n"') + "\n")


def said(model: paddle.nn.Layer) -> list[object]:
    """Return every output of a model for the fixed input, as nested lists."""
    more = {} if "DistilBert" in type(model).__name__ else {"token_type_ids": paddle.to_tensor(SEGMENTS)}
    with paddle.no_grad():
        found = model(paddle.to_tensor(IDS), **more)
    found = found if isinstance(found, (tuple, list)) else [found]
    return [np.round(one.numpy().astype("float64"), 6).tolist() for one in found if hasattr(one, "numpy")]


if __name__ == "__main__":
    main()
