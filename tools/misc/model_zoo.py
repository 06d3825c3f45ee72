"""Write docs/model_zoo.md from model-index.yml and the metafiles: ``python tools/misc/model_zoo.py``."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
HEADER = """# Model zoo

<!-- Written by tools/misc/model_zoo.py from model-index.yml; a change here is lost. -->

Figures and weights are **those of the reference implementations**
([Mask2Former](https://github.com/facebookresearch/Mask2Former/blob/main/MODEL_ZOO.md),
[MaskFormer](https://github.com/facebookresearch/MaskFormer/blob/main/MODEL_ZOO.md),
[EoMT](https://github.com/tue-mps/eomt/tree/master/model_zoo)); none of these models was trained
with this one. The licence beside a link is that of the weights, also once they are
converted ([checkpoints.md](checkpoints.md#licences)). The configs have the reference's schedule, crop, learning rate
and test size. "ms+flip" is with test-time augmentation. ADE20K's published PQ counts the pixels of stuff that lie under
things, too; ours, for the same results, is as high or higher ([correctness.md](correctness.md)). Figures of
YouTube-VIS are those of its validation split by the test server ([video.md](video.md)). Mask2Former and EoMT were
trained in mixed precision of float16, MaskFormer was not; here that is asked for: `--amp-dtype float16`, or `--amp` for
bfloat16.

A name, or the alias in its last column, stands for the config and for the weights wherever a tool asks for one, and
weights are converted when they are read ([checkpoints.md](checkpoints.md)). So does the name of a model on the Hugging
Face hub, such as `facebook/mask2former-swin-tiny-coco-panoptic`. [datasets.md](datasets.md) says how data is laid out.

```bash
python tools/test.py CONFIG ALIAS
bash tools/dist_train.sh CONFIG 8
```
"""

OVIS = 'Figures as DVIS (arXiv 2306.03413) reports them for Mask2Former of videos; weights of it are not known.'
NOTES = ('License of weights', 'Weights are')


def read_models(root: Path) -> list[dict]:
    """The models of all metafiles that ``model-index.yml`` imports, in order."""
    index = yaml.safe_load((root / 'model-index.yml').read_text(encoding='utf-8'))
    return [
        model
        for metafile in index['Import']
        for model in yaml.safe_load((root / metafile).read_text(encoding='utf-8'))['Models']
    ]


def figure_of(config: Path) -> str:
    """The reported figure in a config's header, such as ``: AP 17.3``."""
    header = config.read_text(encoding='utf-8').split('_base_')[0]
    return f': {match[1]}' if (match := re.search(r'Expected[^:]*: (\w+ [\d.]*\d)', header)) else ''


def make_page(root: Path) -> str:
    """The text of docs/model_zoo.md: a table for each data set and task, then the configs that no metafile has."""
    models = read_models(root)
    tables = {}
    for model in models:
        result = model['Results'][0]
        tables.setdefault((model['In Collection'], result['Dataset'], result['Task']), []).append(model)
    parts = [HEADER]
    collections = list(dict.fromkeys(collection for collection, _, _ in tables))
    for (collection, dataset, task), rows in sorted(tables.items(), key=lambda item: collections.index(item[0][0])):
        metrics = list(rows[0]['Results'][0]['Metrics'])
        parts += [
            f'\n## {"" if collection == "Mask2Former" else collection + " on "}{dataset}, {task.lower()}\n\n',
            f'| config | training | {" | ".join(metrics)} | weights | alias |\n',
            f'|---|---|{"---:|" * len(metrics)}---|---|\n',
        ]
        for model in rows:
            figures = model['Results'][0]['Metrics']
            parts.append(
                f'| [{model["Metadata"]["Backbone"]}](../{model["Config"]}) | {model["Metadata"]["Training"]} | '
                f'{" | ".join(str(figures[metric]) for metric in metrics)} | [reference]({model["Weights"]}), '
                f'{"; ".join(model["Metadata"][key] for key in NOTES if key in model["Metadata"])} | '
                f'`{model["Alias"][0]}` |\n'
            )
    listed = {model['Config'] for model in models}
    others = [
        path.relative_to(root).as_posix()
        for path in sorted((root / 'configs').rglob('*.py'))
        if '_base_' not in path.parts
    ]
    ablations = [path for path in others if '/ablations/' in path]
    unlisted = [path for path in others if path not in listed and path not in ablations]
    small = [path for path in unlisted if '_efficientnet' in path or '_vit-ti' in path]
    ovis = [path for path in unlisted if '/ovis/' in path]
    backbones = [path for path in unlisted if path not in [*small, *ovis]]
    for title, text, paths in (
        ('VideoMask2Former on OVIS, video instance segmentation', OVIS, ovis),
        ('Small models', 'For CPUs and small data; their results are in the [README](../README.md).', small),
        ('Other backbones', 'Not trained yet; [backbones.md](backbones.md) has any other.', backbones),
        ('Ablations', "Rows of the paper's tables 4, 5, X and XI; each config says its figures.", ablations),
    ):
        parts.append(f'\n## {title}\n\n{text}\n\n')
        parts += [
            f'- [{Path(path).stem}](../{path}){figure_of(root / path) if paths is ovis else ""}\n' for path in paths
        ]
    return ''.join(parts)


def main() -> None:
    if not (ROOT / 'docs').is_dir():
        raise SystemExit('Error: The docs are not part of the installed package: run this in a clone of its code.')
    (ROOT / 'docs' / 'model_zoo.md').write_text(make_page(ROOT), encoding='utf-8')


if __name__ == '__main__':
    main()
