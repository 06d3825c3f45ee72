import numpy as np
import pytest

from mask2former.visualization.class_table import ClassTable, generated_color, instance_color
from mask2former.visualization.draw import drawing_size, fill_segments, outline_segments, resize_map, tile_panels


@pytest.mark.parametrize(
    'shape, size',
    [
        ((128, 128), (512, 512)),
        ((64, 128), (256, 512)),
        ((600, 800), (600, 800)),
        ((1000, 4000), (400, 1600)),
        ((1, 2000), (1, 1600)),
    ],
)
def test_drawing_size(shape, size):
    assert drawing_size(shape, (512, 1600)) == size


def test_resized_maps_hold_the_same_ids():
    ids = np.array([[0, 1], [70000, 2**31 - 1]], np.int32)
    resized = resize_map(ids, (6, 6))
    assert resized.dtype == np.int32
    assert (resized == ids.repeat(3, 0).repeat(3, 1)).all()
    mask = resize_map(ids > 1, (4, 4))
    assert mask.dtype == bool and mask.sum() == 8


def test_fill_blends_segments_and_treats_void():
    image = np.full((2, 2, 3), 100, np.uint8)
    id_map = np.array([[0, 1], [2, 2]], np.int32)
    colors = [(200, 0, 0), (0, 200, 0)]
    drawn = fill_segments(image, id_map, colors, 0.5, dim_void=False)
    assert drawn.tolist() == [[[100] * 3, [150, 50, 50]], [[50, 150, 50]] * 2]
    assert fill_segments(image, id_map, colors, 0.5, dim_void=True)[0, 0].tolist() == [50] * 3
    assert (image == 100).all()


def test_outline_lies_on_the_borders_only():
    image = np.zeros((6, 6, 3), np.uint8)
    id_map = np.ones((6, 6), np.int32)
    id_map[:, 3:] = 2
    outline_segments(image, id_map, 1)
    assert (image[:, 3] == 255).all()
    assert image.any(-1).sum() == 6


@pytest.mark.parametrize('count, columns, rows', [(1, 1, 1), (2, 2, 1), (3, 3, 1), (4, 2, 2), (5, 3, 2)])
def test_tiles(count, columns, rows):
    panels = [np.full((10, 20, 3), 100 + i, np.uint8) for i in range(count)]
    joined = tile_panels(panels, gap=4)
    assert joined.shape == (rows * 14 - 4, columns * 24 - 4, 3)
    for i in range(count):
        assert (joined == 100 + i).all(-1).sum() == 200


def test_class_table_with_and_without_a_data_set():
    table = ClassTable(dict(classes=('cat', 'x' * 60), isthing=(True, False), palette=[(1, 2, 3)]))
    assert table.name(0) == 'cat' and len(table.name(1)) == 24 and table.name(7) == 'class 7'
    assert table.color(0) == (1, 2, 3) and table.color(1) == generated_color(1)
    assert table.isthing(0) and not table.isthing(1)
    odd = ClassTable(dict(classes=('a\nb', ' ')))
    assert odd.name(0) == 'a b' and odd.name(1) == 'class 1'
    nothing = ClassTable()
    assert nothing.name(3) == 'class 3' and nothing.color(3) == generated_color(3) and nothing.isthing(3)
    assert ClassTable(dict(classes=('cat',), palette='random')).color(0) == generated_color(0)


def test_instances_of_a_class_differ_and_the_first_has_its_colour():
    for color in [(220, 20, 60), (10, 10, 10), (250, 250, 250), (128, 128, 128)]:
        assert instance_color(color, 0) == color
        colors = [np.array(instance_color(color, i)) for i in range(6)]
        assert min(np.abs(a - b).sum() for i, a in enumerate(colors) for b in colors[:i]) > 10


def test_generated_colors_differ():
    assert len({generated_color(i) for i in range(200)}) == 200
