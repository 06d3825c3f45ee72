"""The command: what it prints, its page, its exit code."""

import importlib.util
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from mmengine.registry import DefaultScope, init_default_scope

from mask2former.apis.cli import run_tool
from mask2former.data_tools.shapes import generate_moving_shapes

from .conftest import LABEL_MAP

ROOT = Path(__file__).resolve().parents[3]
SHAPES = ROOT / 'configs' / 'shapes' / 'mask2former_efficientnet-lite0_shapes-panoptic.py'
MOVING_SHAPES = SHAPES.with_name('video-mask2former_efficientnet-lite0_moving-shapes.py')


@pytest.fixture(autouse=True)
def scope():
    """The tool sets the default scope; afterwards it is what it was."""
    before = DefaultScope.get_current_instance()
    yield
    if before is not None:
        init_default_scope(before.scope_name)


def load_tool():
    spec = importlib.util.spec_from_file_location('check_dataset', ROOT / 'tools' / 'misc' / 'check_dataset.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(monkeypatch, config, *arguments, options=()):
    monkeypatch.setattr(
        'sys.argv',
        [
            'check_dataset.py',
            str(config),
            '--jobs',
            '1',
            *map(str, arguments),
            *(['--cfg-options', *options] if options else []),
        ],
    )
    monkeypatch.setenv('COLUMNS', '200')
    with pytest.raises(SystemExit) as caught:
        load_tool().main()
    return caught.value.code


def shapes_options(data):
    return [f'{split}_dataloader.dataset.data_root={data.root}/' for split in ('train', 'val')]


def test_videos_and_their_frames_are_counted(tmp_path, monkeypatch, capsys):
    generate_moving_shapes(tmp_path, num_train=2, num_val=1, size=(48, 64), frames=(3, 5), seed=2)
    run(
        monkeypatch,
        MOVING_SHAPES,
        '--headers',
        '--json',
        options=[f'{split}_dataloader.dataset.data_root={tmp_path}/' for split in ('train', 'val')],
    )
    out, err = capsys.readouterr()
    contents = [json.loads((tmp_path / f'{split}.json').read_text())['videos'] for split in ('train', 'val')]
    frames = sum(video['length'] for content in contents for video in content)
    found = json.loads(out)
    assert found['videos'] == 3 and found['frames'] == frames and 'images' not in found
    assert f'3 videos, {frames} frames in ' in err


@pytest.fixture
def semantic_config(data, tmp_path):
    """A config of the class-id PNG files."""
    path = tmp_path / 'semantic.py'
    parts = ['default_scope = "mask2former"', 'model = dict(head=dict(num_queries=2))']
    for split in ('train', 'val'):
        parts.append(
            f'{split}_dataloader = dict(dataset=dict(type="SemanticPngFormat", data_root={str(data.root)!r}, '
            f'data_prefix=dict(img="{split}/", seg="semantic_{split}/"), label_map={LABEL_MAP}, '
            'ignore_index=(0, 255), pipeline=[]))'
        )
    path.write_text('\n'.join(parts))
    return path


def test_sound_data(sound, monkeypatch, capsys):
    assert run(monkeypatch, SHAPES, '--headers', options=shapes_options(sound)) == 0
    assert '0 errors.' in capsys.readouterr().out
    assert run(monkeypatch, SHAPES, options=shapes_options(sound)) == 0
    text = capsys.readouterr().out
    assert '0 errors.' in text and '11 images in ' in text and 'Classes of train' in text


def test_faults_are_printed_fixed_and_gone(data, tmp_path, monkeypatch, capsys):
    data.image(0).unlink()
    fixed = tmp_path / 'fixed'
    assert run(monkeypatch, SHAPES, '--fix', fixed, options=shapes_options(data)) == 1
    text = capsys.readouterr().out
    assert 'missing image' in text and str(data.root / 'train' / '000000.jpg') in text and '1 errors.' in text
    assert 'The clean copy of train has 7 of 8 images.' in text
    settings = re.findall(r'Use it: --cfg-options (.*)', text)
    assert len(settings) == 2
    options = [*shapes_options(data), *' '.join(settings).split()]
    assert run(monkeypatch, SHAPES, options=options) == 0
    assert '10 images in' in capsys.readouterr().out
    assert run(monkeypatch, SHAPES, '--headers', '--fix', fixed, options=shapes_options(data)) == 2  # wrong arguments


def test_semantic_faults_are_printed_fixed_and_gone(data, semantic_config, tmp_path, monkeypatch, capsys):
    data.paint(1, 77, 20)
    data.class_map(2).unlink()
    assert run(monkeypatch, semantic_config, '--fix', tmp_path / 'fixed', '--html', tmp_path / 'page.html') == 1
    text = capsys.readouterr().out
    assert 'missing map' in text and '77 (20 pixels)' in text and '2 errors.' in text
    assert 'images with more classes than queries' in text and 'more segments than queries' in text
    assert 'has 7 of 8 images' in text
    page = (tmp_path / 'page.html').read_text()
    assert page.count('<img') == 8 + 3 and '77 (20 pixels)' in page
    settings = ' '.join(re.findall(r'Use it: --cfg-options (.*)', text)).split()
    assert run(monkeypatch, semantic_config, options=settings) == 0


@pytest.mark.parametrize('kind', ['Panoptic', 'Instance'])
def test_the_classes_of_metainfo_are_those_that_are_counted(data, tmp_path, monkeypatch, capsys, kind):
    """Of one class and of the others, together, there is as much as of all; only it has a line."""
    name = 'panoptic' if kind == 'Panoptic' else 'instances'
    raw = json.loads((data.root / 'annotations' / f'{name}_train.json').read_text())
    category = raw['categories'][0]
    segments = [s for a in raw['annotations'] for s in a.get('segments_info', [a])]
    chosen = [s for s in segments if s['category_id'] == category['id']]
    assert 0 < len(chosen) < len(segments)
    prefix = dict(img='train/') | (dict(seg='annotations/panoptic_train/') if kind == 'Panoptic' else {})
    config = tmp_path / 'one_class.py'
    config.write_text(
        f"default_scope = 'mask2former'\ntrain_dataloader = dict(dataset=dict(type='Coco{kind}Format', "
        f"data_root={str(data.root)!r}, ann_file='annotations/{name}_train.json', metainfo=dict(classes=["
        f'{category["name"]!r}]), data_prefix={prefix!r}, pipeline=[]))'
    )
    run(monkeypatch, config, '--splits', 'train', '--html', tmp_path / 'page.html')
    text, page = capsys.readouterr().out, (tmp_path / 'page.html').read_text()
    facts = {line.split('│')[1].strip(): line.split('│')[2].strip() for line in text.splitlines() if '│' in line}
    assert facts['segments'] == f'{len(chosen)} (0 crowd)'
    left_out = facts['of classes that metainfo leaves out']
    assert left_out.startswith(f'{len(segments) - len(chosen)} segments')
    void = 100 - 100 * sum(s['area'] for s in chosen) / (len(raw['images']) * 64 * 96)
    assert abs(float(facts['void: mean, most'].split(' ')[0]) - void) < 0.06
    # The pictures' letters may spell anything.
    for shown in (text[text.index('Classes of train') :], page[page.index('<h3>Classes') : page.index('<h3>Pictures')]):
        assert category['name'] in shown
        assert not any(row['name'] in shown for row in raw['categories'][1:])


def test_what_cannot_be_fixed_is_said(data, tmp_path, monkeypatch, capsys):
    data.edit(lambda content: [row.pop('isthing') for row in content['categories']])
    assert run(monkeypatch, SHAPES, '--fix', tmp_path / 'fixed', options=shapes_options(data)) == 1
    text = capsys.readouterr().out
    assert 'isthing missing' in text and 'Still to be fixed by hand in train: isthing missing.' in text


class Tags(HTMLParser):
    """Collects the tags and attributes of a page, and whether each is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.seen, self.sources = [], set(), []

    def handle_starttag(self, tag, attributes):
        self.seen.add(tag)
        self.sources += [value for name, value in attributes if name in ('src', 'href') or name.startswith('on')]
        if tag not in ('meta', 'img', 'br'):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_names_cannot_put_anything_into_page_or_terminal(data, tmp_path, monkeypatch, capsys):
    name = '\x1b[31m[red]"><script>alert(1)<script>\udcff.jpg'

    def change(content):
        content['images'][0]['file_name'] = name
        content['categories'][0]['name'] = '<b onload="x">disc</b> [bold]{{ 7 * 7 }}'
        content['annotations'][1]['segments_info'][0]['category_id'] = '</td><script>'

    for split in ('train', 'val'):
        data.edit(change, split=split)
    page_file = tmp_path / 'page.html'
    assert run(monkeypatch, SHAPES, '--html', page_file, options=shapes_options(data)) == 1
    text, page = capsys.readouterr().out, page_file.read_text()
    assert '\x1b[31m' not in text and '[red]"><script>' in text and '[bold]{{ 7 * 7 }}' in text
    tags = Tags()
    tags.feed(page)
    assert not tags.open
    assert tags.seen == set(
        'html head meta title style body h1 h2 h3 span table tr th td div figure figcaption img br p'.split()
    ) - ({'p'} - tags.seen)
    assert tags.sources and all(source.startswith('data:image/jpeg;base64,') for source in tags.sources)
    assert '\x1b' not in page and '&lt;b onload=' in page and "default-src 'none'" in page


def test_one_sentence_where_the_config_is_wrong(data, monkeypatch):
    options = [*shapes_options(data), 'val_dataloader.dataset.ann_file=nowhere.json']
    monkeypatch.setattr('sys.argv', ['check_dataset.py', str(SHAPES), '--cfg-options', *options])
    with pytest.raises(SystemExit, match=r"^Error: Annotation file '.*nowhere.json' does not exist"):
        run_tool(load_tool().main)


@pytest.mark.parametrize('headers', [[], ['--headers']])
def test_what_the_config_caps_is_said(monkeypatch, capsys, sound, tmp_path, headers):
    page = tmp_path / 'page.html'
    options = [*shapes_options(sound), 'model.head.num_queries=2']
    run(monkeypatch, SHAPES, '--html', page, *headers, options=options)
    for text in (capsys.readouterr().out, page.read_text()):
        assert '8 of 8 training images have more than 2 segments (model.head.num_queries)' in text
        assert '3 of 3 validation images have more than 2 segments' in text and 'PQ can reach' in text


def test_small_classes_of_class_id_files_are_measured(monkeypatch, capsys, semantic_config):
    run(monkeypatch, semantic_config)
    assert 'training images have more than 2 classes (model.head.num_queries), up to 3' in capsys.readouterr().out
