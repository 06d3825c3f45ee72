"""VPQ and STQ against their definitions, written out on dense volumes pixel by pixel, and cases worked by hand."""

import math

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample

from mask2former.errors import ConfigError, DataError
from mask2former.evaluation import PanopticQuality, SegmentationTrackingQuality, VideoPanopticQuality

from .samples import panoptic, run, run_on_ranks, sample

META = dict(classes=('cat', 'grass', 'dog', 'sky'), isthing=(True, False, True, False))


def video(video_id, truth, found):
    """The data sample of a video; each side is (id maps (T, H, W), segments)."""
    result = DetDataSample(metainfo=dict(video_id=video_id))
    for name, (maps, segments) in (('gt', truth), ('pred', found)):
        setattr(result, f'{name}_panoptic_video', dict(id_maps=list(maps), segments_info=segments))
    return result


def random_video(rng, length):
    """Blocks of ids that move; the prediction is the truth with noise, other ids, other classes and void."""
    truth = np.zeros((length, 12, 16), np.int64)
    segments, crowded = [], rng.uniform() < 0.7
    for number in range(1, 7):
        label = int(rng.integers(0, 4))
        crowd = crowded and number == 6
        segments.append(dict(id=number * 1000, label=label, iscrowd=int(crowd)))
        start, way = rng.uniform(0, 10, 2), rng.uniform(-1, 1, 2)
        for t in range(length):
            y, x = (start + t * way).clip(0, 12).astype(int)
            if rng.uniform() < 0.85:
                truth[t, y : y + 5, x : x + 6] = number * 1000
    other = {segment['id']: int(rng.integers(1, 9)) for segment in segments}
    found = np.where(rng.uniform(size=truth.shape) < 0.06, rng.integers(0, 9, truth.shape), 0)
    for value, new in other.items():
        found[(truth == value) & (rng.uniform(size=truth.shape) < 0.9)] = new
    if length > 2:  # an id that changes half-way
        found[length // 2 :][found[length // 2 :] == 3] = 8
    label_of = {}
    for value, new in other.items():
        label_of[new] = next(s['label'] for s in segments if s['id'] == value)
    infos = [dict(id=i, label=label_of.get(i, int(rng.integers(0, 4)))) for i in range(1, 9)]
    return (truth, segments), (found, infos)


def tube_quality(truth, found, positions):
    """PQ of each class with anything to count, by the definition, from masks of tubes alone."""
    counts = {label: [0.0, 0, 0, 0] for label in range(4)}
    for (true_map, true_segments), (found_map, found_segments) in positions:
        void = true_map == 0
        tubes = [(s, true_map == s['id']) for s in true_segments if (true_map == s['id']).any()]
        guesses = [(s, found_map == s['id']) for s in found_segments if (found_map == s['id']).any()]
        matched = set()
        for s, tube in tubes:
            if s['iscrowd']:
                continue
            hit = None
            for i, (guess, mask) in enumerate(guesses):
                iou = (tube & mask).sum() / ((tube | mask) & ~(mask & void)).sum()
                if guess['label'] == s['label'] and iou > 0.5:
                    hit = i
                    counts[s['label']][0] += iou
                    counts[s['label']][1] += 1
                    matched.add(i)
            if hit is None:
                counts[s['label']][3] += 1
        for i, (guess, mask) in enumerate(guesses):
            crowd = [tube for s, tube in tubes if s['iscrowd'] and s['label'] == guess['label']]
            excused = (mask & void).sum() + (sum((mask & tube).sum() for tube in crowd[-1:]))
            if i not in matched and excused <= 0.5 * mask.sum():
                counts[guess['label']][2] += 1
    return {label: iou / (tp + fp / 2 + fn / 2) for label, (iou, tp, fp, fn) in counts.items() if tp + fp + fn}


def positions_of(videos, k):
    for (truth, segments), (found, infos) in videos:
        for start in range(len(truth) - k + 1):
            yield (truth[start : start + k], segments), (found[start : start + k], infos)


def expected_vpq(videos, windows):
    result = {}
    for k in windows:
        of_class = tube_quality(None, None, positions_of(videos, k))
        for suffix, labels in (('', range(4)), ('_th', (0, 2)), ('_st', (1, 3))):
            values = [of_class[label] for label in labels if label in of_class]
            result[f'VPQ_{k}{suffix}'] = 100 * float(np.mean(values)) if values else 0.0
    for suffix in ('', '_th', '_st'):
        result[f'VPQ{suffix}'] = float(np.mean([result[f'VPQ_{k}{suffix}'] for k in windows]))
    return result


@pytest.mark.parametrize('seed', range(4))
def test_vpq_is_the_definition_on_dense_tubes(seed):
    rng = np.random.default_rng(seed)
    videos = [random_video(rng, length) for length in (1, 3, 6, 5)]
    samples = [video(i, *content) for i, content in enumerate(videos)]
    windows = (1, 2, 4)
    metrics = run(VideoPanopticQuality(windows=windows), samples, META)
    assert metrics == pytest.approx(expected_vpq(videos, windows), abs=1e-10)
    assert 0 < metrics['VPQ_4'] < 100 and metrics['VPQ_1'] != metrics['VPQ_4']
    shares = [[3], [0, 1, 2]]
    parted = run_on_ranks(lambda: VideoPanopticQuality(windows=windows), samples, META, shares)
    assert parted == pytest.approx(metrics, abs=1e-10)


def test_vpq_of_one_frame_is_pq():
    rng = np.random.default_rng(9)
    contents = [random_video(rng, 1) for _ in range(5)]
    videos = [video(i, *content) for i, content in enumerate(contents)]
    images = []
    for i, ((truth, segments), (found, infos)) in enumerate(contents):
        shown = [
            [dict(s, isthing=META['isthing'][s['label']]) for s in side if (maps == s['id']).any()]
            for maps, side in ((truth, segments), (found, infos))
        ]
        images.append(
            sample(i, gt_panoptic_seg=panoptic(truth[0], shown[0]), pred_panoptic_seg=panoptic(found[0], shown[1]))
        )
    ours, theirs = run(VideoPanopticQuality(windows=(1,)), videos, META), run(PanopticQuality(), images, META)
    for suffix in ('', '_th', '_st'):
        assert ours[f'VPQ{suffix}'] == ours[f'VPQ_1{suffix}'] == pytest.approx(theirs[f'PQ{suffix}'], abs=1e-12)


def expected_stq(videos):
    """By the definition in the paper, with masks of whole videos."""
    tracks = []
    inter, true, guess = np.zeros(4), np.zeros(4), np.zeros(4)
    for (truth, segments), (found, infos) in videos:
        true_label, found_label = np.full(truth.shape, -1), np.full(truth.shape, -1)
        for s in segments:
            true_label[truth == s['id']] = s['label']
        for s in infos:
            found_label[found == s['id']] = s['label']
        for label in range(4):
            counted = true_label >= 0
            inter[label] += (counted & (true_label == label) & (found_label == label)).sum()
            true[label] += (counted & (true_label == label)).sum()
            guess[label] += (counted & (found_label == label)).sum()
        ignored = np.isin(truth, [s['id'] for s in segments if s['iscrowd'] and META['isthing'][s['label']]])
        for s in segments:
            tube = truth == s['id']
            if not META['isthing'][s['label']] or s['iscrowd'] or not tube.any():
                continue
            total = 0.0
            for p in infos:
                mask = (found == p['id']) & ~ignored
                if META['isthing'][p['label']] and (tube & mask).any():
                    total += (tube & mask).sum() * (tube & mask).sum() / (tube | mask).sum()
            tracks.append(total / tube.sum())
    union = true + guess - inter
    sq, aq = (inter[union > 0] / union[union > 0]).mean(), np.mean(tracks)
    return dict(STQ=100 * math.sqrt(aq * sq), AQ=100 * aq, SQ=100 * sq)


@pytest.mark.parametrize('seed', range(4))
def test_stq_is_the_definition_on_dense_volumes(seed):
    rng = np.random.default_rng(seed)
    videos = [random_video(rng, length) for length in (1, 3, 6)]
    samples = [video(i, *content) for i, content in enumerate(videos)]
    metrics = run(SegmentationTrackingQuality(classwise=True), samples, META)
    expected = {f'tracking/{name}': value for name, value in expected_stq(videos).items()}
    assert {name: metrics[name] for name in expected} == pytest.approx(expected, abs=1e-10)
    classes = [value for name, value in metrics.items() if name.startswith('tracking/SQ/')]
    assert metrics['tracking/SQ'] == pytest.approx(np.mean(classes))
    parted = run_on_ranks(SegmentationTrackingQuality, samples, META, [[1], [0, 2]])
    assert {name: parted[name] for name in expected} == pytest.approx(expected, abs=1e-10)


def one_thing(*rows):
    """A video of frames of two pixels."""
    return np.array(rows)[:, None, :]


CAT, DOG = dict(id=1, label=0, iscrowd=0), dict(id=2, label=2, iscrowd=0)


def test_worked_by_hand():
    truth = one_thing([1, 0], [1, 0], [1, 0], [1, 0])
    swap = one_thing([5, 0], [5, 0], [6, 0], [6, 0])
    found = [dict(id=5, label=0), dict(id=6, label=0)]
    broken = video(1, (truth, [CAT]), (swap, found))
    stq = run(SegmentationTrackingQuality(), [broken], META)
    # Two tracks with half of the pixels each: (2 * 2/4 + 2 * 2/4) / 4.
    assert stq == pytest.approx({'tracking/AQ': 50, 'tracking/SQ': 100, 'tracking/STQ': math.sqrt(5000)})
    vpq = run(VideoPanopticQuality(windows=(1, 2, 4)), [broken], META)
    # Of two frames: both positions without the change match, the one with it has IoU 1/2 twice: a miss, two wrong ones.
    assert vpq['VPQ_1'] == 100 and vpq['VPQ_2'] == pytest.approx(100 * 2 / (2 + 2 / 2 + 1 / 2)) and vpq['VPQ_4'] == 0
    assert vpq['VPQ'] == pytest.approx((100 + vpq['VPQ_2']) / 3) and vpq['VPQ_2_st'] == 0
    # A wrong class: its tubes do not match, but the association counts.
    wrong = video(1, (truth, [CAT]), (np.where(truth == 1, 5, 0), [dict(id=5, label=2)]))
    assert run(VideoPanopticQuality(windows=(2,)), [wrong], META)['VPQ'] == 0
    assert run(SegmentationTrackingQuality(), [wrong], META)['tracking/AQ'] == 100


def test_predicted_void_is_missed_and_is_no_class():
    truth = one_thing([1, 1], [2, 2])
    half = one_thing([5, 0], [6, 6])
    found = [dict(id=5, label=0), dict(id=6, label=2)]
    metrics = run(SegmentationTrackingQuality(), [video(1, (truth, [CAT, DOG]), (half, found))], META)
    # DeepLab2's script takes void for a third class, of IoU 0: its SQ would be 50.
    assert metrics['tracking/SQ'] == pytest.approx(75)
    assert metrics['tracking/AQ'] == pytest.approx(100 * (1 * 1 / 2 / 2 + 1) / 2)


def test_a_video_without_tracks_and_a_short_one():
    grass = (one_thing([1, 1]), [dict(id=1, label=1, iscrowd=0)])
    metrics = run(SegmentationTrackingQuality(), [video(1, grass, (grass[0], [dict(id=1, label=1)]))], META)
    assert metrics == {'tracking/STQ': -1, 'tracking/AQ': -1, 'tracking/SQ': 100}
    short = run(VideoPanopticQuality(windows=(1, 6)), [video(1, grass, (grass[0], [dict(id=1, label=1)]))], META)
    assert (short['VPQ_1'], short['VPQ_6']) == (100, 0)


def test_maps_may_be_tensors_and_files_that_are_read():
    rng = np.random.default_rng(3)
    (truth, segments), (found, infos) = random_video(rng, 4)

    class Files:
        def __init__(self, maps):
            self.maps = maps

        def __iter__(self):
            return (torch.from_numpy(pixels)[None] for pixels in self.maps)

    result = DetDataSample(metainfo=dict(video_id=1))
    result.gt_panoptic_video = dict(id_maps=Files(truth), segments_info=segments)
    result.pred_panoptic_video = dict(id_maps=Files(found), segments_info=infos)
    metrics = [VideoPanopticQuality(), SegmentationTrackingQuality()]
    plain = video(1, (truth, segments), (found, infos))
    assert run(metrics, [result], META) == run(metrics, [plain], META)


def test_what_is_wrong_is_said_in_a_sentence():
    maps = one_thing([1, 2], [1, 0])
    good = (maps, [CAT, DOG])
    cases = [
        ((maps[:1], [CAT, DOG]), good, 'differ in their numbers of frames'),
        ((maps, [CAT, CAT]), good, 'ground truth of video 7 lists the id 1 twice'),
        (good, (maps, [CAT]), 'Frame 0 of the prediction of video 7 has the id 2'),
        (good, (maps.repeat(2, axis=2), [CAT, DOG]), 'Frame 0 of video 7: .*same'),
        ((maps[:0], []), (maps[:0], []), 'no frame'),
    ]
    for metric in (VideoPanopticQuality(windows=(1,)), SegmentationTrackingQuality()):
        for truth, found, message in cases:
            with pytest.raises(DataError, match=message):
                run(metric, [video(7, truth, found)], META)
    with pytest.raises(DataError, match='video 7: .*label 9'):
        run(VideoPanopticQuality(windows=(1,)), [video(7, good, (maps, [dict(CAT, label=9), DOG]))], META)
    with pytest.raises(DataError, match="no 'gt_panoptic_video'"):
        run(VideoPanopticQuality(), [DetDataSample(metainfo=dict(video_id=7))], META)
    for windows in ((), (0,), (2, 2)):
        with pytest.raises(ConfigError, match='windows'):
            VideoPanopticQuality(windows=windows)
