"""HQSeg-44K (Ke et al. 2023, "Segment Anything in High Quality"): photos with accurate outlines."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from datamodules.base import ClickDataModule, Loading
from datamodules.folder_source import FolderSource
from datamodules.joined import JoinedSource
from datamodules.sources import require_folder
from interseg.errors import InputError


class Part(NamedTuple):
    """Folders of a set's photos and masks; the first existing folder of masks counts."""

    images: str
    masks: tuple[str, ...]


THIN = "thin_object_detection"
EVALUATED = {
    "DIS5K": Part("DIS5K/DIS-VD/im", ("DIS5K/DIS-VD/gt",)),
    "ThinObject": Part(f"{THIN}/ThinObject5K/images_test", (f"{THIN}/ThinObject5K/masks_test",)),
    "COIFT": Part(f"{THIN}/COIFT/images", (f"{THIN}/COIFT/masks",)),
    "HRSOD": Part(f"{THIN}/HRSOD/images", (f"{THIN}/HRSOD/masks_max255", f"{THIN}/HRSOD/masks")),
}
"""The four sets for evaluation: 1,537 photos, one object each."""
TRAINED = {
    "DIS5K": Part("DIS5K/DIS-TR/im", ("DIS5K/DIS-TR/gt",)),
    "ThinObject": Part(f"{THIN}/ThinObject5K/images_train", (f"{THIN}/ThinObject5K/masks_train",)),
}
HOW = (
    "unpack DIS5K.zip and thin_object_detection.zip of HQSeg-44K there, "
    "so that DIS5K/ and thin_object_detection/ lie in it"
)


class HqsegDataModule(ClickDataModule):
    """Data module of HQSeg-44K's sets that have splits.

    Validation and test have its four evaluation sets, training has two of its training sets. The
    layout is that of the archives, with the folders that SAM-HQ's official training code names.
    Masks are grey, many with soft edges: everything above 0 is the object, as in the evaluations
    by clicks that report on these sets (SegNext, HR-SAM); `kind="soft"` cuts them at half, as
    SAM-HQ's own mIoU does. The training sets that CascadePSP had collected
    (`cascade_psp/`, photos and masks in one folder each) are not read here.

    Args:
        root: Folder with `DIS5K/` and `thin_object_detection/`.
        sets: Names of the sets to evaluate on: "DIS5K", "ThinObject", "COIFT", "HRSOD"; the first
            two are also trained on, if named.
        kind: Kind of the masks, "binary" or "soft"; HRSOD's own of 0 and 1 are always binary.
        loading: See `Loading`.
    """

    def __init__(
        self,
        root: str = "data/hqseg44k",
        sets: Sequence[str] = tuple(EVALUATED),
        kind: str = "binary",
        loading: Loading | None = None,
    ) -> None:
        super().__init__(loading)
        if not sets or set(sets) - EVALUATED.keys():
            raise InputError(f"sets is {list(sets)}; name some of {', '.join(EVALUATED)}")
        if kind not in ("binary", "soft"):
            raise InputError(f"kind is {kind!r}; use binary or soft")
        self.root, self.sets, self.kind = Path(root), tuple(sets), kind

    def source(self, split: str) -> JoinedSource:
        root = require_folder(self.root, "HQSeg-44K", HOW)
        parts = TRAINED if split == "train" else EVALUATED
        chosen = {name: parts[name] for name in self.sets if name in parts}
        if not chosen:
            raise InputError(
                f"{', '.join(self.sets)} of HQSeg-44K have no training photos; "
                f"only {' and '.join(TRAINED)} have"
            )
        return JoinedSource(
            {name: open_set(root, part, self.kind) for name, part in chosen.items()}
        )


def open_set(root: Path, part: Part, kind: str) -> FolderSource:
    """Open a set; raises `InputError` if a folder is missing."""
    folders = [root / name for name in part.masks]
    existing = [folder for folder in folders if folder.is_dir()]
    masks = existing[0] if existing else folders[0]
    what = "a set of HQSeg-44K"
    return FolderSource(
        require_folder(root / part.images, what, HOW),
        require_folder(masks, what, HOW),
        "binary" if masks.as_posix().endswith("HRSOD/masks") else kind,
    )
