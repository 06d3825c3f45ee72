"""The losses of clips (Cheng et al., arXiv 2112.10764, section 2.2)."""

from mmengine.structures import InstanceData
from torch import Tensor

from mask2former.models.criterion import PointSampledCriterion
from mask2former.models.head import HeadOutput
from mask2former.registry import MODELS


@MODELS.register_module()
class ClipCriterion(PointSampledCriterion):
    """A :class:`PointSampledCriterion` for targets with ``labels`` (N,) and ``masks`` (N, T, H, W); see
    :class:`ClipMatcher`.

    A query's mask in a frame is a mask like another, with points of its own. Their losses are summed over frames and
    divided by the number of tracks, as in the reference: against the class they weigh T times as much as an image's. A
    track that a frame does not show is an empty mask there. Its class is that of the data set; the reference takes it
    from the clip's last frame, where an object that is not there is of no class.
    """

    def mask_losses(
        self, output: HeadOutput, targets: list[InstanceData], matches: list[tuple[Tensor, Tensor]]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Of each of M masks, each in one frame, the decoder output, the cross-entropy and the dice loss, (M,) each."""
        T = output.mask_features.shape[1]
        frames = output._replace(
            mask_embed=output.mask_embed.repeat_interleave(T, 1),  # (D, B*T, Q, C)
            mask_features=output.mask_features.flatten(0, 1),  # (B*T, C, h, w)
        )
        of_frames = [frame for target in targets for frame in _frames_of(target)]
        return super().mask_losses(frames, of_frames, [match for match in matches for _ in range(T)])


def _frames_of(target: InstanceData) -> list[InstanceData]:
    """The masks (N, H, W) of each frame, with random numbers of its own."""
    frames = [InstanceData(masks=masks) for masks in target.masks.unbind(1)]
    if 'seed' in target:
        for place, frame in enumerate(frames):
            frame.set_metainfo(dict(seed=target.seed + 2 * place))  # two purposes each
    return frames
