"""Write an adapted encoder as a normal sentence-transformers folder, with a model card."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from recbole_longinterest.common.files import atomic_folder
from recbole_longinterest.text.adapting.tunable import Tunable, TunedHead, TunedNetwork
from recbole_longinterest.text.encoder import TextEncoder
from recbole_longinterest.text.folder import EncoderError, FolderSettings, one_line, write_settings
from recbole_longinterest.text.loaded import LoadedEncoder
from recbole_longinterest.text.models import ABOUT_MODEL, MINILM, MINILM_ON_HUB, Model, weight_files

CHECKED = 16  # number of texts whose vectors are compared with those of the written folder
TOLERANCE = 1e-3  # largest relative distance of these vectors; merging causes rounding
HALF_TOLERANCE = 0.05  # the same in half precision
CARD = "README.md"


def before_normalizing(loaded: LoadedEncoder) -> LoadedEncoder:
    """Remove a final normalisation, so that a network behind the encoder can use the vectors' lengths."""
    normalizes = bool(loaded.steps) and loaded.steps[-1] is functional.normalize
    return replace(loaded, steps=loaded.steps[:-1]) if normalizes else loaded


def write_encoder(
    output: Path, tunable: Tunable, encoder: TextEncoder, texts: Sequence[str], vectors: NDArray[np.float32], card: str
) -> None:
    """Write a temporary folder, load it, and move it to ``output`` if it gives the same vectors.

    Args:
        output: the folder to make or replace; the caller holds its lock.
        tunable: the trained encoder.
        encoder: the original encoder.
        texts: texts to compare vectors of.
        vectors: vectors of these texts by ``tunable``, [n, D].
        card: the model card, in Markdown.

    Raises:
        EncoderError: if the written folder gives other vectors.
    """
    model, loaded = encoder.model, encoder.load()
    with atomic_folder(output) as draft:
        for path in sorted(model.folder.iterdir()):
            if path.suffix in ABOUT_MODEL and path.is_file():
                shutil.copyfile(path, draft / path.name)
        settings, width = _settings(model, loaded, draft)
        if isinstance(tunable, TunedNetwork):
            adapter = tunable.save(draft)
            if adapter is not None:
                _name_base(adapter, model)
        elif isinstance(tunable, TunedHead):
            for path in weight_files(model.folder):
                shutil.copyfile(path, draft / path.name)
            settings = _with_dense(draft, settings, tunable)
        write_settings(draft, settings, width)
        (draft / CARD).write_text(card, encoding="utf-8")
        advice = "Give --method adapter." if isinstance(tunable, TunedNetwork) else "Name another --encoder."
        _check(draft, encoder, texts, vectors, advice)


def _settings(model: Model, loaded: LoadedEncoder, draft: Path) -> tuple[FolderSettings, int]:
    """Return the encoder's settings and the size of a token vector, and copy the model's dense layers to ``draft``."""
    steps: list[tuple[str, str]] = []
    for kind, path in model.settings.steps:
        place = f"{len(steps) + 2}_{kind}"
        if kind == "Dense":
            shutil.copytree(model.root / path, draft / place)
        steps.append((kind, place))
    with torch.no_grad():
        pooled = loaded.pooled(loaded.batch(loaded.tokenize(["text"]), [0]))
    prompts = {"item": loaded.prompt} if loaded.prompt else {}
    settings = FolderSettings(
        pooling=loaded.poolings,
        pools_prompt=model.settings.pools_prompt,
        steps=tuple(steps),
        max_length=loaded.limit,
        says_length=True,
        lower_case=loaded.lower_case,
        prompts=prompts,
        default_prompt=loaded.prompt,
    )
    return settings, pooled.shape[1] // len(loaded.poolings)


def _with_dense(draft: Path, settings: FolderSettings, tunable: TunedHead) -> FolderSettings:
    """Write the network behind the encoder as dense layers, before a final normalisation."""
    steps = list(settings.steps)
    last = [steps.pop()] if steps and steps[-1][0] == "Normalize" else []
    for weight, bias, activation in tunable.adapter.as_dense():
        place = draft / f"{len(steps) + 2}_Dense"
        place.mkdir()
        save_file({"linear.weight": weight.contiguous(), "linear.bias": bias}, place / "model.safetensors")
        rows, columns = weight.shape
        about = {"in_features": columns, "out_features": rows, "bias": True, "activation_function": activation}
        (place / "config.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
        steps.append(("Dense", place.name))
    if last:
        steps.append(("Normalize", f"{len(steps) + 2}_Normalize"))
        (draft / steps[-1][1]).mkdir()
    return replace(settings, steps=tuple(steps))


def _name_base(adapter: Path, model: Model) -> None:
    """Write the base model's name to the adapter's config; peft writes the path that it was loaded from."""
    file = adapter / "adapter_config.json"
    about = json.loads(file.read_text(encoding="utf-8"))
    about["base_model_name_or_path"] = MINILM_ON_HUB if model.name == MINILM else model.name
    file.write_text(json.dumps(about, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    (adapter / CARD).unlink(missing_ok=True)  # template of a card, written by peft


def _check(draft: Path, encoder: TextEncoder, texts: Sequence[str], vectors: NDArray[np.float32], advice: str) -> None:
    """Compare vectors of the written folder with those of the trained encoder."""
    chosen = [row for row, text in enumerate(texts) if text][:CHECKED]
    written = TextEncoder(str(draft), precision=encoder.precision, device=encoder.device)
    try:
        apart = _apart(
            torch.as_tensor(written.encode([texts[row] for row in chosen])), torch.as_tensor(vectors[chosen])
        )
        why = f"its vectors are {apart:.1%} off"
    except EncoderError as error:
        apart, why = float("inf"), one_line(error)
    if apart > (TOLERANCE if encoder.precision == "fp32" else HALF_TOLERANCE):
        raise EncoderError(
            f"The written folder of the adapted {encoder.name} differs from the trained encoder ({why}), so it is not "
            f"kept. {advice}"
        )


def _apart(found: Tensor, wanted: Tensor) -> float:
    """Largest distance between a vector and the wanted one, relative to the length of the wanted one."""
    if found.shape != wanted.shape:
        return float("inf")
    return float(((found - wanted).norm(dim=1) / wanted.norm(dim=1).clamp(min=1e-12)).max())
