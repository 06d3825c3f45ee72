"""Read an image, or say which one cannot be read."""

from mmcv.transforms import LoadImageFromFile

from mask2former.errors import DataError, MissingFileError
from mask2former.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadImage(LoadImageFromFile):
    """mmcv's ``LoadImageFromFile`` with the same arguments, whose errors name the file.

    Sets ``img`` ``(H, W, 3)`` uint8 BGR, ``img_shape`` and ``ori_shape`` ``(H, W)``.
    """

    def transform(self, results: dict) -> dict | None:
        """Read ``results['img_path']``.

        Raises:
            MissingFileError: If there is no such file.
            DataError: If it is not an image that can be read.
        """
        path = results['img_path']
        try:
            return super().transform(results)
        except FileNotFoundError:
            raise MissingFileError(
                f"Image file '{path}' does not exist; check data_root and data_prefix['img']."
            ) from None
        except Exception as error:  # the decoders raise what they like
            reason = ' '.join(str(error).split())[:120]
            raise DataError(f"Image file '{path}' cannot be decoded ({reason}); replace it.") from error
