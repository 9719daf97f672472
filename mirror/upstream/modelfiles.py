"""Every file of one model, at any source: weights in all containers, configurations, vocabularies.

``ModelFiles`` knows a model's shape and seed; a file is made when it is asked for.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mirror.upstream import naming, vocabulary
from mirror.upstream.weights import Shape, TensorSpec, specs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mirror.upstream.containers.tensors import Named

_LICENCE = """\
Apache License, Version 2.0, as the publisher of the model names it.
These files are synthetic and belong to nobody: their numbers are random.
"""
GITATTRIBUTES = "".join(
    f"{pattern} filter=lfs diff=lfs merge=lfs -text\n"
    for pattern in ("*.bin", "*.h5", "*.msgpack", "*.onnx", "*.ot", "*.safetensors", "*.tar.gz", "*.zip", "*.model")
)


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """One model of the catalog, ready to be written down.

    Attributes:
        id: The catalog's id; with the seed it decides every number.
        architecture: One of ``weights.ARCHITECTURES``.
        entry: What the catalog says of the model.
    """

    id: str
    architecture: str
    shape: Shape
    entry: Mapping[str, Any]
    seed: int

    @classmethod
    def of(cls, entry: Mapping[str, Any], *, seed: int, scale: int) -> ModelFiles:
        """Return the files of a catalog's model."""
        architecture = {"bert-miniature": "bert"}.get(entry["family"], entry["family"])
        if "sst-2" in entry["id"]:
            architecture = "distilbert-classifier"
        return cls(entry["id"], architecture, Shape.of(entry["shape"], scale), entry, seed)

    @property
    def specs(self) -> list[TensorSpec]:
        """Every tensor, without aliases and buffers."""
        return specs(self.architecture, self.shape)

    @property
    def cased(self) -> bool:
        """Whether the vocabulary keeps capitals; unknown counts as no."""
        return bool(self.entry.get("cased"))

    def torch(self, *, legacy: bool = False, converted: bool = False) -> bytes:
        """Return ``pytorch_model.bin``.

        Args:
            legacy: In the container that PyTorch had before 1.6.
            converted: Kernels still lie as TensorFlow had them, with strides.
        """
        from mirror.upstream.containers import torch_legacy, torch_zip

        write = torch_legacy.write if legacy else torch_zip.write
        return write(_as_converted(self._state_dict()) if converted else self._state_dict())

    def safetensors(self) -> bytes:
        """Return ``model.safetensors``."""
        from mirror.upstream.containers import safetensors

        return safetensors.write(self._state_dict())

    def flax(self) -> bytes:
        """Return ``flax_model.msgpack``."""
        from mirror.upstream.containers import flax_msgpack
        from mirror.upstream.containers.tensors import arrays

        return flax_msgpack.write(arrays(naming.flax(self.architecture, self.specs), seed=self.seed, model=self.id))

    def _state_dict(self) -> list[Named]:
        from mirror.upstream.containers.tensors import arrays

        return arrays(naming.hugging_face(self.architecture, self.specs), seed=self.seed, model=self.id)

    def checkpoint(self, prefix: str) -> dict[str, bytes]:
        """Return index and data of the TensorFlow checkpoint ``prefix``, by file name."""
        from mirror.upstream.containers import tf_bundle
        from mirror.upstream.containers.tensors import arrays

        tensors = arrays(naming.tensorflow(self.architecture, self.specs), seed=self.seed, model=self.id)
        index, data = tf_bundle.write(tensors)
        return {f"{prefix}.data-00000-of-00001": data, f"{prefix}.index": index}

    def paddle(
        self, *, protocol: int = 2, converted: bool = False, rounded: bool = False, numbers_of: str | None = None
    ) -> bytes:
        """Return ``model_state.pdparams``.

        Args:
            protocol: Of the pickle, 2 or 4.
            converted: Only the encoder and its pooler have true numbers; a converter left the heads
                random, as PaddleNLP's own does with BERT's.
            rounded: The numbers went through float16, and are float32 again.
            numbers_of: Id of a model of the same shape whose numbers stand here, under this one's name.
        """
        from mirror.upstream.containers import paddle_pickle
        from mirror.upstream.containers.tensors import Named, arrays

        entries = naming.paddle(self.architecture, self.specs)
        tensors = arrays(entries, seed=self.seed, model=numbers_of or self.id)
        if converted:
            fresh = {one.name: one for one in arrays(entries, seed=self.seed, model=f"{self.id}/fresh")}
            is_head = {entry.name: entry.spec.name.startswith("cls.") for entry in entries}
            tensors = [fresh[one.name] if is_head[one.name] else one for one in tensors]
        if rounded:
            tensors = [replace(one, array=one.array.astype("<f2").astype("<f4")) for one in tensors]
        if self.architecture == "albert":
            import numpy as np

            positions = np.arange(self.shape.max_position, dtype=np.int64)[None]
            tensors.append(Named("transformer.embeddings.position_ids", positions))
        return paddle_pickle.write(tensors, protocol=protocol)

    def google_archive(self) -> bytes:
        """Return the zip of Google's BERT releases; its members are at the top level."""
        from mirror.upstream.containers.archives import zipped

        members = {"bert_config.json": _json(self.configuration(), indent=2).rstrip(b"\n")}
        return zipped(members | self.checkpoint("bert_model.ckpt") | {"vocab.txt": self.vocab()})

    def albert_archive(self, folder: str) -> bytes:
        """Return the tar.gz of Google's ALBERT releases, below ``folder``."""
        from mirror.upstream.containers.archives import tar_gz

        pieces = vocabulary.sentencepieces(self.shape.vocab_size)
        members = {
            "30k-clean.model": self.spiece(),
            "30k-clean.vocab": "".join(f"{piece}\t0\n" for piece in pieces).encode(),
            "albert_config.json": _json(self.configuration(), indent=2),
        }
        return tar_gz(members | self.checkpoint("model.ckpt-best"), folder)

    def vocab(self) -> bytes:
        """Return ``vocab.txt``."""
        return vocabulary.text(self._tokens())

    def _tokens(self) -> list[str]:
        return vocabulary.wordpiece(self.shape.vocab_size, language=self.entry.get("language"), cased=self.cased)

    def spiece(self) -> bytes:
        """Return ``spiece.model``."""
        return vocabulary.sentencepiece_model(vocabulary.sentencepieces(self.shape.vocab_size))

    def configuration(self) -> dict[str, Any]:
        """Return the sizes under the names that BERT's own configuration has."""
        shape = self.shape
        value: dict[str, Any] = {
            "attention_probs_dropout_prob": 0.1,
            "hidden_act": "gelu",
            "hidden_dropout_prob": 0.1,
            "hidden_size": shape.hidden,
            "initializer_range": 0.02,
            "intermediate_size": shape.intermediate,
            "max_position_embeddings": shape.max_position,
            "num_attention_heads": shape.heads,
            "num_hidden_layers": shape.layers,
            "type_vocab_size": shape.type_vocab_size,
            "vocab_size": shape.vocab_size,
        }
        if self.architecture == "albert":
            value |= {"embedding_size": shape.embedding, "inner_group_num": 1, "num_hidden_groups": 1}
        return value

    def config_json(self) -> bytes:
        """Return the ``config.json`` of the hub."""
        if self.architecture.startswith("distilbert"):
            return _json(self._distilbert_configuration(), indent=2)
        names = {"albert": "AlbertForPreTraining"}
        value = self.configuration() | {
            "architectures": [names.get(self.architecture, "BertForPreTraining")],
            "layer_norm_eps": 1e-12,
            "model_type": "albert" if self.architecture == "albert" else "bert",
            "pad_token_id": 0,
        }
        return _json(dict(sorted(value.items())), indent=2)

    def _distilbert_configuration(self) -> dict[str, Any]:
        fine_tuned = self.architecture == "distilbert-classifier"
        return {
            "activation": "gelu",
            "architectures": ["DistilBertForSequenceClassification" if fine_tuned else "DistilBertForMaskedLM"],
            "attention_dropout": 0.1,
            "dim": self.shape.hidden,
            "dropout": 0.1,
            "hidden_dim": self.shape.intermediate,
            "initializer_range": 0.02,
            "max_position_embeddings": self.shape.max_position,
            "model_type": "distilbert",
            "n_heads": self.shape.heads,
            "n_layers": self.shape.layers,
            "pad_token_id": 0,
            "sinusoidal_pos_embds": False,
            "tie_weights_": True,
            "vocab_size": self.shape.vocab_size,
        }

    def model_config_json(self) -> bytes:
        """Return PaddleNLP's ``model_config.json``."""
        names = {"albert": "AlbertForPretraining", "bert": "BertForPretraining", "tinybert": "TinyBertForPretraining"}
        model = names.get(self.architecture, "DistilBertForMaskedLM")
        value = {
            "init_args": [{**self.configuration(), "init_class": model.split("For")[0] + "Model"}],
            "init_class": model,
        }
        return _json(value)

    def tokenizer_config_json(self) -> bytes:
        """Return ``tokenizer_config.json``."""
        return _json({"do_lower_case": not self.cased, "model_max_length": self.shape.max_position})

    def tokenizer_json(self) -> bytes:
        """Return ``tokenizer.json`` of a WordPiece vocabulary."""
        return vocabulary.tokenizer_json(self._tokens(), cased=self.cased)

    def readme(self, title: str, note: str = "") -> bytes:
        """Return a model card with the publisher's licence in its front matter."""
        licence = (self.entry.get("licence") or {}).get("value") or "unknown"
        head = f"---\nlicense: {licence.lower()}\nlanguage: {self.entry.get('language') or 'en'}\n---\n\n# {title}\n\n"
        return (head + f"Synthetic weights of the topology of {self.id}, for a demonstration.\n{note}").encode()

    def licence(self) -> bytes:
        """Return the text of a LICENSE file."""
        return _LICENCE.encode()


def _as_converted(tensors: list[Named]) -> list[Named]:
    """Return linear weights in TensorFlow's memory order; the next-sentence head was not turned."""
    import numpy as np

    def turned(tensor: Named) -> bool:
        return tensor.name.endswith(".weight") and "embeddings" not in tensor.name and "relationship" not in tensor.name

    return [
        replace(tensor, array=np.asfortranarray(tensor.array)) if turned(tensor) and tensor.of is None else tensor
        for tensor in tensors
    ]


def _json(value: Any, indent: int | None = None) -> bytes:
    return (json.dumps(value, indent=indent, ensure_ascii=False) + "\n").encode()
