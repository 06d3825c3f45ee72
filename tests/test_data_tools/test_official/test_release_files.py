"""Files and folders of releases."""

import numpy as np
import pytest
from PIL import Image

from mask2former.data_tools.official import release_files
from mask2former.errors import DataError


def test_stems(tmp_path):
    for name in ('b.png', 'a.png', '._a.png', 'c.jpg'):
        (tmp_path / name).touch()
    assert release_files.stems(tmp_path, '.png', 'x') == ['a', 'b']
    with pytest.raises(FileNotFoundError, match="has no file that ends with '.tif'; unpack it"):
        release_files.stems(tmp_path, '.tif', 'unpack it')


def test_read_array_keeps_what_the_file_holds(tmp_path):
    values = np.arange(12, dtype=np.uint8).reshape(3, 4)
    image = Image.fromarray(values)
    image.putpalette(list(range(255, -1, -1)) * 3)
    image.save(tmp_path / 'palette.png')
    assert (release_files.read_array(tmp_path / 'palette.png', 1) == values).all()
    Image.fromarray(values.astype(np.uint16) * 5000).save(tmp_path / 'deep.png')
    assert (release_files.read_array(tmp_path / 'deep.png', 1) == values.astype(int) * 5000).all()
    rgba = np.dstack([values] * 4)
    Image.fromarray(rgba).save(tmp_path / 'rgba.png')
    assert (release_files.read_array(tmp_path / 'rgba.png', 3) == rgba[..., :3]).all()
    for name, channels in (('rgba.png', 1), ('deep.png', 3)):
        with pytest.raises(DataError, match=f'{name}.*of {channels} channels is needed'):
            release_files.read_array(tmp_path / name, channels)
    with pytest.raises(DataError, match="b.jpg' cannot be read as an image"):
        (tmp_path / 'b.jpg').write_bytes(b'no image')
        release_files.image_header(tmp_path / 'b.jpg')
