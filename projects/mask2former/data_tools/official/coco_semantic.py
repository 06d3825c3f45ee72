"""Class-id PNG files from a panoptic data set in COCO's format."""

from functools import partial
from pathlib import Path

import numpy as np

from mask2former.data_tools.resumable import resumable
from mask2former.errors import DataError
from mask2former.formats.files import inside, read_json, write_json
from mask2former.formats.images import write_image
from mask2former.formats.panoptic_png import read_id_map, relabel

from .release_files import need


def convert_coco_semantic(json_path: str | Path, png_dir: str | Path, out: str | Path, num_workers: int) -> list[Path]:
    """Write a PNG of class ids for each annotation, and ``{out}.json`` with the classes and images.

    A class's id is its index among the file's ``categories``; all segments of a class, crowd included, are one; the
    rest is 255 (65535 in 16-bit PNG files where there are over 255 classes). Source of the rules: the reference's
    prepare_coco_semantic_annos_from_panoptic_annos.py, which does so for COCO's 133 classes. The files are named like
    the images, as ``SemanticPngFormat`` wants them.

    Args:
        json_path: The panoptic JSON file.
        png_dir: The folder of its PNG files.
        out: The folder to write.
        num_workers: Processes.

    Returns:
        The folder and the JSON file.

    Raises:
        MissingFileError: If the JSON file, the folder or a PNG file is absent.
        DataError: If a PNG file is broken or has an id that its ``segments_info`` lacks, a category is unknown, or the
            name of an image leads out of ``out``, or that of a PNG file out of ``png_dir``.
    """
    content = read_json(str(json_path))
    need(png_dir, 'give the folder of the PNG files')
    for key in ('images', 'annotations', 'categories'):
        if key not in content:
            raise DataError(f"'{json_path}' has no '{key}'; give a panoptic file in COCO's format.")
    class_of = {category['id']: index for index, category in enumerate(content['categories'])}
    images = {image['id']: image for image in content['images']}
    items, used = {}, []
    for annotation in content['annotations']:
        image = images.get(annotation['image_id'])
        if image is None or 'segments_info' not in annotation:
            raise DataError(
                f"An annotation of image {annotation['image_id']} in '{json_path}' has no "
                f"{'segments_info' if image else 'image'}; give a panoptic file in COCO's format."
            )
        ids = [segment['id'] for segment in annotation['segments_info']]
        unknown = {segment['category_id'] for segment in annotation['segments_info']} - class_of.keys()
        if unknown:
            raise DataError(
                f"Image {image['id']} in '{json_path}' has segments of the categories {sorted(unknown)}, "
                "which no entry of 'categories' has; add them there."
            )
        classes = [class_of[segment['category_id']] for segment in annotation['segments_info']]
        target = inside(out, image['file_name']).with_suffix('.png')
        items[str(image['id'])] = (str(inside(png_dir, annotation['file_name'])), str(target), ids, classes)
        used.append(dict(file_name=image['file_name']))
    out, void = Path(out), 255 if len(class_of) <= 255 else 65535
    path = out.with_name(f'{out.name}.json')
    categories = [{**category, 'id': index} for index, category in enumerate(content['categories'])]
    with resumable(out.with_name(f'{out.name}.journal'), num_workers, dict(categories=list(class_of))) as convert:
        convert(partial(_convert, void), items, 'class-id PNG files')
        write_json(path, dict(categories=categories, images=used))
    return [out, path]


def _convert(void: int, item: tuple[str, str, list[int], list[int]]) -> None:
    source, target, ids, classes = item
    # relabel's 0 stands for void, so the classes begin with 1 until the end.
    values = np.array(classes, dtype=np.uint32) + 1
    labels, _ = relabel(read_id_map(source), ids, values, source)  # (H, W)
    labels = np.where(labels == 0, np.uint32(void), labels - 1)
    write_image(target, labels.astype(np.uint8 if void == 255 else np.uint16))
