"""Writes a report as one HTML page, with pictures within and nothing from outside."""

from pathlib import Path

import jinja2

from .pictures import pictures_of
from .problem import printable
from .report import Report
from .statistics import classes_of, facts_of
from .text import counts_of, kinds_of

EXAMPLES = 20
# All texts are escaped (file and class names come from others); the policy forbids whatever would still get through.
PAGE = jinja2.Environment(autoescape=True, trim_blocks=True).from_string("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Data check</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<style>
body{font:15px/1.4 sans-serif;margin:2em auto;max-width:1400px;padding:0 1em;color:#222}
table{border-collapse:collapse;margin:1em 0}
td,th{border-bottom:1px solid #ddd;padding:3px 12px 3px 0;text-align:left;vertical-align:top}
td.number,th.number{text-align:right;white-space:nowrap}
.error{color:#b00020;font-weight:bold}.good{color:#2a7a2a}
.texts{font-size:13px;overflow-wrap:anywhere}
.bar{display:inline-block;height:11px;background:#4878b0}.track{width:320px}
img{max-width:100%}figure{margin:1.5em 0}figcaption{overflow-wrap:anywhere}
</style></head><body>
<h1>Data check: <span class="{{ 'error' if errors else 'good' }}">{{ errors }} errors</span></h1>
<table><tr><th></th>{% for split in splits %}<th>{{ split.name }}</th>{% endfor %}</tr>
{% for name in facts %}
<tr><th>{{ name }}</th>{% for split in splits %}<td>{{ split.facts.get(name, '') }}</td>{% endfor %}</tr>
{% endfor %}
</table>
{% for split in splits %}
<h2>{{ split.title }}</h2>
<h3>Problems</h3>
{% if split.kinds %}
<table><tr><th>kind</th><th>count</th><th>examples</th></tr>
{% for kind, error, count, texts in split.kinds %}
<tr><td class="{{ 'error' if error }}">{{ kind }}</td><td class="number">{{ count }}</td>
<td class="texts">{% for text in texts %}<div>{{ text }}</div>{% endfor %}
{% if count > texts|length %}<div>and {{ count - texts|length }} more</div>{% endif %}</td></tr>
{% endfor %}
</table>
{% else %}<p class="good">No problem was found.</p>
{% endif %}
<h3>Classes</h3>
<table><tr><th>class</th><th>kind</th>{% for key in split.counted %}<th class="number">{{ key }}</th>{% endfor %}
<th></th><th></th></tr>
{% for row in split.classes %}
<tr><td>{{ row.name }}</td><td>{{ 'thing' if row.isthing else 'stuff' }}{{ '' if row.learnt else ', not learnt' }}</td>
{% for key in split.counted %}<td class="number">{{ '{:,}'.format(row[key]) }}</td>{% endfor %}
<td class="number">{{ '' if row.share is none else '%.2f %%' % (100 * row.share) }}</td>
<td class="track"><span class="bar" style="width:{{ '%.1f' % row.bar }}%"></span></td></tr>
{% endfor %}
</table>
{% if split.pictures %}<h3>Pictures</h3>{% endif %}
{% for title, texts, data in split.pictures %}
<figure><figcaption>{{ title }}
{% for error, text in texts %}<br><span class="{{ 'error' if error }}">{{ text }}</span>{% endfor %}
</figcaption>
<img alt="{{ title }}" src="data:image/jpeg;base64,{{ data }}"></figure>
{% endfor %}
{% endfor %}
</body></html>
""")


def write_page(report: Report, path: str | Path, num_pictures: int) -> None:
    """Write the report with pictures of up to ``num_pictures`` images a split, those with problems first."""
    splits = []
    for split in report.splits:
        classes = classes_of(split)
        # Without pixels, after a check of headers, the bars show segments.
        key = 'pixels' if split.pixels else 'segments'
        most = max((row[key] for row in classes), default=0) or 1
        classes = [{**row, 'name': printable(row['name']), 'bar': 100 * row[key] / most} for row in classes]
        splits.append(
            dict(
                name=split.source.name,
                title=printable(split.source.title),
                classes=classes,
                counted=[*counts_of(split), 'pixels'],
                kinds=kinds_of(split, EXAMPLES),
                facts={name: printable(value) for name, value in facts_of(split)},
                pictures=pictures_of(split, num_pictures),
            )
        )
    names = dict.fromkeys(name for split in splits for name in split['facts'])
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(PAGE.render(errors=report.num_errors, splits=splits, facts=names), encoding='utf-8')
