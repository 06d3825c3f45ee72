"""Shows a report: in the terminal and as one HTML page with pictures."""

import base64
from collections import Counter
from pathlib import Path

import cv2
import jinja2
import numpy as np
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData, PixelData
from rich.console import Console
from rich.table import Table

from ..visualization import SegLocalVisualizer
from .check import Report, SplitReport
from .inspect_image import read_ids, to_rle
from .source import Entry

EXAMPLES = 3
PAGE = jinja2.Environment(autoescape=True).from_string("""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Data check</title>
<style>body{font:15px sans-serif;margin:2em;max-width:1500px}table{border-collapse:collapse;margin:1em 0}
td,th{border:1px solid #ccc;padding:3px 9px;text-align:left}.error{color:#b00}img{max-width:100%}
figure{margin:1em 0}</style>
<h1>Data check: {{ errors }} errors</h1>
{% for split in splits %}<h2>{{ split.name }}: {{ split.file }}</h2>
<table>{% for name, value in split.facts %}<tr><th>{{ name }}</th><td>{{ value }}</td></tr>{% endfor %}</table>
<h3>Problems</h3><table><tr><th>kind</th><th>count</th><th>examples</th></tr>
{% for kind, error, count, examples in split.kinds %}<tr><td class="{{ 'error' if error }}">{{ kind }}</td>
<td>{{ count }}</td><td>{% for text in examples %}{{ text }}<br>{% endfor %}</td></tr>{% endfor %}</table>
<h3>Classes</h3><table><tr><th>class</th><th>segments</th><th>share of pixels</th></tr>
{% for name, segments, share in split.classes %}<tr><td>{{ name }}</td><td>{{ segments }}</td><td>{{ share }}</td></tr>
{% endfor %}</table>
{% for text, data in split.pictures %}<figure><figcaption>{{ text }}</figcaption>
<img src="data:image/jpeg;base64,{{ data }}"></figure>{% endfor %}
{% endfor %}</html>
""")


def facts_of(split: SplitReport) -> list[tuple[str, str]]:
    """Return the statistics of a split as (name, value)."""
    source = split.source
    count = sum(split.segments.values())
    facts = [('images', str(len(source.entries))), ('segments', f'{count} ({split.crowds} crowd)'),
             ('segments an image', f'{count / max(1, len(source.entries)):.1f}')]
    if split.areas:
        areas = np.array(split.areas)
        facts += [('pixels of a segment: 1 %, median, 99 %',
                   ', '.join(str(int(value)) for value in np.percentile(areas, [1, 50, 99]))),
                  ('small (< 32²), medium, large (≥ 96²)', ' '.join(
                      f'{100 * part.mean():.0f} %' for part in (
                          areas < 32 ** 2, (areas >= 32 ** 2) & (areas < 96 ** 2), areas >= 96 ** 2)))]
    if split.voids:
        shares = list(split.voids.values())
        facts.append(('pixels without a segment', f'{100 * np.mean(shares):.1f} % (at most {100 * max(shares):.1f} %)'))
    return facts


def kinds_of(split: SplitReport) -> list[tuple[str, bool, int, list[str]]]:
    """Return (kind, whether it is an error, count, some texts), errors first."""
    counts = Counter(problem.kind for problem in split.problems)
    rows = []
    for kind, count in counts.items():
        problems = [problem for problem in split.problems if problem.kind == kind]
        texts = [('' if p.image is None else f'image {p.image}: ') + p.text for p in problems[:EXAMPLES]]
        rows.append((kind, problems[0].is_error, count, texts))
    return sorted(rows, key=lambda row: (not row[1], -row[2]))


def print_report(report: Report, console: Console) -> None:
    """Print what is wrong and the statistics."""
    for split in report.splits:
        console.rule(f'{split.source.split}: {split.source.ann_file}')
        for name, value in facts_of(split):
            console.print(f'{name}: {value}', markup=False, highlight=False)
        table = Table('kind', 'count', 'examples')
        for kind, error, count, texts in kinds_of(split):
            table.add_row(f'[red]{kind}[/red]' if error else kind, str(count), '\n'.join(texts).replace('[', r'\['))
        console.print(table if table.row_count else 'No problem was found.')
    errors = report.num_errors
    console.print(f'{errors} errors.', style='red' if errors else 'green')


def write_page(report: Report, path: str | Path, num_pictures: int) -> None:
    """Write the report with pictures of up to ``num_pictures`` images a split, those with problems first."""
    splits = []
    for split in report.splits:
        total = max(1, sum(split.pixels.values()))
        classes = [(entry.get('name'), split.segments[category], f'{100 * split.pixels[category] / total:.2f} %')
                   for category, entry in split.source.categories.items()]
        splits.append(dict(
            name=split.source.split, file=split.source.ann_file, facts=facts_of(split), kinds=kinds_of(split),
            classes=sorted(classes, key=lambda row: -row[1]), pictures=_pictures(split, num_pictures)))
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(PAGE.render(errors=report.num_errors, splits=splits), encoding='utf-8')


def _pictures(split: SplitReport, limit: int) -> list[tuple[str, str]]:
    texts = {}
    for problem in split.problems:
        texts.setdefault(problem.image, []).append(f'{problem.kind}: {problem.text}')
    entries = split.source.entries
    order = [image_id for image_id in texts if image_id in entries] + [i for i in entries if i not in texts]
    pictures = []
    for image_id in order:
        if len(pictures) >= limit:
            break
        drawn = _draw(entries[image_id], split)
        if drawn is not None:
            text = f'image {image_id} ({entries[image_id].path}) ' + '; '.join(texts.get(image_id, []))
            data = cv2.imencode('.jpg', drawn[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
            pictures.append((text, base64.b64encode(data.tobytes()).decode()))
    return pictures


def _draw(entry: Entry, split: SplitReport) -> np.ndarray | None:
    """Draw the image beside its annotation, RGB; None where the files do not allow it."""
    image = cv2.imread(entry.path) if Path(entry.path).is_file() else None
    if image is None:
        return None
    labels = {category: place for place, category in enumerate(split.source.categories)}
    visualizer = SegLocalVisualizer(panel_sides=(320, 640))
    visualizer.dataset_meta = dict(
        classes=tuple(str(entry.get('name')) for entry in split.source.categories.values()),
        isthing=tuple(bool(entry.get('isthing', 1)) for entry in split.source.categories.values()))
    known = [segment for segment in entry.segments if segment.get('category_id') in labels]
    sample = DetDataSample()
    try:
        if entry.map_path is not None:
            infos = [dict(id=s['id'], label=labels[s['category_id']], iscrowd=s.get('iscrowd', 0), isthing=bool(
                split.source.categories[s['category_id']].get('isthing', 1))) for s in known]
            sample.gt_panoptic_seg = PixelData(metainfo=dict(segments_info=infos))
            sample.gt_panoptic_seg.id_map = read_ids(entry.map_path)[None]
        else:
            sample.gt_segments = InstanceData(
                labels=np.array([labels[s['category_id']] for s in known], dtype=np.int64),
                masks=[to_rle(s['segmentation'], *image.shape[:2]) for s in known])
        return visualizer.draw_datasample(image[..., ::-1].copy(), sample)
    except Exception:  # such an annotation is among the problems already; the picture then shows the image alone
        return visualizer.draw_datasample(image[..., ::-1].copy())
