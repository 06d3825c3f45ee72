"""Reads the JSON file of a split in COCO's panoptic or instance format."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mask2former.datasets.coco import CocoFormat
from mask2former.errors import DataError
from mask2former.formats.files import read_json

from .boxes import check_box
from .categories import explain_refusal, read_rows
from .source import Entry, Source, is_id


def read_coco(split: str, dataset: CocoFormat, refusal: DataError | None = None) -> Source:
    """Read the split of a data set that was built with ``lazy_init=True``.

    Args:
        split (str): Name of the split.
        dataset (CocoFormat): Says where the files are, and its metainfo what is learnt.
        refusal (DataError, optional): Why the data set could be built with a stand-in for its metainfo only.

    Raises:
        MissingFileError: The annotation file is absent.
        DataError: It is no JSON object.
    """
    raw = read_json(dataset.ann_file)
    source = Source(split, dataset.form, ann_file=dataset.ann_file, folders=dict(dataset.data_prefix), raw=raw)
    rows = read_rows(source, raw.get('categories'))
    source.categories = {row['id']: {**row, 'isthing': row.get('isthing', source.form == 'instance')} for row in rows}
    if refusal is None:
        info = dataset.metainfo
        own = {
            id_: dict(name=name, isthing=isthing)
            for id_, name, isthing in zip(info['category_ids'], info['classes'], info['isthing'])
        }
        # In the order of the labels; what the metainfo leaves out comes after.
        source.categories = {**own, **{id_: row for id_, row in source.categories.items() if id_ not in own}}
        source.learnt = frozenset(own)
        try:
            dataset.check_categories(rows)
        except DataError as error:
            source.add('classes unusable', None, str(error))
    else:
        source.learnt = frozenset(source.categories)
        explain_refusal(source, rows, refusal)
    _read_images(source, lambda image: str(Path(dataset.data_prefix['img']) / dataset.image_file(image)))
    if 'annotations' in raw or not dataset.test_mode:
        _read_annotations(source)
    return source


def _rows(source: Source, key: str) -> list[dict]:
    """The objects of a list of the file."""
    content = source.raw.get(key)
    if not isinstance(content, list):
        source.add('malformed entry', None, f"the file has no list '{key}'")
        return []
    rows = [row for row in content if isinstance(row, dict)]
    if len(rows) < len(content):
        source.add('malformed entry', None, f"'{key}' has {len(content) - len(rows)} entries that are no objects")
    return rows


def _read_images(source: Source, path_of: Callable[[dict], str]) -> None:
    for image in _rows(source, 'images'):
        wrong = [key for key in ('height', 'width') if not isinstance(image.get(key), int) or image[key] <= 0]
        wrong += [] if is_id(image.get('id')) else ['id']
        try:
            entry = Entry(image, path_of(image))
        except (KeyError, TypeError, AttributeError):
            wrong.append('name of the file')
        if wrong:
            source.add(
                'malformed entry',
                str(image.get('id')),
                f"an entry of 'images' lacks {', '.join(wrong)}, or it is malformed",
            )
        elif image['id'] in source.entries:
            source.add('image id twice', image['id'], f'{entry.path} has the id of another image')
        else:
            source.entries[image['id']] = entry
    for path, count in Counter(entry.path for entry in source.entries.values()).items():
        if count > 1:
            source.add('file listed twice', None, f'{path} belongs to {count} images')


def _read_annotations(source: Source) -> None:
    annotated = set()
    for annotation in _rows(source, 'annotations'):
        image_id = annotation.get('image_id')
        entry = source.entries.get(image_id) if is_id(image_id) else None
        if entry is None:
            source.add(
                'no such image', str(image_id), "an annotation's image_id is no image: remove it or add the image"
            )
            continue
        if source.form == 'panoptic':
            segments = annotation.get('segments_info')
            if not isinstance(segments, list) or not isinstance(annotation.get('file_name'), str):
                source.add('malformed entry', image_id, "a panoptic annotation lacks 'segments_info' or 'file_name'")
                continue
            if image_id in annotated:
                source.add('two annotations', image_id, 'put all segments of the image into one annotation')
                continue
            entry.map_path = str(Path(source.folders['seg']) / annotation['file_name'])
            entry.segments = [segment for segment in segments if isinstance(segment, dict)]
            if len(entry.segments) < len(segments):
                source.add('malformed entry', image_id, "'segments_info' has entries that are no objects")
        else:
            entry.segments.append(annotation)
        annotated.add(image_id)
    for image_id, entry in source.entries.items():
        if image_id not in annotated:
            source.add('no annotation', image_id, f'{entry.path} has no annotation')
        seen = set()
        for segment in entry.segments:
            _check_segment(source, entry, segment, seen)


def _check_segment(source: Source, entry: Entry, segment: dict, seen: set[Any]) -> None:
    id_, category = segment.get('id'), segment.get('category_id')
    name = f'segment {id_}'
    if not is_id(category) or category not in source.categories:
        source.add('unknown category', entry.id, f'{name} has the category {category!r}')
    if source.form == 'panoptic':
        if not is_id(id_) or not id_:
            source.add('segment id 0', entry.id, 'a segment has no id, or 0, which is void')
        elif id_ in seen:
            source.add('segment id twice', entry.id, f'{name} is listed twice')
        else:
            seen.add(id_)
    elif not segment.get('segmentation'):
        source.add('no segmentation', entry.id, f"{name} has no 'segmentation'")
    elif isinstance(segment['segmentation'], list):
        for polygon in segment['segmentation']:
            if isinstance(polygon, list) and (len(polygon) < 6 or len(polygon) % 2):
                source.add(
                    'bad polygon',
                    entry.id,
                    f'{name} has a polygon of {len(polygon)} numbers: it takes pairs x, y of at least 3 points',
                )
    if segment.get('area') == 0:
        source.add('area 0', entry.id, f'{name} has the area 0')
    if segment.get('bbox') is not None:
        check_box(source, entry, segment)
