"""Maps resized strip by strip: the result is that of ``F.interpolate``, and every row is computed once."""

import pytest
import torch
import torch.nn.functional as F

from mask2former.models.masks.axis_resize import AxisResize
from mask2former.models.masks.rolling_rows import RollingRows


@pytest.mark.parametrize('size', [(61, 83), (11, 9), (20, 30)])
@pytest.mark.parametrize('flip', [False, True])
@pytest.mark.parametrize('step', [1, 7, 100])
def test_each_row_is_computed_once(size, flip, step):
    maps = torch.randn(3, 20, 30, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    computed = []

    def rows_of(rows):
        computed.extend(range(rows.start, rows.stop))
        return maps[:, rows]

    down, across = (AxisResize(n, n, n, original, like=maps, flip=flip) for n, original in zip((20, 30), size))
    rolling = RollingRows(rows_of, down, across)
    strips = [rolling(slice(y, min(y + step, size[0]))) for y in range(0, size[0], step)]
    expected = F.interpolate(maps[None], size=size, mode='bilinear')[0]
    torch.testing.assert_close(torch.cat(strips, 1), expected.flip(1, 2) if flip else expected, rtol=0, atol=1e-12)
    assert sorted(computed) == list(range(20))
