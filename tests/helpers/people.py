"""Small files as people have them, and what readers make of them, in a form that a table can
show.
"""

import json
import locale
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import SimpleITK
from PIL import Image

from datamodules.coco_source import CocoSource
from datamodules.folder import FolderDataModule
from datamodules.folder_source import FolderSource
from datamodules.sources import ObjectSource
from datamodules.tasks import ClassFolderDataModule
from datamodules.volume_files import VolumeFiles, read_case
from interseg.errors import InputError
from interseg.images import read_image

H, W = 24, 32
BOX = np.zeros((H, W), np.uint8)
BOX[4:14, 6:20] = 1
"""An object of 140 pixels."""
TWO = BOX.copy()
TWO[16:22, 22:30] = 2
"""Another of 48 beside it."""
PHOTO = np.random.default_rng(0).integers(0, 256, (H, W, 3)).astype(np.uint8)
SOFT = cv2.GaussianBlur(BOX * 255, (5, 5), 0)
RED, BLUE = (255, 0, 0), (0, 0, 255)
POLYGON = [[6, 4, 20, 4, 20, 14, 6, 14]]
"""`BOX` in COCO's way."""


def coloured(labels: np.ndarray, *colours: tuple[int, int, int]) -> np.ndarray:
    """Labels (H, W) as colours (H, W, 3): the first is that of 0."""
    return np.array(colours, np.uint8)[labels]


def save(
    path: Path, pixels: np.ndarray, mode: str | None = None, orientation: int = 1, **options: Any
) -> Path:
    """Write a picture by its suffix, through Pillow.

    .npy by NumPy, colours of 16 bits by OpenCV.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".npy":
        np.save(path, pixels)
        return path
    if pixels.dtype == np.uint16 and pixels.ndim == 3:
        cv2.imwrite(str(path), pixels[..., ::-1])
        return path
    picture = Image.fromarray(pixels)
    if orientation != 1:
        options["exif"] = Image.Exif()
        options["exif"][274] = orientation
    (picture.convert(mode) if mode else picture).save(path, **options)
    return path


def told(source: ObjectSource, root: Path) -> dict[str, Any]:
    """List a source: pixels of each object and pixels that are ignored, by name, and the lines that
    it has for people.
    """
    objects = {}
    for index in range(len(source)):
        mask = source.read(index).mask
        objects[source.name(index)] = (int((mask == 1).sum()), int((mask == 255).sum()))
    lines = {"problems": source.problems, "notes": source.notes, "left_out": source.left_out}
    return {"objects": objects} | {
        kind: [line.replace(str(root), "ROOT") for line in found]
        for kind, found in lines.items()
        if found
    }


def photo(
    root: Path, name: str, pixels: np.ndarray, mode: str | None = None, **options: Any
) -> np.ndarray:
    """Write a photo and read it."""
    return read_image(save(root / name, pixels, mode, **options))


def masks(
    root: Path, files: dict[str, Any], photos: dict[str, Any] | None = None, **options: Any
) -> dict[str, Any]:
    """Write masks with their photos, `a.png` and so on unless they are given, and list them.

    A file is an array, or (array, options of `save`).
    """
    for folder, content in {
        "images": photos or {f"{Path(name).stem}.png": PHOTO for name in files},
        "masks": files,
    }.items():
        for name, given in content.items():
            pixels, how = given if isinstance(given, tuple) else (given, {})
            path = root / folder / name
            if isinstance(pixels, bytes):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(pixels)
            else:
                save(path, pixels, **how)
    return told(FolderSource(root / "images", root / "masks", **options), root)


def coco(root: Path, *rows: dict[str, Any], crowds: bool = False, **parts: Any) -> dict[str, Any]:
    """Write a COCO file of one photo, whose annotations are given as changes of a good one, and
    list it; None takes a key away.
    """
    save(root / "images" / "a.png", PHOTO)
    good = {"image_id": 1, "category_id": 1, "iscrowd": 0, "area": 140, "segmentation": POLYGON}
    annotations = [{"id": number} | good | row for number, row in enumerate(rows, 1)]
    annotations = [
        {key: value for key, value in row.items() if value != "absent"} for row in annotations
    ]
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": H, "width": W}],
        "categories": [{"id": 1, "name": "thing"}],
    }
    (root / "a.json").write_text(json.dumps(content | {"annotations": annotations} | parts))
    return told(CocoSource(root / "a.json", root / "images", crowds=crowds), root)


def classes(root: Path, *labels: np.ndarray, count: int = 3, **options: Any) -> list[list[int]]:
    """Write class masks with their photos and give the classes of each."""
    for number, pixels in enumerate(labels):
        save(root / "images" / f"{number}.png", PHOTO)
        save(root / "masks" / f"{number}.png", pixels, **options)
    data = ClassFolderDataModule(
        str(root), classes=count, size=(H, W), pretraining_images=0, length=1
    )
    objects = data.objects("train")
    return [np.unique(objects.read(index)[1]).tolist() for index in range(len(objects))]


VOXELS = np.random.default_rng(1).integers(1, 1000, (6, H, W)).astype(np.int16)
TARGET = np.repeat(BOX[None], 6, 0)


def volume(
    root: Path, name: str, keep: float = 1.0, data: str | None = None, zipped: bool = False
) -> tuple[int, bool]:
    """Write a volume, cut one of its files, and read the case.

    Its slices, and whether they are those that were written.

    Args:
        root: folder.
        name: of the volume.
        keep: share of the bytes that stay.
        data: name of the file that is cut, where it is not the volume's own.
        zipped: let ITK compress.
    """
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(VOXELS), str(root / name), zipped)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(TARGET), str(root / "label.nrrd"))
    path = root / (data or name)
    content = path.read_bytes()
    path.write_bytes(content[: round(len(content) * keep)])
    case = read_case(VolumeFiles(root / name, root / "label.nrrd"))
    return len(case.image), bool(np.array_equal(case.image, VOXELS))


def write_series(
    folder: Path, id: str, description: str, places: list[float], sagittal: bool = False
) -> list[Path]:
    """Write a DICOM series by GDCM, a slice a place in mm, axial or sagittal."""
    before = locale.setlocale(locale.LC_ALL)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, place in enumerate(places):
        one = SimpleITK.GetImageFromArray(VOXELS[number % len(VOXELS)][None])
        tags = {
            "0020|000e": id,
            "0008|103e": description,
            "0020|000d": "1.2",
            "0008|0018": f"{id}.{number + 1}",
            "0008|0060": "MR",
        }
        tags |= {
            "0020|0013": str(number),
            "0020|0032": f"{place}\\0\\0" if sagittal else f"0\\0\\{place}",
            "0020|0037": "0\\1\\0\\0\\0\\-1" if sagittal else "1\\0\\0\\0\\1\\0",
            "0018|0050": "2",
        }
        for tag, value in tags.items():
            one.SetMetaData(tag, value)
        paths.append(folder / f"{id}_{number}.dcm")
        writer = SimpleITK.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        writer.SetFileName(str(paths[-1]))
        writer.Execute(one)
    locale.setlocale(
        locale.LC_ALL, before
    )  # writing DICOM leaves the process in "C", where nothing reads UTF-8
    return paths


def split_of(root: Path, part: str, **options: Any) -> list[str]:
    """Write five photos and list the images of a split."""
    for number in range(5):
        save(root / "images" / f"{number}.png", PHOTO)
        save(root / "masks" / f"{number}.png", TWO)
    source = FolderDataModule(str(root), **options).source(part)
    return sorted({source.image(index) for index in range(len(source))})


def outcome(maker: Any, root: Path) -> Any:
    """Run a maker, and give its value or the error that it ends in, without the test's folder."""
    try:
        return maker(root)
    except InputError as error:
        return "error: " + str(error).replace(str(root), "ROOT")


VOID = TWO.copy()
"""Two objects with a row to ignore."""
VOID[0] = 255
HOLED = np.where(BOX[..., None] > 0, np.uint8(255), np.uint8(0))
"""An object as white on black, (H, W, 1)."""


def grey(pixels):
    """Repeat grey values (H, W) as three channels."""
    return np.repeat(np.asarray(pixels, np.uint8)[..., None], 3, -1)
