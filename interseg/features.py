"""Features that an encoder computes once a photo, kept for training: in memory, or on disk for every process and every run.

An entry's name is the digest of the pixels that the encoder was shown, so that a photo, its view
and its flip tell themselves apart, objects of one photo share an entry, and a file that was
replaced is encoded anew. Its folder is the encoder's.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from interseg.errors import InputError
from interseg.files import whole

Levels = list[Tensor]
"""Features (C, h, w) of one photo, a level each."""
GIGA = 1e9


def cache_folder() -> Path:
    """Give the folder of features, `$XDG_CACHE_HOME/interseg/features` (`~/.cache` by default)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "interseg", "features")


def key_of(image: Tensor) -> str:
    """Compute the name of what an encoder is shown: the digest of a photo's (3, H, W) size and pixels, in steps of 1 / 255."""
    pixels = (image.detach() * 255).round().to("cpu", torch.uint8).contiguous()
    return hashlib.blake2b(
        pixels.numpy().tobytes(), digest_size=16, key=str(tuple(pixels.shape)).encode()
    ).hexdigest()


class FeatureStore:
    """Features in half precision by encoder and photo.

    Several processes may fill one folder: entries are written whole, and whoever comes second
    writes the same.

    Args:
        encoder: key of the encoder, the name of its folder.
        folder: of all encoders; None keeps features in memory.
        limit: most gigabytes (1e9 bytes) of this encoder's entries; what comes later is not kept.
    """

    def __init__(self, encoder: str, folder: Path | None, limit: float = 20.0) -> None:
        self.folder = None if folder is None else folder / encoder
        self.limit, self.full = limit * GIGA, False
        self.memory: dict[str, Levels] = {}
        self.bytes = 0
        """Of what is kept."""
        if self.folder is not None:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise unwritable(self.folder, error) from None
            self.bytes = sum(entry.stat().st_size for entry in self.folder.glob("??/*.safetensors"))

    def get(self, key: str) -> Levels | None:
        """Read an entry; None where it is not kept. A damaged one is removed."""
        if self.folder is None:
            return self.memory.get(key)
        path = self._path(key)
        try:
            found = load_file(path)
        except FileNotFoundError:
            return None
        except (SafetensorError, OSError):
            path.unlink(missing_ok=True)
            return None
        return [found[str(i)] for i in range(len(found))]

    def put(self, key: str, levels: Levels) -> None:
        """Keep an entry, unless the limit is reached; raises `InputError` where the folder cannot be written."""
        size = sum(level.numel() * 2 for level in levels)
        if self.bytes + size > self.limit:
            self.full = True
            return
        kept = {
            str(i): level.detach().to("cpu", torch.float16).contiguous()
            for i, level in enumerate(levels)
        }
        if self.folder is None:
            self.memory[key] = list(kept.values())
        else:
            path = self._path(key)
            try:
                path.parent.mkdir(exist_ok=True)
                with whole(path) as part:
                    save_file(kept, part)
            except (OSError, SafetensorError) as error:
                raise unwritable(self.folder, error) from None
        self.bytes += size

    def features(
        self, images: Tensor, encode: Callable[[Tensor], Sequence[Tensor]]
    ) -> tuple[list[Tensor], int]:
        """Look up photos, and encode and keep those that are new, each once.

        Args:
            images: (B, 3, H, W) in [0, 1].
            encode: photos to levels (B, C, h, w).

        Returns:
            The levels (B, C, h, w) in the images' precision, rounded to half precision whether they
            were kept or not, and the number of photos that were encoded.
        """
        keys = [key_of(image) for image in images]
        found = {key: self.get(key) for key in dict.fromkeys(keys)}
        new = [key for key, levels in found.items() if levels is None]
        if new:
            with torch.no_grad():
                levels = encode(images[[keys.index(key) for key in new]])
            for row, key in enumerate(new):
                found[key] = [level[row].half() for level in levels]
                self.put(key, found[key] or [])
        rows = [found[key] or [] for key in keys]
        return [
            torch.stack(list(level)).to(images.device, images.dtype)
            for level in zip(*rows, strict=True)
        ], len(new)

    def _path(self, key: str) -> Path:
        assert self.folder is not None
        return self.folder / key[:2] / f"{key}.safetensors"


def unwritable(folder: Path, error: Exception) -> InputError:
    """Make the error of a folder that features cannot be written to."""
    reason = getattr(error, "strerror", None) or str(error)[:120]
    return InputError(
        f"{folder} cannot be written ({reason}); give another folder of features, or null to keep them in memory"
    )
