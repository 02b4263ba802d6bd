"""Vectors of image files by any vision encoder of transformers, cached by the files' content (extra vision)."""

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
PIXELS = 2**26  # of an image, at most; a small file can hold a picture that fills the memory


def image_files(folder: Path) -> dict[str, Path]:
    """Image files of a folder by item token, the name without its suffix.

    Raises:
        LongInterestError: if there is no folder, or an item has two images.
    """
    if not folder.is_dir():
        raise LongInterestError(f"There is no folder of images {folder}. It holds a file for an item: TOKEN.jpg.")
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
    """Turns image files into vectors; an :class:`~recbole_longinterest.text.cache.Encoder` whose texts are keys.

    Only safetensors weights are loaded, and no code from a model folder is run. Models of text and images (CLIP,
    SigLIP) give their image features; others the pooled tokens or places of their last layer.

    Args:
        folder: of a model of transformers with its image processor.
        pooling: ``mean`` of the tokens or places, or the first token (``cls``).
        device: where to encode.
    """

    batch_size = BATCH

    def __init__(self, folder: str, pooling: str = "mean", device: str | torch.device = "cpu") -> None:
        require("PIL", "A source of images")
        if pooling not in POOLINGS:
            raise LongInterestError(f"pooling of images must be one of {', '.join(POOLINGS)}; got {pooling!r}.")
        self.folder, self.pooling, self.device = Path(folder).expanduser(), pooling, torch.device(device)
        if not (self.folder / "config.json").is_file():
            raise LongInterestError(
                f"encoder of images must be the folder of a model of transformers; {folder} has no config.json. "
                "Download the model and name its folder."
            )
        self._paths: dict[str, Path] = {}
        self._loaded: tuple[Any, Any] | None = None

    @property
    def identity(self) -> str:
        """The model's files and the pooling."""
        files = sorted(path for path in self.folder.iterdir() if path.suffix in (".json", ".safetensors"))
        content = "".join(f"{path.name} {file_hash(path)}\n" for path in files)
        return f"images sha256:{sha256(content.encode()).hexdigest()} {self.pooling}"

    def key_of(self, path: Path) -> str:
        """Key of an image: the hash of its file."""
        key = file_hash(path)
        self._paths[key] = path
        return key

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of images.

        Args:
            texts: keys of :meth:`key_of`.

        Returns:
            float32 [n, D].

        Raises:
            LongInterestError: for a file that is no image, and a model that reads none.
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
            from transformers import AutoImageProcessor, AutoModel  # takes seconds, and a full cache needs none of it

            safe = {"local_files_only": True, "trust_remote_code": False}
            try:
                processor = AutoImageProcessor.from_pretrained(self.folder, **safe)
                network = AutoModel.from_pretrained(self.folder, use_safetensors=True, **safe)
            except Exception as error:  # transformers raises whatever its parts raise
                raise LongInterestError(
                    f"The image encoder {self.folder} cannot be loaded: {one_line(error)}."
                ) from error
            self._loaded = processor, network.float().to(self.device).eval()
        return self._loaded

    def _pooled(self, network: Any, pixels: Tensor) -> Tensor:  # noqa: ANN401 - a model of transformers
        """[B, channels, height, width] to [B, D]."""
        if hasattr(network, "get_image_features"):
            found = network.get_image_features(pixel_values=pixels)
            return found if isinstance(found, Tensor) else found.pooler_output
        hidden = network(pixel_values=pixels).last_hidden_state
        tokens = hidden.flatten(2).transpose(1, 2) if hidden.ndim == 4 else hidden  # places of a convolution: [B, T, D]
        return tokens[:, 0] if self.pooling == "cls" else tokens.mean(dim=1)


def _read(path: Path) -> Any:  # noqa: ANN401 - an image of PIL
    """An image in three colours.

    Raises:
        LongInterestError: for a file that is no image, or has too many pixels.
    """
    from PIL import Image  # belongs to the extra vision

    try:
        with Image.open(path) as image:
            if image.width * image.height > PIXELS:
                raise LongInterestError(f"{path} has more than {PIXELS:,} pixels. Make it smaller.")
            return image.convert("RGB")
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise LongInterestError(f"{path} is not an image that can be read: {one_line(error)}. Remove it.") from error
