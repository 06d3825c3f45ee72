"""The file for the test servers of YouTube-VIS and OVIS."""

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

from mask2former.errors import DataError
from mask2former.formats.files import write_atomically
from mask2former.formats.rle import json_rle


def write_youtube_vis_submission(
    results: Sequence[dict], category_ids: Sequence[int], folder: str | Path, name: str
) -> Path:
    """Write ``{name}.zip`` with the one file ``results.json``: a track an entry, its masks as RLE or null.

    Args:
        results: As :func:`~mask2former.evaluation.results_file.read_results` gives them.
        category_ids: ``category_ids`` of the metainfo, K.
        folder: Where to write.
        name: Name of the file.

    Returns:
        Path: The zip file.

    Raises:
        DataError: A result has no tracks.
    """
    lacking = next((result for result in results if 'tracks' not in result), None)
    if lacking is not None:
        raise DataError(f'The result of image {lacking["img_id"]} has no tracks: test a model for videos.')
    path = Path(folder) / f'{name}.zip'
    write_atomically(path, lambda part: _write(results, category_ids, part))
    return path


def _write(results: Sequence[dict], category_ids: Sequence[int], path: Path) -> None:
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive, archive.open('results.json', 'w') as file:
        first = True
        for result in results:  # one video after another: the whole text may be large
            for track in result['tracks']:
                entry = dict(
                    video_id=result['video_id'],
                    score=float(track['score']),
                    category_id=category_ids[int(track['label'])],
                    segmentations=[rle and json_rle(rle) for rle in track['segmentations']],
                )
                file.write(f'{"[" if first else ","}{json.dumps(entry)}'.encode())
                first = False
        file.write(b'[]' if first else b']')
