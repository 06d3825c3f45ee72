"""Random predictions and targets of two images."""

import torch
from mmengine.structures import InstanceData

from benchmarks.synthetic import smooth_masks
from mask2former.models import HeadOutput

D, B, Q, K, C, P = 3, 2, 6, 5, 8, 300
COUNTS = [4, 9]  # the second image has more segments than there are queries
h, w, H, W = 12, 16, 48, 64


def make_output(dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def random(*shape):
        return torch.randn(*shape, generator=generator, dtype=dtype)

    return HeadOutput(2 * random(D, B, Q, K + 1), random(D, B, Q, C), random(B, C, h, w))


def make_targets(counts=COUNTS, emptied=False):
    """Blobs, of which every other one may be emptied, as a crop does."""
    generator = torch.Generator().manual_seed(1)
    targets = [
        InstanceData(labels=torch.randint(K, (n,), generator=generator), masks=smooth_masks(n, H, W, generator))
        for n in counts
    ]
    for target in targets if emptied else []:
        target.masks[::2] = False
        target.labels[::2] = torch.arange((len(target) + 1) // 2)  # two of one class would be the same segment twice
    return targets
