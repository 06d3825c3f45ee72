"""Reads the JSON file of a split in COCO's panoptic or instance format."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from mask2former.datasets.coco import CocoFormat
from mask2former.datasets.file_paths import file_path
from mask2former.datasets.youtube_vis import YouTubeVISFormat
from mask2former.errors import DataError
from mask2former.formats.coco_values import is_file_name, is_flag, is_segment_id, is_side
from mask2former.formats.files import read_json

from .kinds import Problems
from .source import BOX_SLACK, Entry, Settings, Source, is_box, is_id


def read_coco(dataset: CocoFormat, settings: Settings, refusal: DataError | None = None) -> Source:
    """Read the split of a data set that was built with ``lazy_init=True``.

    Args:
        dataset: Says where the files are, and its metainfo what is learnt.
        settings: What else the config says of it.
        refusal: Why the data set could be built with a stand-in for its metainfo only.

    Raises:
        MissingFileError: The annotation file is absent.
        DataError: It is no JSON object.
    """
    return read_content(read_json(dataset.ann_file), dataset, settings, Problems(), refusal)


def read_content(
    raw: dict,
    dataset: CocoFormat | YouTubeVISFormat,
    settings: Settings,
    problems: Problems,
    refusal: DataError | None = None,
) -> Source:
    """Read the content of an annotation file.

    Args:
        raw: The content, in COCO's panoptic or instance format.
        dataset: Says where the files are, and its metainfo what is learnt.
        settings: What else the config says of it.
        problems: What was found before.
        refusal: Why the data set could be built with a stand-in for its metainfo only.
    """
    of_video = isinstance(dataset, YouTubeVISFormat)
    form = 'instance' if of_video else dataset.form
    rows = _read_categories(raw.get('categories'), form, problems)
    categories = {row['id']: {**row, 'isthing': row.get('isthing', form == 'instance')} for row in rows}
    learnt = frozenset(categories)
    if refusal is None:
        info = dataset.metainfo
        own = {
            id_: dict(name=name, isthing=isthing)
            for id_, name, isthing in zip(info['category_ids'], info['classes'], info['isthing'])
        }
        # In the order of the labels; what the metainfo leaves out comes after.
        categories = {**own, **{id_: row for id_, row in categories.items() if id_ not in own}}
        learnt = frozenset(own)
        try:
            dataset.check_categories(rows)
        except DataError as error:
            problems.add('classes unusable', None, str(error))
    else:
        _explain_refusal(refusal, rows, form, problems)
    folders = dict(dataset.data_prefix)
    name_of = (lambda image: image['file_name']) if isinstance(dataset, YouTubeVISFormat) else dataset.image_file
    entries = _read_images(raw, lambda image: file_path(dataset, 'img', name_of(image)), problems)
    if 'annotations' in raw or not dataset.test_mode:
        map_path = partial(file_path, dataset, 'seg') if form == 'panoptic' else None
        _add_annotations(raw, entries, map_path, problems, empty_is_sound=of_video)
        for entry in entries.values():
            seen: set[Any] = set()
            for segment in entry.segments:
                _check_segment(segment, entry, seen, categories, form, problems)
    source = Source(settings, form, dataset.ann_file, folders, categories, learnt, entries, tuple(problems), raw)
    learns = any(source.learns(segment) for entry in entries.values() for segment in entry.segments)
    if settings.split == 'train' and not dataset.test_mode and not learns:
        problems.add('nothing to learn', None, f'no image of {dataset.ann_file} has a segment that a training learns')
        source = replace(source, problems=tuple(problems))
    return source


def _rows(raw: dict, key: str, problems: Problems) -> list[dict]:
    """The objects of a list of the file."""
    content = raw.get(key)
    if not isinstance(content, list):
        problems.add('malformed entry', None, f"the file has no list '{key}'")
        return []
    rows = [row for row in content if isinstance(row, dict)]
    if len(rows) < len(content):
        problems.add('malformed entry', None, f"'{key}' has {len(content) - len(rows)} entries that are no objects")
    return rows


def _read_categories(content: Any, form: str, problems: Problems) -> list[dict]:
    """The usable ``categories``."""
    rows = []
    for row in content if isinstance(content, list) else []:
        if not isinstance(row, dict) or not is_id(row.get('id')) or not isinstance(row.get('name'), str):
            problems.add('malformed category', None, f"{row!r} needs an 'id' and a 'name'")
            continue
        rows.append(row)
        if form == 'panoptic' and 'isthing' in row and row['isthing'] not in (0, 1):
            text = f"category {row['id']} '{row['name']}' has isthing {row['isthing']!r}: write 1 or 0"
            problems.add('isthing missing', None, text)
    for key, kind in (('id', 'category id twice'), ('name', 'category name twice')):
        for value, count in Counter(row[key] for row in rows).items():
            if count > 1:
                problems.add(kind, None, f'{count} categories have the {key} {value!r}')
    return rows


def _explain_refusal(refusal: DataError, rows: list[dict], form: str, problems: Problems) -> None:
    """Report why the data set cannot be built: categories without ``isthing``, or else its own words."""
    lacking = [row for row in rows if row.get('isthing') is None] if form == 'panoptic' else []
    for row in lacking:
        text = (
            f"category {row['id']} '{row['name']}' has no 'isthing': add 1 for a thing or 0 for stuff; "
            'CocoPanopticFormat refuses the file'
        )
        problems.add('isthing missing', None, text)
    if not lacking and not any(problem.kind == 'malformed category' for problem in problems):
        problems.add('classes unusable', None, str(refusal))


def _read_images(raw: dict, path_of: Callable[[dict], str], problems: Problems) -> dict[Any, Entry]:
    entries: dict[Any, Entry] = {}
    for image in _rows(raw, 'images', problems):
        wrong = [key for key in ('height', 'width') if not is_side(image.get(key))]
        wrong += [] if is_id(image.get('id')) else ['id']
        try:
            entry = Entry(image, path_of(image))
            if not is_file_name(image.get('file_name', 'of another key')):
                wrong.append('name of the file')
        except (KeyError, TypeError, AttributeError):
            wrong.append('name of the file')
        except DataError as error:
            problems.add('outside the root', str(image.get('id')), str(error))
            continue
        if wrong:
            text = f"an entry of 'images' lacks {', '.join(wrong)}, or it is malformed"
            problems.add('malformed entry', str(image.get('id')), text)
        elif image['id'] in entries:
            problems.add('image id twice', image['id'], f'{entry.path} has the id of another image')
        else:
            entries[image['id']] = entry
    for path, count in Counter(entry.path for entry in entries.values()).items():
        if count > 1:
            problems.add('file listed twice', None, f'{path} belongs to {count} images')
    return entries


def _add_annotations(
    raw: dict,
    entries: dict[Any, Entry],
    map_path: Callable[[str], str] | None,
    problems: Problems,
    empty_is_sound: bool,
) -> None:
    """Give the entries their segments; ``map_path`` says where the PNG files of panoptic data are."""
    annotated = set()
    for annotation in _rows(raw, 'annotations', problems):
        image_id = annotation.get('image_id')
        entry = entries.get(image_id) if is_id(image_id) else None
        if entry is None:
            text = "an annotation's image_id is no image: remove it or add the image"
            problems.add('no such image', str(image_id), text)
            continue
        if map_path is not None:
            segments = annotation.get('segments_info')
            if not isinstance(segments, list) or not is_file_name(annotation.get('file_name')):
                problems.add('malformed entry', image_id, "a panoptic annotation lacks 'segments_info' or 'file_name'")
                continue
            if image_id in annotated:
                problems.add('two annotations', image_id, 'put all segments of the image into one annotation')
                continue
            try:
                entry.map_path = map_path(annotation['file_name'])
            except DataError as error:
                problems.add('outside the root', image_id, str(error))
                continue
            entry.segments = [segment for segment in segments if isinstance(segment, dict)]
            if len(entry.segments) < len(segments):
                problems.add('malformed entry', image_id, "'segments_info' has entries that are no objects")
        else:
            if 'segments_info' in annotation:
                text = "the annotation has 'segments_info' as a panoptic one: use type='CocoPanopticFormat'"
                problems.add('malformed entry', image_id, text)
            entry.segments.append(annotation)
        annotated.add(image_id)
    for image_id, entry in entries.items():
        if image_id not in annotated and not empty_is_sound:
            problems.add('no annotation', image_id, f'{entry.path} has no annotation')


def _check_segment(
    segment: dict, entry: Entry, seen: set[Any], categories: dict, form: str, problems: Problems
) -> None:
    id_, category = segment.get('id'), segment.get('category_id')
    name = f'segment {id_}'
    if not is_id(category) or category not in categories:
        problems.add('unknown category', entry.id, f'{name} has the category {category!r}')
    if form == 'panoptic':
        if not is_id(id_) or not id_:
            problems.add('segment id 0', entry.id, 'a segment has no id, or 0, which is void')
        elif not is_segment_id(id_):
            problems.add('malformed entry', entry.id, f'{name}: an id is a number from 1 to 16777215')
        elif id_ in seen:
            problems.add('segment id twice', entry.id, f'{name} is listed twice')
        else:
            seen.add(id_)
    elif not segment.get('segmentation'):
        problems.add('no segmentation', entry.id, f"{name} has no 'segmentation'")
    elif isinstance(segment['segmentation'], list):
        for polygon in segment['segmentation']:
            if isinstance(polygon, list) and (len(polygon) < 6 or len(polygon) % 2):
                text = f'{name} has a polygon of {len(polygon)} numbers: it takes pairs x, y of at least 3 points'
                problems.add('bad polygon', entry.id, text)
    if not is_flag(segment.get('iscrowd', 0)):
        problems.add('malformed entry', entry.id, f"{name} has 'iscrowd' {segment['iscrowd']!r}: write 1 or 0")
    if segment.get('area') == 0:
        problems.add('area 0', entry.id, f'{name} has the area 0')
    if segment.get('bbox') is not None:
        _check_box(segment, entry, problems)


def _check_box(segment: dict, entry: Entry, problems: Problems) -> None:
    """Report a box that is malformed, empty or outside the image."""
    box, name = segment['bbox'], f'segment {segment.get("id")}'
    if not is_box(box):
        problems.add('malformed box', entry.id, f'{name} has the box {box!r}: write [x, y, width, height]')
        return
    assert entry.size is not None  # entries without are refused
    width, height = entry.size
    if box[2] <= 0 or box[3] <= 0:
        if segment.get('area') != 0:
            problems.add('empty box', entry.id, f'{name} has the box {box}')
    elif (
        min(box[0], box[1]) < -BOX_SLACK or box[0] + box[2] > width + BOX_SLACK or box[1] + box[3] > height + BOX_SLACK
    ):
        problems.add('box outside', entry.id, f'{name} has the box {box} in an image of {width} x {height}')
