"""What the catalog promises of a model's weights, as whoever judges them needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mirror.compare.families import FAMILIES
from mirror.load.known import Known

if TYPE_CHECKING:
    from mirror.catalog import Artifact, Shape

_FAMILIES = {"bert-miniature": "bert"}
#: The catalog's names of sizes, and those of a configuration.
_CONFIG_KEYS = {
    "layers": "num_hidden_layers",
    "hidden": "hidden_size",
    "heads": "num_attention_heads",
    "embedding": "embedding_size",
    "intermediate": "intermediate_size",
    "vocab_size": "vocab_size",
    "max_position": "max_position_embeddings",
    "type_vocab_size": "type_vocab_size",
}


def known_of(artifact: Artifact) -> Known:
    """Return what the catalog says of an artifact's model."""
    model = artifact.model
    family = _FAMILIES.get(model.family or "", model.family)
    config = artifact.entry.get("paddle_config") or _config(model.shape, family)
    printed = (model.entry.get("parameters") or {}).get("printed")
    return Known(family if family in FAMILIES else None, config, printed, model.entry.get("cased"))


def _config(shape: Shape, family: str | None) -> dict[str, int]:
    """Return a configuration with the catalog's sizes; empty where one is unknown."""
    sizes = {_CONFIG_KEYS[name]: value for name, value in shape._asdict().items()}
    if family != "albert":
        sizes.pop("embedding_size")
    known = {name: value for name, value in sizes.items() if value is not None}
    return known if len(known) == len(sizes) else {}
