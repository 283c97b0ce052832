"""Interactive image segmentation: `interseg.load(RUN).session("photo.jpg").click(y, x)`; nothing here imports Lightning."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from interseg.inference.exported import ExportedModel
    from interseg.inference.model import Model


def load(
    path: str | Path, *overrides: str, device: str = "auto", trusted: Sequence[str] = ()
) -> "Model | ExportedModel":
    """Load what train.py has trained, to open sessions on photos.

    Args:
        path: of a run's folder, or of a checkpoint anywhere: its config is inside. Or what
            export.py wrote, which needs no torch.
        overrides: `key=value` of the config, as evaluate.py takes them: "refiner=f_brs_b",
            "flip=true", "model.long_side=640".
        device: "auto" for a GPU where there is one, "cpu", "cuda", ...
        trusted: packages of yours whose classes the config names.

    Raises:
        InputError: no checkpoint there, or none of a method that answers clicks.
    """
    if (Path(path) / "interseg.json").is_file():
        from interseg.inference.exported import load_exported

        return load_exported(Path(path), overrides, device)
    from interseg.inference.model import load_model  # torch only when something is loaded

    return load_model(Path(path), overrides, device, trusted)
