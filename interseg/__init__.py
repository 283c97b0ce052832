"""Interactive image segmentation: `interseg.load(RUN).session("photo.jpg").click(y, x)`.

Nothing in this package imports Lightning.
"""

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
    """Load a trained model, to open sessions on photos.

    Args:
        path: Name of a network that ships, "interseg-lite" or "interseg-s"; or path of a run's
            folder of train.py, of a checkpoint anywhere, which holds its config, or of an export of
            export.py, which needs no torch.
        overrides: `key=value` of the config, as for evaluate.py: "refiner=f_brs_b", "flip=true",
            "model.long_side=640", "callbacks.loop.threshold=0.4".
        device: "auto" for a GPU if there is one, "cpu", "cuda", ...
        trusted: Names of your own packages whose classes the config names.

    Raises:
        InputError: No checkpoint there, or one of a method that does not answer clicks.
    """
    if (Path(path) / "interseg.json").is_file():
        from interseg.inference.exported import load_exported

        return load_exported(Path(path), overrides, device)
    from interseg.inference.model import load_model  # torch only when something is loaded

    return load_model(Path(path), overrides, device, trusted)
