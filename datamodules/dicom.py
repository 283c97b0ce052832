"""DICOM folders: one series of whole slices, or an error that lists the series to choose from."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import SimpleITK

from datamodules.itk import quiet
from interseg.errors import InputError

DESCRIPTION, POSITION, ORIENTATION = "0008|103e", "0020|0032", "0020|0037"
"""Tags of a series' description, of a slice's position and axes in mm (DICOM PS3.3, C.7.6.2)."""
SUFFIXES = (".dcm", ".dicom", ".ima")
MAGIC_AT, MAGIC = 128, b"DICM"
UNEVEN = 1.5
"""Factor of the median distance between slices above which a slice is missing in between."""


class Series(NamedTuple):
    """A series in a folder."""

    folder: Path
    id: str
    description: str
    files: tuple[str, ...]


def slices_of(folder: Path, wanted: str | None = None) -> tuple[str, ...]:
    """List the slices of a folder's series, in order.

    Args:
        folder: Folder of the slices.
        wanted: Id or description of the series; None for the only one.

    Raises:
        InputError: There is no series, or several and none is chosen; a slice is damaged; slices
            are missing, or several are at one position.
    """
    known = series_in([folder])
    chosen = choose(known, folder, wanted)
    files: set[str] = set()
    for series in known:
        files.update(series.files)
    check_strays(folder, files)
    check_places(folder, chosen.files)
    return chosen.files


def series_folder(case: Path, wanted: str | None = None) -> Path:
    """Find the folder that holds the series of a case: the case's own or one below it.

    Without a series it is the case's own folder, and reading raises the error.

    Args:
        case: Folder of the case.
        wanted: Id or description of the series; None for the only one.

    Raises:
        InputError: There are several series and none is chosen.
    """
    below = [path for path in case.rglob("*") if path.is_dir()]
    known = series_in([case, *sorted(below)])
    return choose(known, case, wanted).folder if known else case


def series_in(folders: Sequence[Path]) -> list[Series]:
    """List the series of folders."""
    reader = SimpleITK.ImageSeriesReader
    found = []
    with quiet():
        for folder in folders:
            if not any(path.is_file() for path in folder.iterdir()):
                continue
            for id in reader.GetGDCMSeriesIDs(str(folder)):
                files = reader.GetGDCMSeriesFileNames(str(folder), id)
                if files:
                    description = tags_of(files[0])[DESCRIPTION]
                    found.append(Series(folder, id, description, files))
    return found


def choose(known: Sequence[Series], where: Path, wanted: str | None) -> Series:
    """Choose the wanted series.

    Args:
        known: Series to choose from.
        where: Folder of the series, for messages.
        wanted: Id or description of the series; None for the only one.

    Raises:
        InputError: None or several are wanted.
    """
    if not known:
        raise InputError(f"{where} holds no DICOM series; give the folder of its slices")
    chosen = [
        series for series in known if wanted is None or wanted in (series.id, series.description)
    ]
    if len(chosen) == 1:
        return chosen[0]
    lines = []
    for series in known:
        description = series.description or "no description"
        lines.append(f"{series.id} ({description}, {len(series.files)} slices)")
    given = "" if wanted is None else f", {len(chosen)} of them {wanted!r}"
    raise InputError(
        f"{where} holds {len(known)} DICOM series{given}: {'; '.join(lines)}; "
        "say which by data.series=ID_OR_DESCRIPTION"
    )


def check_strays(folder: Path, known: set[str]) -> None:
    """Raise `InputError` for a slice that belongs to no series.

    GDCM silently skips files that are damaged or cut short.

    Args:
        folder: Folder of the slices.
        known: Files of all its series.
    """
    series = {os.path.abspath(file) for file in known}
    for path in sorted(folder.iterdir()):
        is_other = path.name.startswith(".") or path.name.upper() == "DICOMDIR"
        if os.path.abspath(path) in series or is_other or not path.is_file():
            continue
        if path.suffix.lower() in SUFFIXES or is_dicom(path):
            raise InputError(
                f"{path} is of no DICOM series, it is damaged or cut short; "
                "copy or download it again, or remove it"
            )


def is_dicom(path: Path) -> bool:
    """Tell by its magic bytes whether a file is a DICOM file."""
    with path.open("rb") as file:
        file.seek(MAGIC_AT)
        return file.read(len(MAGIC)) == MAGIC


def check_places(folder: Path, files: Sequence[str]) -> None:
    """Raise `InputError` if slices are missing between others, or several are at one position.

    Series whose slices have no positions are not checked.
    """
    tags = [tags_of(file) for file in files]
    points = [numbers(found[POSITION]) for found in tags]
    axes = numbers(tags[0][ORIENTATION])
    if len(files) < 3 or len(axes) != 6 or any(len(point) != 3 for point in points):
        return
    normal = np.cross(axes[:3], axes[3:])
    places = np.sort(np.array(points) @ normal)
    steps = np.diff(places)
    if steps.min() < 1e-3:
        raise InputError(
            f"{folder} has several slices at {places[steps.argmin()]:.4g} mm: it mixes volumes; "
            "leave one in the folder"
        )
    if steps.max() > UNEVEN * np.median(steps):
        low, high = places[steps.argmax()], places[steps.argmax() + 1]
        raise InputError(
            f"{folder} lacks slices between {low:.4g} and {high:.4g} mm; "
            "copy or download the series again"
        )


def tags_of(file: str) -> dict[str, str]:
    """Read a slice's tags of series, position and axes; "" for a tag that it does not have."""
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(file)
    with quiet():
        reader.ReadImageInformation()
    tags = {}
    for tag in (DESCRIPTION, POSITION, ORIENTATION):
        known = reader.HasMetaDataKey(tag)
        tags[tag] = reader.GetMetaData(tag).strip() if known else ""
    return tags


def numbers(text: str) -> list[float]:
    """Read DICOM's decimal strings; an empty list if one of them is not a number."""
    try:
        return [float(part) for part in text.split("\\")]
    except ValueError:
        return []
