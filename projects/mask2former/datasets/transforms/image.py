"""Read an image, or say which one cannot be read."""

import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine import fileio

from mask2former.errors import ConfigError, DataError, MissingFileError, UserError
from mask2former.formats.bands import decode_bands, in_file_order
from mask2former.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadImage(LoadImageFromFile):
    """mmcv's ``LoadImageFromFile`` with the same arguments, whose errors name the file; and images of N bands.

    Sets ``img`` ``(H, W, 3)`` uint8 BGR, ``img_shape`` and ``ori_shape`` ``(H, W)``. With ``bands``, ``img`` is
    ``(H, W, bands)`` of the file's own type, as :func:`mask2former.formats.bands.decode_bands` says, and ``bands`` is
    set, too. The bands are in the file's order, but three are B, G, R as ever.

    Args:
        to_float32: Whether the image becomes float32.
        color_type: As ``mmcv.imfrombytes`` has it.
        imdecode_backend: As ``mmcv.imfrombytes`` has it.
        file_client_args: mmcv's old form of ``backend_args``.
        ignore_empty: Whether an image that cannot be read is passed over, as None.
        backend_args: How to get the file, as MMEngine's file clients have it.
        bands: How many bands each image must have; None for ordinary images.

    Raises:
        ConfigError: If ``bands`` is no number of bands, or comes with an option of ordinary images.
    """

    def __init__(
        self,
        to_float32: bool = False,
        color_type: str = 'color',
        imdecode_backend: str = 'cv2',
        file_client_args: dict | None = None,
        ignore_empty: bool = False,
        *,
        backend_args: dict | None = None,
        bands: int | None = None,
    ) -> None:
        super().__init__(
            to_float32, color_type, imdecode_backend, file_client_args, ignore_empty, backend_args=backend_args
        )
        if bands is not None and bands < 1:
            raise ConfigError(f'LoadImage: bands is {bands}; give 1 or more, or leave it out for ordinary images.')
        if bands is not None and (color_type != 'color' or imdecode_backend != 'cv2' or file_client_args is not None):
            raise ConfigError(
                'LoadImage: with bands the pixels are read as the file has them; leave out color_type, '
                'imdecode_backend and file_client_args.'
            )
        self.bands = bands

    def transform(self, results: dict) -> dict | None:
        """Read ``results['img_path']``.

        Raises:
            MissingFileError: If there is no such file.
            DataError: If it is not an image that can be read, or has another number of bands.
            MissingPackageError: If it is a TIFF file, ``bands`` are asked for and tifffile is not installed.
        """
        path = results['img_path']
        try:
            return super().transform(results) if self.bands is None else self._read_bands(results, self.bands)
        except FileNotFoundError:
            raise MissingFileError(
                f"Image file '{path}' does not exist; check data_root and data_prefix['img']."
            ) from None
        except UserError:
            raise
        except Exception as error:  # the decoders raise what they like
            reason = ' '.join(str(error).split())[:120]
            raise DataError(f"Image file '{path}' cannot be decoded ({reason}); replace it.") from error

    def _read_bands(self, results: dict, bands: int) -> dict | None:
        path = results['img_path']
        try:
            image = in_file_order(decode_bands(fileio.get(path, backend_args=self.backend_args), path, bands))
        except (FileNotFoundError, DataError):
            if self.ignore_empty:
                return None
            raise
        if self.to_float32:
            image = image.astype(np.float32)
        size = image.shape[:2]
        return dict(results, img=image, img_shape=size, ori_shape=size, bands=bands)

    def __repr__(self) -> str:
        mmcvs = super().__repr__()
        return mmcvs if self.bands is None else f'{mmcvs[:-1]}, bands={self.bands})'
