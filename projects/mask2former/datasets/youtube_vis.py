"""Data sets of videos: YouTube-VIS's JSON of tracks, or COCO-video JSON."""

from collections.abc import Mapping
from typing import Any, ClassVar

from mmengine.dataset import BaseDataset

from mask2former.errors import DataError
from mask2former.formats.video_json import read_video_json
from mask2former.registry import DATASETS

from .categories import check_names, known_names, labels_by_id
from .file_paths import file_path
from .metainfo import check_keys, resolve_metainfo


@DATASETS.register_module()
class YouTubeVISFormat(BaseDataset):
    """Videos of any classes and their tracks; the classes come from the file's ``categories``, and all are things.

    An item is a video: ``video_id``, ``frames``, the paths of its T frames in order, ``height``, ``width``,
    ``labelled_frames``, the places of the frames that are annotated, and ``instances``, a list of ``dict(id, label,
    iscrowd, category_id, segmentations)`` with T segmentations as the file writes them (polygons, uncompressed or
    compressed RLE), None where the object is not seen.

    Args:
        ann_file: The JSON file (see :mod:`~mask2former.formats.video_json`), relative to ``data_root`` or absolute.
        metainfo: ``classes`` may name a part of the categories in any order; tracks of the others are left out.
            ``palette`` and ``category_ids`` replace what class or file say.
        data_root: Folder before ``ann_file`` and ``data_prefix``.
        data_prefix: ``img``, the folder of the frames.
        filter_cfg: ``dict(filter_empty_gt=True)`` leaves out videos without a track to learn from; not in test mode.
        skip_unlabelled: Whether frames in which nothing at all is annotated are unlabelled. Then they are never drawn
            for a training, and predictions there do not count in a test. By default they are frames without objects, as
            in YouTube-VIS and OVIS.
        allow_outside_root: Whether the annotation file may name files outside of ``data_root`` and ``data_prefix``.
        lazy_init: Whether to read the entries later, by ``full_init``; ``metainfo`` is complete anyway.
        options: ``indices``, ``serialize_data``, ``pipeline``, ``test_mode`` (nothing is filtered, and ``annotations``
            may be absent or null) and ``max_refetch`` of mmengine's ``BaseDataset``, which refuses any other.

    Raises:
        MissingFileError: If the annotation file is absent.
        DataError: If the file or an argument is wrong.
    """

    form: ClassVar[str] = 'video'

    def __init__(
        self,
        ann_file: str = '',
        metainfo: Mapping | None = None,
        data_root: str = '',
        data_prefix: Mapping[str, str] | None = None,
        filter_cfg: Mapping | None = None,
        *,
        skip_unlabelled: bool = False,
        allow_outside_root: bool = False,
        lazy_init: bool = False,
        **options: Any,
    ) -> None:
        check_keys(type(self).__name__, 'data_prefix', data_prefix, ('img',))
        check_keys(type(self).__name__, 'filter_cfg', filter_cfg, ('filter_empty_gt',))
        self.skip_unlabelled = skip_unlabelled
        super().__init__(
            ann_file=ann_file,
            data_root=data_root,
            data_prefix=dict(data_prefix or dict(img='')),
            filter_cfg=dict(filter_cfg or {}),
            lazy_init=True,  # the metainfo comes first: labels follow from it
            **options,
        )
        self.allow_outside_root = allow_outside_root
        self._metainfo = resolve_metainfo(metainfo, self.METAINFO, self.ann_file, self.form)
        self._known_names = known_names(metainfo, self.METAINFO)
        if not lazy_init:
            self.full_init()

    def load_data_list(self) -> list[dict]:
        """Read the videos.

        Raises:
            DataError: If an entry is wrong; the message names the file and the entry.
        """
        content = read_video_json(self.ann_file)
        if content['annotations'] is None and not self.test_mode:
            raise DataError(
                f"Annotation file '{self.ann_file}' has no 'annotations', as those of a test or validation split have "
                'none; train on the split that has them, or set test_mode=True.'
            )
        self.check_categories(content['categories'])
        label_of = labels_by_id(content['categories'], self._metainfo['category_ids'])
        items = {
            video['id']: dict(
                video_id=video['id'],
                frames=[file_path(self, 'img', name) for name in video['file_names']],
                height=video['height'],
                width=video['width'],
                instances=[],
                labelled_frames=list(range(len(video['file_names']))),
            )
            for video in content['videos']
        }
        for track in content['annotations'] or ():
            if track['category_id'] not in label_of:
                raise DataError(
                    f"Annotation {track['id']!r} in '{self.ann_file}' has category_id {track['category_id']!r}, which "
                    "no entry of 'categories' has; add the category or correct the id."
                )
            label = label_of[track['category_id']]
            if label is not None:
                keys = ('id', 'iscrowd', 'category_id', 'segmentations')
                items[track['video_id']]['instances'].append({'label': label, **{key: track[key] for key in keys}})
        if self.skip_unlabelled:
            places = labelled_frames(content['annotations'] or ())
            for video_id, item in items.items():
                item['labelled_frames'] = sorted(places.get(video_id, ()))
        return list(items.values())

    def check_categories(self, categories: list[dict]) -> None:
        """Check the file's categories against those that the class knows, if it knows any.

        Raises:
            DataError: If one has another name there.
        """
        check_names(categories, self._known_names, self.ann_file, type(self).__name__, 'YouTubeVISFormat')

    def filter_data(self) -> list[dict]:
        """Leave out the videos without a track to learn from, where ``filter_empty_gt`` asks for it, and those without
        a labelled frame."""
        if self.test_mode:
            return self.data_list
        kept = [item for item in self.data_list if item['labelled_frames']]
        if self.filter_cfg.get('filter_empty_gt', False):
            kept = [item for item in kept if any(not instance['iscrowd'] for instance in item['instances'])]
        if not kept:
            raise DataError(
                f"No video of '{self.ann_file}' has a track of the {len(self._metainfo['classes'])} classes; check "
                'metainfo, or leave out filter_empty_gt and skip_unlabelled.'
            )
        return kept

    def get_cat_ids(self, idx: int) -> list[int]:
        """Labels of the video's tracks, crowd left out; for mmengine's ``ClassBalancedDataset``."""
        return [instance['label'] for instance in self.get_data_info(idx)['instances'] if not instance['iscrowd']]


def labelled_frames(tracks: list[dict] | tuple) -> dict[Any, set[int]]:
    """Of each video the places of the frames in which any of the tracks has a segmentation."""
    places: dict[Any, set[int]] = {}
    for track in tracks:
        seen = (place for place, segmentation in enumerate(track['segmentations']) if segmentation)
        places.setdefault(track['video_id'], set()).update(seen)
    return places
