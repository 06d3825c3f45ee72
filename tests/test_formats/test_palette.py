import numpy as np

from mask2former.formats.palette import make_palette


def test_palette_is_distinct_deterministic_and_nested():
    palette = make_palette(300)
    assert len(set(palette)) == 300
    assert palette == make_palette(300) and palette[:20] == make_palette(20)
    assert make_palette(0) == [] and len(make_palette(1)) == 1
    few = np.array(make_palette(20), dtype=float)
    apart = np.linalg.norm(few[:, None] - few[None], axis=-1) + 1000 * np.eye(20)
    assert apart.min() > 40
    assert all(isinstance(c, int) for colour in palette for c in colour)
