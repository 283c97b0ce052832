"""Encoder features stored for training, in memory or on disk for all processes and runs.

An entry is named by the digest of the encoder's input pixels. So a photo, its view and its flip
have different entries, objects of one photo share an entry, and a replaced file is encoded again.
Each encoder has its own folder.
"""

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from interseg.errors import InputError
from interseg.files import PART, whole

Levels = list[Tensor]
"""Features (C, h, w) of one photo, one tensor a level."""
GIGA = 1e9
DAY = 24 * 60 * 60.0


def cache_folder() -> Path:
    """Return the folder of features, `interseg/features` in `$XDG_CACHE_HOME` or `~/.cache`."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache, "interseg", "features")


def key_of(image: Tensor) -> str:
    """Compute an entry's name: the digest of a photo's (3, H, W) size and pixels.

    Pixels are rounded to steps of 1 / 255.
    """
    pixels = (image.detach() * 255).round().to("cpu", torch.uint8).contiguous()
    size = str(tuple(pixels.shape)).encode()
    return hashlib.blake2b(pixels.numpy().tobytes(), digest_size=16, key=size).hexdigest()


class FeatureStore:
    """A store of features in half precision, by encoder and photo.

    Several processes may fill one folder: entries are complete when they appear, and all processes
    write the same entries.

    Args:
        encoder: Key of the encoder, the name of its folder.
        folder: Folder of all encoders; None keeps features in memory.
        limit: Largest size of this encoder's entries in gigabytes (1e9 bytes); later entries are
            not stored.

    Raises:
        InputError: A folder that cannot be written.
    """

    def __init__(self, encoder: str, folder: Path | None, limit: float = 20.0) -> None:
        self.folder = None if folder is None else folder / encoder
        self.limit, self.full = limit * GIGA, False
        self.memory: dict[str, Levels] = {}
        self.bytes = 0
        """Size of the stored entries."""
        if self.folder is not None:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise unwritable(self.folder, error) from None
            remove_left(self.folder)
            entries = self.folder.glob("??/*.safetensors")
            self.bytes = sum(entry.stat().st_size for entry in entries)

    def get(self, key: str) -> Levels | None:
        """Read an entry; None if there is none. A damaged entry is removed."""
        if self.folder is None:
            return self.memory.get(key)
        path = self._path(key)
        try:
            found = load_file(path)
        except FileNotFoundError:
            return None
        except OSError:  # the machine's trouble, not the file's
            return None
        except SafetensorError:
            path.unlink(missing_ok=True)
            return None
        return [found[str(i)] for i in range(len(found))]

    def put(self, key: str, levels: Levels) -> None:
        """Store an entry, unless it is there or the limit is reached.

        Raises:
            InputError: A folder that cannot be written.
        """
        if self.folder is not None and self._path(key).exists():
            return
        size = sum(level.numel() * 2 for level in levels)
        if self.bytes + size > self.limit:
            self.full = True
            return
        kept = {}
        for i, level in enumerate(levels):
            kept[str(i)] = level.detach().to("cpu", torch.float16).contiguous()
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
        """Look up photos, and encode and store the new ones, each once.

        Args:
            images: (B, 3, H, W) in [0, 1].
            encode: Function from photos to levels (B, C, h, w).

        Returns:
            The levels (B, C, h, w) in the images' precision, rounded to half precision even if they
            were not stored, and the number of photos that were encoded.
        """
        keys = [key_of(image) for image in images]
        found = {key: self.get(key) for key in dict.fromkeys(keys)}
        new = [key for key, levels in found.items() if levels is None]
        if new:
            with torch.no_grad():
                levels = encode(images[[keys.index(key) for key in new]])
            for row, key in enumerate(new):
                found[key] = [level[row].half().cpu() for level in levels]  # as `get` gives them
                self.put(key, found[key] or [])
        rows = [found[key] or [] for key in keys]
        stacked = [torch.stack(list(level)) for level in zip(*rows, strict=True)]
        return [level.to(images.device, images.dtype) for level in stacked], len(new)

    def _path(self, key: str) -> Path:
        assert self.folder is not None
        return self.folder / key[:2] / f"{key}.safetensors"


def remove_left(folder: Path) -> None:
    """Remove what processes that were killed more than a day ago left half-written."""
    for part in folder.glob(f"??/.*{PART}"):
        with contextlib.suppress(OSError):
            if part.stat().st_mtime < time.time() - DAY:
                part.unlink()


def unwritable(folder: Path, error: Exception) -> InputError:
    """Make the error for a folder that cannot be written."""
    reason = getattr(error, "strerror", None) or str(error)[:120]
    return InputError(
        f"{folder} cannot be written ({reason}); "
        "give another folder of features, or null to keep them in memory"
    )
