"""tools/predict.py: results of many images in parts, of processes that are killed and started again."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from mask2former.apis import SegInferencer
from mask2former.apis.cli import run_tool
from mask2former.errors import ConfigError, DataError, MissingFileError
from mask2former.predictions.shards import ResultLog, find_images, merge, parse_shard
from tests.tools import load_tool


@pytest.fixture(scope='module')
def images(tiny_run, tmp_path_factory) -> Path:
    """Seven images, some in a folder within, and one that is none."""
    folder = tmp_path_factory.mktemp('many')
    (folder / 'a').mkdir()
    for number in range(6):
        source = sorted(tiny_run.images.iterdir())[number % 4]
        shutil.copy(source, folder / ('a' * (number % 2)) / f'{number}.jpg')
    (folder / 'broken.png').write_text('no image')
    (folder / 'notes.txt').write_text('no image either')
    return folder


@pytest.fixture
def predict(tiny_run, images, monkeypatch):
    module = load_tool('predict')
    made = []

    def call(out: Path, *flags: str, folder: Path = images) -> str | int | None:
        if not made and Path(folder).is_dir():
            made.append(SegInferencer(tiny_run.config, tiny_run.checkpoint, device='cpu'))
        monkeypatch.setattr(
            'mask2former.apis.inferencer.SegInferencer', lambda *args, **options: made[0]
        )  # loaded once
        arguments = [tiny_run.config, tiny_run.checkpoint, folder, '--out', out, *flags]
        monkeypatch.setattr('sys.argv', ['predict.py', *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            run_tool(module.main)
            raise SystemExit(0)
        return end.value.code

    call.module = module
    return call


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def whole(predict, tmp_path) -> list[dict]:
    """The results of one process."""
    assert predict(tmp_path / 'whole', '--png') == 1  # one image cannot be read
    return lines(tmp_path / 'whole' / 'results-1-of-1.jsonl')[1:]


def test_results_of_shards_merged_are_those_of_one_process(predict, whole, tmp_path, tiny_run, images):
    names = [row['file_name'] for row in whole]
    assert names == ['0.jpg', '2.jpg', '4.jpg', 'a/1.jpg', 'a/3.jpg', 'a/5.jpg', 'broken.png']
    assert 'cannot be decoded' in whole[-1]['error'] and 'panoptic' not in whole[-1]
    inferencer = SegInferencer(tiny_run.config, tiny_run.checkpoint, device='cpu')
    [sample] = inferencer(images / 'a' / '1.jpg')
    assert json.loads(json.dumps(inferencer.to_json(sample)['panoptic'])) == whole[3]['panoptic']
    assert (tmp_path / 'whole' / whole[3]['id_map']).is_file()

    for shard in ('2/3', '1/3', '3/3'):
        predict(tmp_path / 'parts', '--png', '--shard', shard)
    assert predict(tmp_path / 'parts', '--merge') == 0
    assert lines(tmp_path / 'parts' / 'results.jsonl') == whole


@pytest.mark.parametrize('left', ['whole line', 'half a line', 'half a header', 'nothing'])
def test_a_killed_process_goes_on(predict, whole, tmp_path, monkeypatch, left, capsys):
    class Killed(BaseException):
        """As a signal it passes every handler."""

    one = predict.module.predict
    seen = []

    def dies(inferencer, path, name, maps):
        if len(seen) == 3:
            raise Killed
        seen.append(name)
        return one(inferencer, path, name, maps)

    monkeypatch.setattr(predict.module, 'predict', dies)
    with pytest.raises(Killed):
        predict(tmp_path / 'out', '--png')
    path = tmp_path / 'out' / 'results-1-of-1.jsonl'
    content = path.read_bytes()
    size = {'whole line': len(content), 'half a line': len(content) - 40, 'half a header': 20, 'nothing': 0}[left]
    os.truncate(path, size)

    again = []
    monkeypatch.setattr(predict.module, 'predict', lambda *args: again.append(args[2]) or one(*args))
    capsys.readouterr()
    assert predict(tmp_path / 'out', '--png') == 1
    done = {'whole line': 3, 'half a line': 2}.get(left, 0)
    assert again == [row['file_name'] for row in whole][done:]
    assert lines(path)[1:] == whole
    assert (f'{done} of 7 are there already.' in capsys.readouterr().out) == bool(done)
    again.clear()
    assert predict(tmp_path / 'out', '--png') == 0 and not again, 'nothing is left to do'


def test_results_of_other_settings_are_not_mixed(predict, tmp_path, images):
    shard = ('--shard', '1/7')
    assert predict(tmp_path / 'out', *shard) == 0
    said = predict(tmp_path / 'out', *shard, '--score-thr', '0.5')
    assert 'has results of another run (score_thr was 0.3 and is 0.5)' in said and said.endswith('delete the file.')
    more = shutil.copytree(images, tmp_path / 'more')
    (more / 'broken.png').rename(more / 'named_otherwise.png')
    assert 'has results of another run (list was ' in predict(tmp_path / 'out', *shard, folder=more)


def test_what_is_wrong_is_said_before_the_model_is_there(predict, tmp_path):
    (tmp_path / 'file').write_text('')
    (tmp_path / 'list.txt').write_text('/elsewhere/a.jpg\n')
    for flags, folder, sentence in (
        ((), tmp_path / 'no', 'There is no folder or list of images'),
        ((), tmp_path / 'file', "The file '.*file' has no image"),
        (('--png',), tmp_path / 'list.txt', '--png needs images below the folder'),
    ):
        assert re.search(sentence, predict(tmp_path / 'out', *flags, folder=folder))
    assert 'Nothing can be written to' in predict(tmp_path / 'file')


def test_lists(tmp_path):
    (tmp_path / 'list.txt').write_text('b/2.jpg\n\na/1.jpg\n')
    assert find_images(tmp_path / 'list.txt', ('.jpg',)) == (tmp_path, ['b/2.jpg', 'a/1.jpg'])


@pytest.mark.parametrize('text', ['', '1', '0/2', '3/2', 'a/b', '1/0', '-1/2', '1/2/3'])
def test_no_shards(text):
    with pytest.raises(Exception, match='is no shard: write 1/8 for the first of eight'):
        parse_shard(text)


def test_a_full_disk_leaves_whole_lines(tmp_path):
    """A limit to the size of files stands in for the disk: the first bytes of a line find room, the others do not."""
    resource = pytest.importorskip('resource', reason='limits of processes are those of POSIX')
    with ResultLog(tmp_path / 'r.jsonl', dict(images=2)) as log:
        log.append(dict(index=0))
        before = log.path.read_bytes()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 5, hard))
        try:
            with pytest.raises(OSError, match="File too large: '.*r.jsonl'"):
                log.append(dict(index=1, text='x' * 100))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert log.path.read_bytes() == before
        log.append(dict(index=1))
    assert [json.loads(line)['index'] for line in log.path.read_text().splitlines()[1:]] == [0, 1]


def test_two_processes_do_not_write_one_file(tmp_path):
    with ResultLog(tmp_path / 'r.jsonl', {}), pytest.raises(ConfigError, match='give each its own --shard'):
        ResultLog(tmp_path / 'r.jsonl', {})
    with ResultLog(tmp_path / 'r.jsonl', {}):
        pass


def write_shards(folder: Path, images: int = 5, count: int = 2, skip: tuple = ()) -> None:
    for number in range(count):
        with ResultLog(folder / f'results-{number + 1}-of-{count}.jsonl', dict(images=images, shards=count)) as log:
            for index in range(number, images, count):
                if index not in skip:
                    log.append(dict(index=index))


def test_merging_what_is_not_whole_is_refused(tmp_path):
    with pytest.raises(MissingFileError, match='has no results'):
        merge(tmp_path)
    write_shards(tmp_path / 'end', skip=(4,))
    with pytest.raises(DataError, match='has 4 of 5 results: run tools/predict.py with --shard 1/2 again'):
        merge(tmp_path / 'end')
    write_shards(tmp_path / 'middle', skip=(3,))
    with pytest.raises(DataError, match='lacks the result of image 3 of 5: .* --shard 2/2 again'):
        merge(tmp_path / 'middle')
    write_shards(tmp_path / 'absent')
    (tmp_path / 'absent' / 'results-2-of-2.jsonl').unlink()
    with pytest.raises(MissingFileError, match='lacks results-2-of-2.jsonl'):
        merge(tmp_path / 'absent')
    write_shards(tmp_path / 'mixed')
    write_shards(tmp_path / 'mixed', count=3)
    with pytest.raises(DataError, match='are of different runs'):
        merge(tmp_path / 'mixed')
    for folder in ('end', 'middle', 'absent', 'mixed'):
        assert not (tmp_path / folder / 'results.jsonl').exists()


@pytest.mark.parametrize('content', [b'junk\n', b'[]\n', b'\0\0\0\n'])
def test_a_file_of_something_else_is_left_alone(tmp_path, content):
    (tmp_path / 'r.jsonl').write_bytes(content)
    with pytest.raises(DataError, match='is no file of results'):
        ResultLog(tmp_path / 'r.jsonl', {})
    assert (tmp_path / 'r.jsonl').read_bytes() == content
