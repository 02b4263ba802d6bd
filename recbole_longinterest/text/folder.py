"""Read and write the settings in a model folder: pooling, length, prompts, and the layers after the pooling.

A sentence-transformers folder has them in ``modules.json``, ``sentence_bert_config.json``,
``config_sentence_transformers.json``, and in the ``config.json`` of each module's folder. The sentence-transformers
package is not needed.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.json_text import parse_json

# Decoders, which get the pooling "last" if the folder has no such setting. In these models a token attends only to
# earlier ones, so only the last token has read the whole text.
DECODERS = (
    *("gpt2", "gpt_neo", "gpt_neox", "gptj", "opt", "bloom", "falcon", "llama", "mistral", "mixtral", "phi", "phi3"),
    *("qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "olmo", "olmo2", "stablelm", "starcoder2", "smollm3"),
)
TRANSFORMER_CONFIGS = [  # including older names of sentence-transformers
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
]
POOLING_NAMES = {"cls": "cls", "max": "max", "mean": "mean", "mean_sqrt_len_tokens": "mean_sqrt_len"} | {
    "weightedmean": "weighted_mean",
    "lasttoken": "last",
}
# Before version 5 of sentence-transformers: one key per pooling. Several poolings are concatenated in this order.
POOLING_KEYS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len",
    "pooling_mode_weightedmean_tokens": "weighted_mean",
    "pooling_mode_lasttoken": "last",
}
MODULES = "modules.json"  # file that marks a folder of sentence-transformers
AFTER_POOLING = ("Dense", "Normalize", "Dropout")


class EncoderError(LongInterestError):
    """A text encoder is not available or cannot encode."""


@dataclass(frozen=True)
class FolderSettings:
    """Settings of a model folder.

    Attributes:
        model: subfolder of the transformer; "" for the folder itself.
        pooling: names of poolings, see :func:`~recbole_longinterest.text.pooling.pool`; several are concatenated.
        pools_prompt: whether the tokens of the prompt are pooled, too.
        steps: layers after the pooling, in order: ("Dense", its folder) and ("Normalize", "").
        max_length: maximum number of tokens of a text; None if the folder has no such setting.
        says_length: whether the tokenizer's limit applies if ``max_length`` is None, as in a sentence-transformers
            folder.
        lower_case: whether texts are first converted to lower case.
        prompts: texts to put before every text, by name.
        default_prompt: the default prompt; "" for no prompt.
    """

    model: str = ""
    pooling: tuple[str, ...] = ("mean",)
    pools_prompt: bool = True
    steps: tuple[tuple[str, str], ...] = ()
    max_length: int | None = None
    says_length: bool = False
    lower_case: bool = False
    prompts: dict[str, str] = field(default_factory=dict)
    default_prompt: str = ""


def read_settings(folder: Path) -> FolderSettings:
    """Read the settings of a model folder.

    Args:
        folder: folder of a transformers or sentence-transformers model.

    Raises:
        EncoderError: if a file is damaged or missing, or a module is unknown.
    """
    if not (folder / MODULES).is_file():
        decoder = read_json(folder / "config.json", absent={}).get("model_type") in DECODERS
        return FolderSettings(pooling=("last",) if decoder else ("mean",))
    modules = [_module(folder, entry) for entry in read_json(folder / MODULES, list)]
    kinds = [kind for kind, _ in modules]
    if kinds[:2] != ["Transformer", "Pooling"] or not set(kinds[2:]) <= set(AFTER_POOLING):
        raise EncoderError(
            f"{folder / MODULES} must name Transformer, Pooling and then any of {', '.join(AFTER_POOLING)}; it "
            f"names {', '.join(kinds) or 'nothing'}. Name another text_encoder, or give its vectors as text_vectors."
        )
    for kind, path in modules[1:]:
        if kind in ("Pooling", "Dense"):
            read_json(folder / path / "config.json")  # raises early, before the model is loaded
    pooling = read_json(folder / modules[1][1] / "config.json")
    at = folder / modules[0][1]
    named = next((at / name for name in TRANSFORMER_CONFIGS if (at / name).is_file()), at / TRANSFORMER_CONFIGS[0])
    transformer = read_json(named, absent={})
    about = read_json(folder / "config_sentence_transformers.json", absent={})
    prompts = {str(name): str(prompt) for name, prompt in (about.get("prompts") or {}).items()}
    return FolderSettings(
        model=modules[0][1],
        pooling=_pooling(folder, pooling),
        pools_prompt=pooling.get("include_prompt", True) is not False,
        steps=tuple((kind, path) for kind, path in modules[2:] if kind != "Dropout"),
        max_length=transformer.get("max_seq_length"),
        says_length=True,
        lower_case=bool(transformer.get("do_lower_case")),
        prompts=prompts,
        default_prompt=prompts.get(str(about.get("default_prompt_name")), ""),
    )


def _module(folder: Path, entry: object) -> tuple[str, str]:
    """Kind and folder of a module from its entry in modules.json."""
    kind, path = (entry.get("type"), entry.get("path")) if isinstance(entry, dict) else (None, None)
    if not isinstance(kind, str) or not isinstance(path, str) or {"/", ".."} & set(PurePosixPath(path).parts):
        raise EncoderError(
            f"{folder / MODULES} is damaged: every entry must have a type and a path inside the folder; got "
            f"{entry!r}. Copy the model folder again."
        )
    return kind.rpartition(".")[2], path


def _pooling(folder: Path, config: dict[str, Any]) -> tuple[str, ...]:
    """Read the names of the poolings from the new or the old form of a ``Pooling`` config."""
    named = config.get("pooling_mode")
    if named is None:
        return tuple(name for key, name in POOLING_KEYS.items() if config.get(key)) or ("mean",)
    named = [named] if isinstance(named, str) else named
    if not isinstance(named, list) or not set(map(str, named)) <= set(POOLING_NAMES) or not named:
        raise EncoderError(
            f"The pooling_mode of {folder} must be one of {', '.join(POOLING_NAMES)}; got {named!r}. "
            "Set text_pooling, or name another text_encoder."
        )
    return tuple(POOLING_NAMES[name] for name in named)


def read_json(path: Path, kind: type = dict, absent: object = None) -> Any:  # noqa: ANN401 - JSON
    """Read a JSON file.

    Args:
        path: the file.
        kind: expected type of the content, dict or list.
        absent: result if the file is missing; None if a missing file is an error.

    Raises:
        EncoderError: if the file is missing or damaged, or its content has another type.
    """
    if absent is not None and not path.is_file():
        return absent
    try:
        content = parse_json(path.read_bytes())
        if not isinstance(content, kind):
            raise LongInterestError(f"a {kind.__name__} is expected")
    except (OSError, ValueError) as error:
        raise EncoderError(f"{path} is damaged or absent: {one_line(error)}. Copy the model folder again.") from error
    return content


def one_line(error: BaseException, length: int = 300) -> str:
    """Put an error's message on one line, without the final full stop."""
    return " ".join(f"{error or type(error).__name__}".split())[:length].rstrip(".")


def write_settings(folder: Path, settings: FolderSettings, width: int) -> None:
    """Write settings as a sentence-transformers folder does, with the transformer in the folder itself.

    Args:
        folder: folder of the model. The folders of the dense layers may be added later.
        settings: the settings, with a ``max_length``; ``model`` is ignored.
        width: size of a token vector.
    """
    keys = {name: key for key, name in POOLING_KEYS.items()}
    kinds = [("Transformer", ""), ("Pooling", "1_Pooling"), *settings.steps]
    modules = [
        {"idx": place, "name": str(place), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for place, (kind, path) in enumerate(kinds)
    ]
    pooling = {key: name in settings.pooling for name, key in keys.items()}
    about = {
        "prompts": settings.prompts,
        "default_prompt_name": next(
            (name for name, text in settings.prompts.items() if settings.default_prompt == text), None
        ),
        "similarity_fn_name": "cosine",
    }
    contents: dict[str, object] = {
        MODULES: modules,
        TRANSFORMER_CONFIGS[0]: {"max_seq_length": settings.max_length, "do_lower_case": settings.lower_case},
        "config_sentence_transformers.json": about,
        "1_Pooling/config.json": {
            "word_embedding_dimension": width,
            **pooling,
            "include_prompt": settings.pools_prompt,
        },
    }
    for name, content in contents.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
