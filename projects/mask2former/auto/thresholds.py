"""Chooses how much of its mask a panoptic segment must keep, once a model is trained, and writes it into the config."""

from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config

from mask2former.analysis.panoptic_thresholds import best_trial, fusion_of, try_thresholds
from mask2former.apis.evaluation_parts import build_train_dataset_as_tested
from mask2former.formats.files import write_text
from mask2former.models import Mask2Former

from .choices import TRIED_IMAGES, Choice

_OVERLAPS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
_LINE = "model['postprocessors']['panoptic']['overlap_thr'] = "


def choose_overlap(configs: Sequence[Path], model: Mask2Former) -> Choice:
    """Try shares on training images, as the validation images shall not choose; give the model the best, and write it
    into the configs.

    Args:
        configs: One of :func:`~mask2former.auto.config_file.write_config`, of a panoptic model, and others of the same.
        model: Made of it, and trained.
    """
    cfg = Config.fromfile(configs[0])
    own = fusion_of(model)
    overlaps = sorted({*_OVERLAPS, own.overlap_thr})
    dataset = build_train_dataset_as_tested(cfg)
    trials = try_thresholds(model, dataset, [own.score_thr], overlaps, TRIED_IMAGES)
    best = best_trial(trials)
    [before] = [trial for trial in trials if trial.overlap_thr == own.overlap_thr]
    if best.quality['PQ'] == before.quality['PQ']:
        best = before  # where nothing is found, say
    count = min(TRIED_IMAGES, len(dataset))
    reason = f'the best of {", ".join(f"{overlap:g}" for overlap in overlaps)} on {count} training images: ' + (
        f'PQ {best.quality["PQ"]:.1f}'
        if best == before
        else f'PQ {best.quality["PQ"]:.1f} instead of {before.quality["PQ"]:.1f}'
    )
    for config in configs:
        lines = config.read_text(encoding='utf-8').splitlines()
        kept = [line for line in lines if not line.startswith(_LINE)]  # of an earlier end of the training
        write_text(config, '\n'.join([*kept, f'{_LINE}{best.overlap_thr:g}  # {reason}']) + '\n')
    own.overlap_thr = best.overlap_thr
    return Choice(best.overlap_thr, reason)
