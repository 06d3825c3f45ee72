"""Test-time augmentation: several views of each image, and one result."""

import heapq
from collections.abc import Iterable

import torch
from mmdet.structures import DetDataSample
from mmengine.model import BaseTTAModel
from torch import nn

from mask2former.errors import ConfigError
from mask2former.registry import MODELS

from .postprocess import View


@MODELS.register_module()
class SegTTAModel(BaseTTAModel):
    """Runs a model on several views of each image, flipped or resized, and merges them on the original image.

    - Semantic: class scores at each pixel are averaged over the views, as in the reference implementation.
    - Panoptic and instance: the first view's queries are kept. Queries of the other views are matched to them one to
      one by mask IoU and class; class and mask probabilities are averaged over the views in which a query has a match.
      What the first view does not see is not found, so the first view should be the best single one.

    With one view that is neither flipped nor resized otherwise, results are the plain model's.

    Args:
        module: The model, :class:`Mask2Former` or its config.
        min_iou: Queries of two views whose masks overlap less are different segments.
        data_preprocessor: Replaces the model's.
    """

    def __init__(self, module: dict | nn.Module, min_iou: float = 0.5, data_preprocessor: dict | None = None) -> None:
        super().__init__(module, data_preprocessor)
        if not 0 < min_iou <= 1:
            raise ConfigError(f'SegTTAModel: min_iou must lie above 0 and not above 1, but is {min_iou}.')
        self.min_iou = min_iou

    @torch.no_grad()
    def test_step(self, data: dict) -> list[DetDataSample]:
        """Results of a batch.

        Args:
            data: As ``TestTimeAug`` and collating leave it: ``inputs``, V lists of B images (3, H, W) uint8, and
                ``data_samples``, V lists of B.

        Returns:
            list[DetDataSample]: The data samples of the first view, with predictions at the images' original sizes.
        """
        if not isinstance(data['inputs'][0], (list, tuple)):
            raise ConfigError(
                'SegTTAModel needs several views of an image: tta_pipeline must end with '
                "dict(type='TestTimeAug', transforms=[...])."
            )
        predictions = []
        for inputs, samples in zip(data['inputs'], data['data_samples']):
            batch = self.module.data_preprocessor(dict(inputs=inputs, data_samples=samples), False)
            predictions.append(list(zip(batch['data_samples'], self.module.views(**batch))))
        return self.merge_preds(list(zip(*predictions)))

    def merge_preds(
        self, data_samples_list: list[tuple[tuple[DetDataSample, Iterable[View]], ...]]
    ) -> list[DetDataSample]:
        """One result of each image from the data samples and predictions of its views."""
        results = []
        for predictions in data_samples_list:
            sample = predictions[0][0]
            views = heapq.merge(*(views for _, views in predictions), key=lambda view: view.masks.extent(0).start)
            self.module.postprocess(views, sample, self.min_iou)
            results.append(sample)
        return results
