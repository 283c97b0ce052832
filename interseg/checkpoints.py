"""Reading checkpoints: tensors and plain values only, and one clear error for what is none."""

from pathlib import Path
from typing import Any

import torch

from interseg.errors import InputError


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """A checkpoint's content on the CPU, its weights under `state_dict`; raises `InputError` for a damaged or foreign file."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        content["state_dict"]
        return content
    except Exception as error:  # torch raises RuntimeError, UnpicklingError, EOFError, KeyError ... for damaged or foreign files
        raise InputError(f"{path} cannot be read as a checkpoint: {str(error).splitlines()[0][:160]}") from None
