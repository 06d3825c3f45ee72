"""browse_dataset.py draws what is fed to the model."""

import cv2
import numpy as np
import pytest

from tests.tools import load_tool


def call(monkeypatch, *arguments):
    monkeypatch.setattr('sys.argv', ['browse_dataset.py', *map(str, arguments)])
    load_tool('analysis_tools/browse_dataset').main()


def test_browse_dataset_draws_every_split(run, tmp_path, monkeypatch, capsys):
    for split, panels in (('train', 2), ('val', 2)):
        call(monkeypatch, run.config, '--split', split, '--num', '2', '--out-dir', tmp_path / split)
        pictures = sorted((tmp_path / split).iterdir())
        assert len(pictures) == 2
        picture = cv2.imread(str(pictures[0]))
        image = picture[:, : picture.shape[1] // panels]
        rest = picture[:, picture.shape[1] // panels :]
        assert image.shape[1] > image.shape[0] and rest.size  # wide images, side by side
        assert np.abs(image[40:, :200].astype(int) - rest[40:, -200:].astype(int)).mean() > 5
    assert '2 pictures are in' in capsys.readouterr().out
    call(monkeypatch, run.config, '--num', '1', '--repeat', '3', '--out-dir', tmp_path / 'again')
    assert len(list((tmp_path / 'again').iterdir())) == 3
    with pytest.raises(ValueError, match='--start is 8, but the train set has 8 images'):
        call(monkeypatch, run.config, '--start', '8', '--out-dir', tmp_path)
