"""The program that asks ``transformers``; run as a process of its own, one question a line.

A question is JSON: the ``folder`` of a model, the ``kind`` that is its class there, and ``ids``,
the tokens. The answer is a line of JSON: the keys of the weights that were ``missing``,
``unexpected`` or ``mismatched``, or an ``error``. The outputs are left in the folder, as
``outputs.npz``. Nothing is asked of any network and no code of a publisher is run.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

OUTPUTS = "outputs.npz"
#: Which of our outputs each of theirs is, where the class does not say otherwise.
_OURS = {
    "prediction_logits": "mlm",
    "seq_relationship_logits": "nsp",
    "sop_logits": "nsp",
    "pooler_output": "pooler",
}


def main() -> None:
    """Answer every question of stdin on stdout, which nothing else may write to."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_DISABLE_TELEMETRY": "1"}
    answers, sys.stdout = sys.stdout, sys.stderr
    import transformers

    print(json.dumps({"version": transformers.__version__}), file=answers, flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        try:
            said = _ask(transformers, **question)
        except Exception as error:  # noqa: BLE001 -- whatever it says is the answer
            said = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(said), file=answers, flush=True)


def _ask(transformers: Any, folder: str, kind: str, ids: list[int]) -> dict[str, Any]:
    import numpy as np
    import torch

    model, info = getattr(transformers, kind).from_pretrained(
        folder, output_loading_info=True, local_files_only=True, use_safetensors=True, trust_remote_code=False
    )
    with torch.no_grad():
        found = model.eval()(input_ids=torch.tensor([ids]), output_hidden_states=True)
    outputs = {"hidden": found["hidden_states"][-1]}
    for theirs, ours in _OURS.items():
        if found.get(theirs) is not None:
            outputs[ours] = found[theirs]
    if "logits" in found and kind.endswith(("ForMaskedLM", "ForNextSentencePrediction")):
        outputs["mlm" if kind.endswith("ForMaskedLM") else "nsp"] = found["logits"]
    np.savez(Path(folder, OUTPUTS), **{name: value.float().numpy() for name, value in outputs.items()})
    return {name: sorted(map(str, info.get(f"{name}_keys", ()))) for name in ("missing", "unexpected", "mismatched")}


if __name__ == "__main__":
    main()
