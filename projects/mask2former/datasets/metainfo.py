"""The classes of a data set (``metainfo``): where they come from, and how to know them without reading any image.

Metainfo holds ``classes``, ``isthing``, ``palette`` and ``category_ids``, each of length K; the position is the label.
"""

import functools
import os
import reprlib
from collections.abc import Iterable, Mapping, Sequence

from mmengine.dataset import BaseDataset
from mmengine.utils import is_abs
from torch.utils.data import DataLoader

from mask2former.errors import DataError, MissingFileError, near_names
from mask2former.formats.coco_values import is_color, is_flag, is_text
from mask2former.formats.files import read_json
from mask2former.formats.known_metainfo import known_metainfo
from mask2former.formats.palette import make_palette
from mask2former.registry import DATASETS

KEYS = ('classes', 'isthing', 'palette', 'category_ids')
# Forms of which nothing needs to say what is a thing: everything is, or what is not said to be one is stuff.
ISTHING = dict(instance=True, video=True, semantic=False)


class KnownMetainfo:
    """``METAINFO`` of the class of a well-known data set, see
    :func:`~mask2former.formats.known_metainfo.known_metainfo`; read when it is first asked for.

    Args:
        name: Of the data set.
        category_ids: Instead of the file's.
    """

    def __init__(self, name: str, category_ids: Iterable[int] | None = None) -> None:
        self.name = name
        self.changes = {} if category_ids is None else dict(category_ids=tuple(category_ids))

    def __get__(self, instance: object, owner: type) -> dict:
        return {**known_metainfo(self.name), **self.changes}


def read_categories(path: str) -> list[dict]:
    """Read the ``categories`` of a COCO-like annotation file; kept, so that a large file is read once for them."""
    stat = os.stat(path) if os.path.isfile(path) else None
    return _read_categories(path, stat and (stat.st_mtime_ns, stat.st_size))


@functools.lru_cache(maxsize=16)
def _read_categories(path: str, version: tuple | None) -> list[dict]:
    return checked_categories(read_json(path), path)


def checked_categories(content: Mapping, path: str) -> list[dict]:
    """The ``categories`` of what a COCO-like annotation file holds.

    Raises:
        DataError: If there are none, or one has no id or no name.
    """
    categories = content.get('categories')
    if not categories:
        raise DataError(
            f"Annotation file '{path}' has no 'categories'; add a list of dict(id, name, isthing), or give "
            f'metainfo=dict({", ".join(f"{key}=..." for key in KEYS)}).'
        )
    if not isinstance(categories, list):
        raise DataError(f"'categories' of '{path}' is a {type(categories).__name__}; write a list of dict(id, name).")
    for category in categories:
        sound = isinstance(category, dict) and isinstance(category.get('id'), int | str)
        if not sound or not is_text(category.get('name')):
            shown = reprlib.repr(category)
            raise DataError(f"Category {shown} in '{path}' needs an 'id' and a 'name', a number and a text.")
        if category.get('isthing') is not None and not is_flag(category['isthing']):
            raise DataError(
                f"Category '{category['name']}' in '{path}' has 'isthing' {category['isthing']!r}; write 1 or 0."
            )
    return categories


def check_keys(owner: str, argument: str, value: Mapping | None, known: Iterable[str]) -> None:
    """Raise ``DataError`` where the argument ``value`` of a data set has a key that is not ``known``."""
    for key in value or ():
        if key not in known:
            raise DataError(f"{owner} has no {argument} '{key}'; {near_names(key, known)}")


def label_map_metainfo(label_map: Mapping[int, str] | None, defaults: Mapping) -> dict:
    """Classes and ids that a ``label_map`` (pixel value to class) says, where ``defaults`` have no classes."""
    if not label_map or 'classes' in defaults:
        return {}
    first: dict[str, int] = {}
    for value, name in label_map.items():
        first.setdefault(name, int(value))
    return dict(classes=tuple(first), category_ids=tuple(first.values()))


def lacking_keys(info: Mapping, form: str | None) -> list[str]:
    """The keys without which ``info`` does not say everything.

    ``isthing`` is needed unless the form says it: instances are things, and semantic classes are stuff where nothing
    says otherwise.
    """
    needed = ('classes', 'category_ids') if form in ISTHING else ('classes', 'isthing', 'category_ids')
    return [key for key in needed if key not in info]


def resolve_metainfo(
    given: Mapping | None, defaults: Mapping, ann_file: str, form: str | None = None, content: Mapping | None = None
) -> dict:
    """Put the metainfo of a data set together.

    The classes come from the first of these that says everything of them (see :func:`lacking_keys`):

    1. ``given``;
    2. ``defaults``;
    3. the categories of ``ann_file``, which is not read before.

    ``given['classes']`` may choose some of those of 2 or 3, in any order; the position in it is then the label. Any
    other value of ``given`` replaces that of the source. Where ``defaults`` do not say everything, they count as given
    to a data set that is given no classes.

    Args:
        given: The argument ``metainfo`` of a data set; each value may be the path of a text file.
        defaults: ``METAINFO`` of the data set's class.
        ann_file: The annotation file.
        form: 'panoptic', 'instance', 'video' or 'semantic'; None of a data set of another package.
        content: What ``ann_file`` holds, where it has been read.

    Returns:
        ``KEYS``, each of length K, and whatever else ``given`` and ``defaults`` hold.

    Raises:
        MissingFileError: If the annotation file is needed and absent.
        DataError: If a class is unknown, a length differs, or nothing says what is a thing.
    """
    given = BaseDataset._load_metainfo(given)
    if 'classes' not in given and lacking_keys(defaults, form):
        given = {**defaults, **given}
    rows, source = _rows(given, defaults, ann_file, form, content)

    info = {**defaults, **given, 'classes': tuple(row['name'] for row in rows)}
    for key, row_key in zip(KEYS[1:], ('isthing', 'color', 'id')):
        if key not in given:
            info[key] = [row.get(row_key) for row in rows]
            if key == 'palette':  # which a file may have in another form than COCO's
                info[key] = [color if is_color(color) else None for color in info[key]]
        elif len(given[key]) != len(rows):
            raise DataError(
                f'metainfo gives {len(given[key])} {key} for the {len(rows)} classes of {source}; give one for each.'
            )

    if form in ISTHING:
        info['isthing'] = [ISTHING[form] or bool(thing) for thing in info['isthing']]
    for name, category_id, isthing in zip(info['classes'], info['category_ids'], info['isthing']):
        if isthing is None:
            raise DataError(
                f"Category '{name}' (id {category_id}) in {source} has no 'isthing'; add \"isthing\": 1 for a thing or "
                '0 for stuff to each category, or give metainfo=dict(isthing=...) with a bool for each class.'
            )
    if any(color is None for color in info['palette']):
        info['palette'] = make_palette(len(rows))
    info['isthing'] = tuple(bool(flag) for flag in info['isthing'])
    info['palette'] = [tuple(int(c) for c in color) for color in info['palette']]
    info['category_ids'] = tuple(info['category_ids'])
    return info


def _rows(
    given: Mapping, defaults: Mapping, ann_file: str, form: str | None, content: Mapping | None
) -> tuple[list[dict], str]:
    """The classes in the order of the labels, as ``categories`` of COCO's files, and their source for messages."""
    names = _check_names(given['classes']) if 'classes' in given else None
    if names is not None and not lacking_keys(given, form):
        return [dict(name=name) for name in names], 'metainfo'
    if not lacking_keys(defaults, form):
        columns = {'name': 'classes', 'isthing': 'isthing', 'color': 'palette', 'id': 'category_ids'}
        present = {row_key: defaults[key] for row_key, key in columns.items() if defaults.get(key)}
        rows, source = [dict(zip(present, row)) for row in zip(*present.values())], "the data set class's METAINFO"
    else:
        rows = read_categories(ann_file) if content is None else checked_categories(content, ann_file)
        source = f"'{ann_file}'"
    if names is None:
        return rows, source
    by_name = {row['name']: row for row in rows}
    for name in names:
        if name not in by_name:
            raise DataError(f"Class '{name}' of metainfo is not a category of {source}; {near_names(name, by_name)}")
    return [by_name[name] for name in names], source


def _check_names(names: Sequence[str]) -> Sequence[str]:
    if isinstance(names, str) or not names:
        raise DataError(
            f'metainfo classes must be a sequence of names, or the path of a text file of them, not {names!r}.'
        )
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise DataError(f'metainfo classes name {twice} more than once; name each class once.')
    return names


def dataset_metainfo(cfg: Mapping) -> dict:
    """Find the metainfo of a data set's *config*; no image is read and no data set is built.

    Args:
        cfg: Config of a data set, or of wrappers around some (``dataset=`` or ``datasets=``, nested).

    Returns:
        ``classes``, ``isthing``, ``palette``, ``category_ids``.

    Raises:
        MissingFileError: If the annotation file is needed and absent.
        DataError: If the type is unknown, joined data sets differ in their classes, or something is not said.
    """
    if 'datasets' in cfg:
        infos = [dataset_metainfo(part) for part in cfg['datasets']]
        for info in infos[1:]:
            if info['classes'] != infos[0]['classes']:
                odd = sorted(set(info['classes']) ^ set(infos[0]['classes']))[:5]
                raise DataError(
                    'The joined data sets differ in their classes or the order of them '
                    f'(in one only: {odd}); give each the same metainfo=dict(classes=...).'
                )
        return infos[0]
    if 'dataset' in cfg:
        return dataset_metainfo(cfg['dataset'])

    cls = DATASETS.get(cfg['type']) if isinstance(cfg['type'], str) else cfg['type']
    if cls is None:
        raise DataError(
            f"Data set type '{cfg['type']}' is not registered; {near_names(cfg['type'], DATASETS.module_dict)}"
        )
    ann_file, data_root = cfg.get('ann_file') or '', cfg.get('data_root') or ''
    if ann_file and data_root and not is_abs(ann_file):
        ann_file = os.path.join(data_root, ann_file)
    defaults, form = getattr(cls, 'METAINFO', {}), getattr(cls, 'form', None)
    given = {**label_map_metainfo(cfg.get('label_map'), defaults), **(cfg.get('metainfo') or {})}
    lacking = lacking_keys({**defaults, **given}, form)
    if lacking and not ann_file.endswith('.json'):
        # Some other kind of data set: nothing can be read that would say it, and things are not guessed.
        raise DataError(
            f"The metainfo of data set type '{cls.__name__}' lacks {', '.join(lacking)}; give "
            f'metainfo=dict({", ".join(f"{key}=(...)" for key in lacking)}), one value for each class.'
        )
    info = resolve_metainfo(given, defaults, ann_file, form)
    return {key: info[key] for key in KEYS}


def config_metainfo(cfg: Mapping) -> dict:
    """Find the metainfo of a run's config: that of its model if it says one, else of its val, test or train data.

    Args:
        cfg: Config of a run. Its dataloaders may be built already.

    Returns:
        As of :func:`dataset_metainfo`, of the first data set whose annotation file is there where it is needed.

    Raises:
        MissingFileError: If no data set can be read, or if the config has none.
        DataError: As of :func:`dataset_metainfo`.
    """
    if (cfg.get('model') or {}).get('metainfo') is not None:
        return dict(cfg['model']['metainfo'])
    reasons = []
    for dataloader in (cfg.get(f'{split}_dataloader') for split in ('val', 'test', 'train')):
        if isinstance(dataloader, DataLoader):
            return getattr(dataloader.dataset, 'metainfo')  # noqa: B009  (torch's Dataset declares none)
        try:
            if dataloader is not None:
                return dataset_metainfo(dataloader['dataset'])
        except FileNotFoundError as error:
            reasons.append(str(error))
    raise MissingFileError(
        'No data set of the config can be read, so the classes are unknown: '
        + (' '.join(reasons) or 'it has no dataloader at all.')
    )
