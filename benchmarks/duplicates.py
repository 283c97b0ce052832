"""Number of bits by which photos' perceptual hashes differ, of versions and of different photos.

python -m benchmarks.duplicates FOLDER_OF_PHOTOS
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from datamodules.duplicates import fingerprint, nearest_pairs
from interseg.images import image_header, read_image

Image = NDArray[np.uint8]


def jpeg(image: Image, quality: int) -> Image:
    """Write a photo as JPEG and read it."""
    written = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    read = cv2.imdecode(written, cv2.IMREAD_COLOR)
    assert read is not None
    return read.astype(np.uint8)


def resize(image: Image, width: int, height: int) -> Image:
    """Resize a photo."""
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8)


def cut(image: Image, share: float) -> Image:
    """Cut a share of the sides off each side."""
    y, x = round(image.shape[0] * share), round(image.shape[1] * share)
    return image[y : image.shape[0] - y, x : image.shape[1] - x].copy()


def turn(image: Image, degrees: float) -> Image:
    """Turn a photo round its centre."""
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    return cv2.warpAffine(image, turn, (width, height)).astype(np.uint8)


VERSIONS: dict[str, Callable[[Image], Image]] = {
    "480 x 480, JPEG 60": lambda image: jpeg(resize(image, 480, 480), 60),
    "half the size, JPEG 40": lambda image: jpeg(
        resize(image, image.shape[1] // 2, image.shape[0] // 2), 40
    ),
    "30 % brighter": lambda image: (image * 1.3).clip(0, 255).astype(np.uint8),
    "cut by 2 % a side": lambda image: cut(image, 0.02),
    "cut by 5 % a side": lambda image: cut(image, 0.05),
    "cut by 10 % a side": lambda image: cut(image, 0.1),
    "turned by 3 degrees, cut by 4 %": lambda image: cut(turn(image, 3), 0.04),
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folder", type=Path)
    paths = sorted(
        path
        for path in arguments.parse_args().folder.iterdir()
        if path.suffix.lower() in (".jpg", ".jpeg", ".png")
    )
    photos = {path.name: read_image(path, image_header(path).size.upright) for path in paths}
    prints = {name: fingerprint(photo) for name, photo in photos.items()}
    print("| version of a photo | bits that differ: median, 95 %, most |\n|---|---|")
    for version, change in VERSIONS.items():
        bits = []
        for name, photo in photos.items():
            changed = {name: fingerprint(change(photo))}
            bits.append(nearest_pairs({name: prints[name]}, changed)[0].distance)
        print(f"| {version} | {np.median(bits):.0f}, {np.percentile(bits, 95):.0f}, {max(bits)} |")
    others = []
    for name in photos:
        rest = {other: print_ for other, print_ in prints.items() if other != name}
        others.append(nearest_pairs({name: prints[name]}, rest)[0].distance)
    print(
        f"| another photo of the folder, the nearest | {np.median(others):.0f}; "
        f"the least {min(others)} |"
    )


if __name__ == "__main__":
    main()
