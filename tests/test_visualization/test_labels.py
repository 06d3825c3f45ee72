import cv2
import numpy as np
import pytest

from mask2former.visualization.labels import add_caption, draw_labels, load_font, place_labels

FONT = load_font(14)


def overlap(a, b):
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def check(id_map, labels, texts):
    height, width = id_map.shape
    for label in labels:
        x, y = label.anchor
        assert id_map[y, x] == texts.index(label.text) + 1, 'the label names the segment that it lies on'
        assert label.box[0] >= 0 and label.box[1] >= 0 and label.box[2] <= width and label.box[3] <= height
        rows, columns = np.nonzero(id_map == id_map[y, x])
        x0, y0, x1, y1 = label.box  # on the segment, or next to it
        assert x0 <= columns.max() + 1 and x1 >= columns.min() and y0 <= rows.max() + 1 and y1 >= rows.min()
    for i, label in enumerate(labels):
        assert not any(overlap(label.box, other.box) for other in labels[:i])


def place(id_map, texts):
    return place_labels(id_map, texts, [(10 * i % 256, 0, 0) for i in range(len(texts))], FONT)


def test_label_lies_inside_segments_whose_centre_does_not():
    ring = np.zeros((300, 400), np.int32)
    cv2.circle(ring, (200, 150), 120, 1, 40)
    assert ring[150, 200] == 0
    labels = place(ring, ['ring'])
    assert len(labels) == 1
    check(ring, labels, ['ring'])


def test_label_at_the_margin_stays_in_the_picture():
    id_map = np.zeros((200, 200), np.int32)
    id_map[:, :20] = 1
    id_map[190:, 30:] = 2
    texts = ['a name of some length', 'below']
    labels = place(id_map, texts)
    assert len(labels) == 2
    check(id_map, labels, texts)


def test_labels_of_crowded_segments_do_not_overlap():
    id_map = np.zeros((300, 400), np.int32)
    for i in range(10):  # narrower than their labels: all centres on one line would collide
        id_map[:, 40 * i : 40 * i + 40] = i + 1
    texts = [f'number {i} 0.99' for i in range(10)]
    labels = place(id_map, texts)
    assert len(labels) == 10
    check(id_map, labels, texts)


def test_many_random_segments():
    random = np.random.RandomState(0)
    id_map = np.zeros((400, 500), np.int32)
    texts = [f'segment {i}' for i in range(60)]
    for i in range(60):
        cv2.circle(id_map, tuple(int(c) for c in random.randint(0, 400, 2)), int(random.randint(1, 60)), i + 1, -1)
    labels = place(id_map, texts)
    assert len(labels) > 15
    check(id_map, labels, texts)


def covered(id_map, number, label):
    x0, y0, x1, y1 = label.box
    return (id_map[y0:y1, x0:x1] == number).sum()


@pytest.mark.parametrize('at', [(60, 60), (0, 60), (60, 170), (170, 0), (170, 170)])
def test_the_label_of_a_small_segment_lies_beside_it(at):
    id_map = np.ones((200, 200), np.int32)
    id_map[at[0] : at[0] + 30, at[1] : at[1] + 30] = 2
    texts = ['background', 'person 0.97']
    labels = place(id_map, texts)
    assert {label.text for label in labels} == set(texts)
    check(id_map, labels, texts)
    assert not any(covered(id_map, 2, label) for label in labels)


def test_no_label_lies_on_a_small_segment_where_there_is_another_place():
    id_map = np.ones((200, 300), np.int32)
    id_map[95:105, 145:155] = 2  # in the middle, where the label of the large one would be; has none itself
    for i in range(4):
        id_map[20:50, 10 + 32 * i : 40 + 32 * i] = i + 3
    texts = ['a large one', 'tiny', *'abcd']
    labels = place(id_map, texts)
    assert {label.text for label in labels} == {'a large one', *'abcd'}
    check(id_map, labels, texts)
    assert not any(covered(id_map, 2, label) for label in labels)


def test_small_thin_and_hidden_segments_have_no_label():
    id_map = np.zeros((200, 200), np.int32)
    id_map[10:16, 10:16] = 1
    id_map[100:102] = 2
    assert place(id_map, ['small', 'thin', 'hidden']) == []


def test_a_score_does_not_decide_which_segments_are_labelled():
    id_map = np.zeros((200, 200), np.int32)
    id_map[20:50, 20:50] = 1
    assert len(place(id_map, ['person'])) == len(place(id_map, ['person 0.97'])) == 1


def test_label_larger_than_the_picture():
    id_map = np.ones((30, 20), np.int32)
    labels = place(id_map, ['a name wider than this picture'])
    drawn = draw_labels(np.zeros((30, 20, 3), np.uint8), labels, FONT)
    assert drawn.shape == (30, 20, 3)


@pytest.mark.parametrize('color', [(255, 255, 255), (0, 0, 0), (0, 255, 0), (255, 255, 0), (128, 128, 128)])
@pytest.mark.parametrize('background', [0, 128, 255])
def test_text_has_contrast_on_any_colour(color, background):
    def luminance(rgb):
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in np.divide(rgb, 255)]
        return np.dot((0.2126, 0.7152, 0.0722), linear)

    id_map = np.ones((100, 200), np.int32)
    labels = place_labels(id_map, ['name'], [color], FONT)
    drawn = draw_labels(np.full((100, 200, 3), background, np.uint8), labels, FONT)
    x0, y0, x1, y1 = labels[0].box
    box = drawn[y0 + 1 : y1 - 1, x0 + 1 : x1 - 1].reshape(-1, 3)
    ink, paper = box[box.sum(1).argmax()], box[box.sum(1).argmin()]
    assert (luminance(ink) + 0.05) / (luminance(paper) + 0.05) >= 7


def test_caption_adds_a_strip():
    image = np.zeros((50, 80, 3), np.uint8)
    drawn = add_caption(image, 'Ground truth', FONT)
    assert drawn.shape[1:] == (80, 3) and drawn.shape[0] > 60
    assert drawn[:-50].max() > 200 and (drawn[-50:] == image).all()


def test_missing_font_is_named():
    with pytest.raises(FileNotFoundError, match='no_such_font.ttf'):
        load_font(12, 'no_such_font.ttf')
