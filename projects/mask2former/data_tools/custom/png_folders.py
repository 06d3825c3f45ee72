"""Reads annotations that are PNG files: class ids, instance ids, or one binary mask an instance."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from mask2former.errors import DataError, MissingFileError
from mask2former.formats.class_png import read_class_ids
from mask2former.formats.images import SUFFIXES, check_size, image_size
from mask2former.formats.rle import encode_mask

from .scene import SIZE_FIX, Layer, Scene, smaller_on_top


@dataclass(frozen=True)
class PngSource:
    """The files of an image; ``masks`` has one binary PNG an instance. None where there is no such annotation."""

    image: Path
    semantic: Path | None = None
    instances: Path | None = None
    masks: tuple[Path, ...] | None = None


@dataclass(frozen=True)
class Meaning:
    """What the values of PNG files mean.

    Attributes:
        isthing: Of each class id.
        thing: Class of all instances; without it, ``divisor`` or the class-id PNG says the class.
        divisor: An instance PNG holds class * divisor + n; a value below it is a class id itself, of
            stuff or of a group of things.
        void: Class ids that are void.
    """

    isthing: Mapping[int, bool]
    thing: int | None = None
    divisor: int | None = None
    void: tuple[int, ...] = ()


def find_images(folder: str | Path, suffix: str | None = None) -> list[Path]:
    """List the images below a folder, in order; what lies in a folder named `masks` is none.

    Args:
        folder: Searched with all folders below it.
        suffix: What the names end with, instead of a known suffix.

    Raises:
        MissingFileError: If there is no such folder.
        DataError: If it has no image.
    """
    folder, endings = Path(folder), (suffix,) if suffix else (*SUFFIXES, '.npy')
    if not folder.is_dir():
        raise MissingFileError(f"The folder '{folder}' does not exist; give the folder of the images.")
    files = (Path(parent) / name for parent, _, names in os.walk(folder, followlinks=True) for name in names)
    images = sorted(
        path
        for path in files
        if path.name.lower().endswith(tuple(ending.lower() for ending in endings))
        and not path.name.startswith('.')
        and 'masks' not in path.relative_to(folder).parts[:-1]
    )
    if not images:
        raise DataError(f"The folder '{folder}' has no image ({', '.join(endings)}); give the folder of the images.")
    return images


def find_png(folder: str | Path, image: Path, root: Path, img_suffix: str | None, png_suffix: str) -> Path:
    """The PNG of an image: its name with the other suffix, in the same folder below the root or directly in it.

    Raises:
        MissingFileError: If there is none.
    """
    below = image.relative_to(root).with_name(_stem(image, img_suffix) + png_suffix)
    for path in (Path(folder) / below, Path(folder) / below.name):
        if path.is_file():
            return path
    raise MissingFileError(
        f"The image '{image}' has no '{Path(folder) / below}'; add it, give --png-suffix, or remove the image."
    )


def find_masks(folder: str | Path, image: Path, root: Path, img_suffix: str | None) -> tuple[Path, ...]:
    """The binary PNG files of an image: STEM/*.png or STEM/masks/*.png, in order.

    Raises:
        MissingFileError: If there is no such folder; an empty one says that the image has no instance.
    """
    folder, stem = Path(folder), _stem(image, img_suffix)
    below = folder / image.relative_to(root).with_name(stem)
    for candidate in (below / 'masks', below, folder / stem / 'masks', folder / stem):
        if candidate.is_dir():
            return tuple(sorted(candidate.glob('*.png')))
    raise MissingFileError(
        f"The image '{image}' has no folder '{below}' of masks; add it (empty, if the image shows "
        'no thing) or remove the image.'
    )


def read_scene(source: PngSource, meaning: Meaning) -> Scene:
    """Read the annotation of an image: things over stuff, smaller masks over larger ones.

    Pixels of a thing class that no instance has are void.

    Raises:
        MissingFileError: If a file is absent.
        DataError: If a file cannot be read, has not the image's size, or holds a value without a meaning.
    """
    size = image_size(source.image)
    layers: list[Layer] = []
    semantic: np.ndarray | None = None
    if source.semantic:
        semantic = _read_ids(source.semantic, source.image, size)
        layers += _semantic_layers(semantic, source.semantic, meaning)
    if source.instances:
        ids = _read_ids(source.instances, source.image, size)
        if meaning.divisor:
            layers += _divided_layers(ids, source.instances, meaning.divisor, meaning)
        elif meaning.thing is not None:
            layers += [Layer(encode_mask(ids == value), meaning.thing, value) for value in _values(ids)]
        else:
            assert semantic is not None, 'there is no other way to know the class'
            layers += _layers_by_class(ids, semantic, source, meaning)
    if source.masks is not None:
        masks = [
            Layer(encode_mask(_read_mask(path, source.image, size)), meaning.thing, path.name) for path in source.masks
        ]
        layers += smaller_on_top(masks)
    return Scene(source.image, size, layers)


def _stem(image: Path, img_suffix: str | None) -> str:
    return image.name[: -len(img_suffix)] if img_suffix else image.stem


def _read_ids(path: Path, image: Path, size: tuple[int, int]) -> np.ndarray:
    ids = read_class_ids(str(path))
    check_size(f"'{path}'", ids.shape, image, size, SIZE_FIX)
    return ids


def _read_mask(path: Path, image: Path, size: tuple[int, int]) -> np.ndarray:
    """``(H, W)`` bool: what is not black; of a palette image, what is not index 0. Transparency counts for nothing."""
    try:
        with Image.open(path) as opened:
            opened.load()
            colors = opened if opened.mode == 'P' or len(opened.getbands()) == 1 else opened.convert('RGB')
            values = np.asarray(colors)
    except Exception as error:  # the decoders raise what they like
        raise DataError(f"The mask '{path}' cannot be decoded ({error}); replace it.") from error
    mask = np.asarray(values.any(-1) if values.ndim == 3 else values != 0)
    check_size(f"The mask '{path}'", mask.shape, image, size, SIZE_FIX)
    return mask


def _values(ids: np.ndarray) -> list[int]:
    return [value for value in np.unique(ids).tolist() if value != 0]


def _known(class_id: int, path: Path, meaning: Meaning) -> bool:
    """Whether it is a class and not void.

    Raises:
        DataError: If it is neither.
    """
    if class_id in meaning.void:
        return False
    if class_id not in meaning.isthing:
        raise DataError(
            f"'{path}' has pixels of the class id {class_id}, which is no class; add it to --classes, or "
            'to --void if it means nothing.'
        )
    return True


def _semantic_layers(semantic: np.ndarray, path: Path, meaning: Meaning) -> list[Layer]:
    layers = []
    for value in np.unique(semantic).tolist():
        stuff = _known(value, path, meaning) and not meaning.isthing[value]
        layers.append(Layer(encode_mask(semantic == value), value if stuff else None))
    return layers


def _divided_layers(ids: np.ndarray, path: Path, divisor: int, meaning: Meaning) -> list[Layer]:
    layers = []
    for value in _values(ids):
        class_id = value if value < divisor else value // divisor
        rle = encode_mask(ids == value)
        if not _known(class_id, path, meaning):
            layers.append(Layer(rle, None))
        else:
            layers.append(Layer(rle, class_id, value, iscrowd=value == class_id and meaning.isthing[class_id]))
    return layers


def _layers_by_class(ids: np.ndarray, semantic: np.ndarray, source: PngSource, meaning: Meaning) -> Sequence[Layer]:
    """Instances whose class is the commonest thing class below them; such as lie on void only are void."""
    layers = []
    for value in _values(ids):
        mask = ids == value
        below, counts = np.unique(semantic[mask], return_counts=True)
        things = [
            (count, class_id)
            for count, class_id in zip(counts.tolist(), below.tolist())
            if meaning.isthing.get(class_id)
        ]
        if things:
            layers.append(Layer(encode_mask(mask), max(things)[1], value))
        elif not set(below.tolist()) <= set(meaning.void):
            raise DataError(
                f"The instance {value} of '{source.instances}' has no pixel of a thing class in "
                f"'{source.semantic}'; correct one of the files, or give its class by --thing."
            )
    return layers
