"""Three small sets side by side, as one data module."""

from datamodules.base import Loading
from datamodules.folder import FolderDataModule
from datamodules.grabcut import GrabCutDataModule
from datamodules.joined import JoinedDataModule
from tests.helpers.drawing import draw, draw_folder, write
from tests.helpers.training import AUGMENT


def draw_sets(root):
    """Two folders to train on, of 6 and 4 objects, and a set to evaluate on, of 3."""
    draw_folder(root / "big", 3)
    for i in range(2):
        image, ids = draw(i + 20)
        write(root / "small" / "images" / f"{i}.png", image)  # names that the other folder has too
        write(root / "small" / "masks" / f"{i}.png", ids)
    for i in range(3):
        image, ids = draw(i + 40, objects=1)
        write(root / "held" / "data_GT" / f"{i}.png", image)
        write(root / "held" / "boundary_GT" / f"{i}.png", ids * 255)
    return root


def joined(root, weights=None, batch_size=2, **options):
    parts = {
        "big": FolderDataModule(str(root / "big")),
        "small": FolderDataModule(str(root / "small")),
        "held": GrabCutDataModule(str(root / "held")),
    }
    chosen = {"train": ["big", "small"], "evaluate": ["held"]} | options
    loading = Loading(num_workers=0, batch_size=batch_size, augment=AUGMENT)
    return JoinedDataModule(parts, weights, **chosen, loading=loading)
