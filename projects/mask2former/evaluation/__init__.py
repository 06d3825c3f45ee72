"""The metrics: panoptic quality, instance AP of COCO and of Cityscapes and semantic IoU, built by ``METRICS``."""

from .cityscapes_instance_ap import CityscapesInstanceAP
from .instance_ap import InstanceAP, show_dataset
from .panoptic_quality import PanopticQuality
from .results_file import DumpSegResults
from .segment_matching import ClassCounts, match_segments
from .semantic_iou import SemanticIoU
from .semantic_panoptic_quality import SemanticPanopticQuality
from .track_hota import TrackHOTA
from .tracking_quality import SegmentationTrackingQuality
from .video_panoptic_quality import VideoPanopticQuality
from .youtube_vis_ap import YouTubeVISAP

__all__ = [
    'CityscapesInstanceAP',
    'ClassCounts',
    'DumpSegResults',
    'InstanceAP',
    'PanopticQuality',
    'SegmentationTrackingQuality',
    'SemanticIoU',
    'SemanticPanopticQuality',
    'TrackHOTA',
    'VideoPanopticQuality',
    'YouTubeVISAP',
    'match_segments',
    'show_dataset',
]
