"""Columns of segments; a malformed area or box is unknown, and the rest of the segment is kept."""

import numpy as np
import pytest

from mask2former.datasets.segment_table import TableBuilder

NAN = np.nan
BOX = [1, 2.5, 3, 4]


@pytest.mark.parametrize(
    ('annotation', 'area', 'box'),
    [
        (dict(area=7, bbox=BOX), 7, BOX),
        (dict(area='7', bbox=BOX), NAN, BOX),
        (dict(area=None, bbox=BOX), NAN, BOX),
        (dict(bbox=BOX), NAN, BOX),
        (dict(area=7), 7, [NAN] * 4),
        (dict(area=7, bbox=BOX[:3]), 7, [NAN] * 4),
        (dict(area=7, bbox=[1, 2, None, 4]), 7, [NAN] * 4),
        (dict(area=7, bbox='1234'), 7, [NAN] * 4),
        (dict(area=7, bbox=dict.fromkeys(range(4))), 7, [NAN] * 4),
        ({}, NAN, [NAN] * 4),
    ],
)
def test_what_is_malformed_is_unknown(annotation, area, box):
    builder = TableBuilder()
    builder.add('a', 5, annotation)
    builder.add('b', 2, dict(area=9, bbox=[0, 0, 3, 3]))  # its columns must not be shifted
    table = builder.build([dict(img_id=name, height=8, width=9) for name in 'ab'])
    assert (table.image.tolist(), table.label.tolist()) == ([0, 1], [5, 2])
    np.testing.assert_array_equal(table.area, np.array([area, 9], dtype=np.float32))
    np.testing.assert_array_equal(table.box, np.array([box, [0, 0, 3, 3]], dtype=np.float32))
