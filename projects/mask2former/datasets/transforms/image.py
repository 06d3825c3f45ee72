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


def check_size(what: str, size: tuple[int, int], img_path: str, img_size: tuple[int, int]) -> None:
    """Check that an annotation has its image's size.

    Args:
        what (str): The annotation, as the message names it.
        size (tuple[int, int]): Its ``(H, W)``.
        img_path (str): The image.
        img_size (tuple[int, int]): The image's ``(H, W)``.

    Raises:
        DataError: If the sizes differ.
    """
    if tuple(size) != tuple(img_size):
        turned = tuple(size) == tuple(img_size)[::-1]
        mend = (
            "the image may be turned by its EXIF tag, which color_type='color_ignore_orientation' leaves alone"
            if turned
            else 'they must be equal, and segments are loaded before anything resizes the image'
        )
        raise DataError(
            f"{what} is {size[0]} x {size[1]} (H x W), but the image '{img_path}' is "
            f'{img_size[0]} x {img_size[1]}; {mend}.'
        )
