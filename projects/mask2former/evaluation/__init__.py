"""The metrics: panoptic quality, COCO instance AP and semantic IoU, built by ``METRICS``."""

from .dump_results import DumpSegResults
from .instance_ap import InstanceAP
from .panoptic_quality import PanopticQuality
from .segment_matching import ClassCounts, match_segments
from .semantic_iou import SemanticIoU
from .semantic_panoptic_quality import SemanticPanopticQuality

__all__ = [
    'ClassCounts', 'DumpSegResults', 'InstanceAP', 'PanopticQuality', 'SemanticIoU', 'SemanticPanopticQuality',
    'match_segments'
]
