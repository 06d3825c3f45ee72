"""What batches are told of their step; that the gradients are those of one batch is tested in test_distributed.py."""

from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mask2former.engine.whole_steps import WholeSteps


def a_batch(*segments):
    samples = [DetDataSample(gt_segments=InstanceData(labels=list(range(count)))) for count in segments]
    return dict(data_samples=samples)


def test_each_image_knows_the_segments_of_its_step():
    loaded = []
    batches = [a_batch(1, 2), a_batch(0, 5), a_batch(4, 0), a_batch(3, 3), a_batch(7, 1)]
    steps = WholeSteps((loaded.append(batch) or batch for batch in batches), 2, 6, lambda: 11)
    told = []
    for number, batch in enumerate(batches):
        assert next(steps) is batch
        assert len(loaded) == (2, 2, 4, 4, 5)[number]  # the last step has one batch
        told.append([sample.step for sample in batch['data_samples']])
    first, second, last = [1, 2, 0, 5], [4, 0, 3, 3], [7, 1]
    assert told[0] == told[1] == [dict(segments=first, batches=2)] * 2
    assert told[2] == told[3] == [dict(segments=second, batches=2)] * 2
    assert told[4] == [dict(segments=last, batches=1)] * 2
