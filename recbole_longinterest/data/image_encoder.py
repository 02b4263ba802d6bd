"""Encode image files with a vision encoder of transformers, cached by file content (extra ``vision``)."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.files import file_hash
from recbole_longinterest.common.packages import require
from recbole_longinterest.text.folder import one_line
from recbole_longinterest.text.models import quiet_transformers

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif")
POOLINGS = ("mean", "cls")
BATCH = 32
PIXELS = 2**26  # maximum per image: a small file can contain an image that fills the memory


def image_files(folder: Path) -> dict[str, Path]:
    """Find the image files of a folder, by item token: the file name without its suffix.

    Raises:
        LongInterestError: if there is no folder, or an item has two images.
    """
    if not folder.is_dir():
        raise LongInterestError(
            f"There is no folder of images {folder}. It must hold a file for each item, as TOKEN.jpg."
        )
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in SUFFIXES:
            if path.stem in found:
                raise LongInterestError(
                    f"The item {path.stem} has two images, {found[path.stem].name} and {path.name}. Remove one."
                )
            found[path.stem] = path
    return found


class ImageEncoder:
    """Turn image files into vectors, as an :class:`~recbole_longinterest.text.cache.Encoder` of keys instead of texts.

    Only safetensors weights are loaded, and no code from a model folder is run. Models of text and images (CLIP,
    SigLIP) give their image features. Other models give the pooled output of their last layer.

    Args:
        folder: folder of a transformers model with its image processor.
        pooling: ``mean`` over the tokens or spatial positions, or ``cls`` for the first one.
        device: device to encode on.
    """

    batch_size = BATCH

    def __init__(self, folder: str, pooling: str = "mean", device: str | torch.device = "cpu") -> None:
        require("PIL", "A source of images")
        if pooling not in POOLINGS:
            raise LongInterestError(f"pooling of images must be one of {', '.join(POOLINGS)}; got {pooling!r}.")
        self.folder, self.pooling, self.device = Path(folder).expanduser(), pooling, torch.device(device)
        if not (self.folder / "config.json").is_file():
            raise LongInterestError(
                f"encoder of images must be the folder of a transformers model; {folder} has no config.json. "
                "Download the model and give its folder."
            )
        self._paths: dict[str, Path] = {}
        self._loaded: tuple[Any, Any] | None = None

    @property
    def identity(self) -> str:
        """Identity of the encoder: hash of the model's files, and the pooling."""
        files = sorted(path for path in self.folder.iterdir() if path.suffix in (".json", ".safetensors"))
        content = "".join(f"{path.name} {file_hash(path)}\n" for path in files)
        return f"images sha256:{sha256(content.encode()).hexdigest()} {self.pooling}"

    def key_of(self, path: Path) -> str:
        """Return the key of an image, the hash of its file."""
        key = file_hash(path)
        self._paths[key] = path
        return key

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode images.

        Args:
            texts: keys from :meth:`key_of`.

        Returns:
            float32 [n, D].

        Raises:
            LongInterestError: if a file is not an image, or the model cannot read images.
        """
        parts = []
        with torch.random.fork_rng(devices=[]), torch.inference_mode(), quiet_transformers():
            processor, network = self._load()
            for start in range(0, len(texts), BATCH):
                images = [_read(self._paths[key]) for key in texts[start : start + BATCH]]
                try:
                    inputs = processor(images=images, return_tensors="pt").to(self.device)
                    vectors = self._pooled(network, inputs["pixel_values"])
                except (TypeError, ValueError, AttributeError, KeyError, RuntimeError) as error:
                    raise LongInterestError(
                        f"The image encoder {self.folder} does not turn images into vectors: {one_line(error)}. Name "
                        "a vision model."
                    ) from error
                parts.append(vectors.float().cpu().numpy())
        return np.concatenate(parts)

    def _load(self) -> tuple[Any, Any]:
        if self._loaded is None:
            from transformers import AutoImageProcessor, AutoModel  # late: takes seconds, and cached images need none

            safe = {"local_files_only": True, "trust_remote_code": False}
            try:
                processor = AutoImageProcessor.from_pretrained(self.folder, **safe)
                network = AutoModel.from_pretrained(self.folder, use_safetensors=True, **safe)
            except Exception as error:  # transformers may raise any error
                raise LongInterestError(
                    f"The image encoder {self.folder} cannot be loaded: {one_line(error)}."
                ) from error
            self._loaded = processor, network.float().to(self.device).eval()
        return self._loaded

    def _pooled(self, network: Any, pixels: Tensor) -> Tensor:  # noqa: ANN401 - a model of transformers
        """Vectors [B, D] of images [B, channels, height, width]."""
        if hasattr(network, "get_image_features"):
            found = network.get_image_features(pixel_values=pixels)
            return found if isinstance(found, Tensor) else found.pooler_output
        hidden = network(pixel_values=pixels).last_hidden_state
        # The spatial positions of a convolutional network become tokens: [B, D, h, w] to [B, T, D].
        tokens = hidden.flatten(2).transpose(1, 2) if hidden.ndim == 4 else hidden
        return tokens[:, 0] if self.pooling == "cls" else tokens.mean(dim=1)


def _read(path: Path) -> Any:  # noqa: ANN401 - an image of PIL
    """Read an image as RGB.

    Raises:
        LongInterestError: if the file is not an image, or has too many pixels.
    """
    from PIL import Image  # belongs to the extra vision

    try:
        with Image.open(path) as image:
            if image.width * image.height > PIXELS:
                raise LongInterestError(f"{path} has more than {PIXELS:,} pixels. Make it smaller.")
            return image.convert("RGB")
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise LongInterestError(f"{path} is not an image that can be read: {one_line(error)}. Remove it.") from error
