"""Where the official data sets are, and what their files must be.

Sizes and SHA-256 sums of COCO, LVIS and annotations_instance.tar are those that TensorFlow Datasets publishes
(checksums.tsv of its lvis, url_checksums/coco.txt and scene_parse150.txt); the SHA-1 of ADEChallengeData2016.zip is
GluonCV's. For COCO-Stuff-10k none is published.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class RemoteFile:
    """An archive.

    Attributes:
        part: What it is called on the command line.
        url: Its official address.
        target: The folder that it is unpacked to, below the folder of all data.
        size: Bytes, if published.
        digest: `sha256:...` or `sha1:...`, if published.
        nested: Archives in it, below the target, that are unpacked, too.
    """

    part: str
    url: str
    target: str
    size: int | None = None
    digest: str | None = None
    nested: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.url.rpartition('/')[2]


@dataclass(frozen=True)
class Release:
    """A data set that is offered without an account.

    Attributes:
        title: Its name.
        homepage: Where it says who may use it, and how.
        files: Its archives.
        then: What to do with them.
    """

    title: str
    homepage: str
    files: tuple[RemoteFile, ...]
    then: str = 'ready for training'


_COCO_IMAGES = (
    # Not over https: the certificate of this address is another's. The checksum tells if somebody changed the file.
    RemoteFile(
        'train-images',
        'http://images.cocodataset.org/zips/train2017.zip',
        'coco',
        19336861798,
        'sha256:69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929',
    ),
    RemoteFile(
        'val-images',
        'http://images.cocodataset.org/zips/val2017.zip',
        'coco',
        815585330,
        'sha256:4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05',
    ),
)

RELEASES = {
    'coco': Release(
        'COCO 2017',
        'https://cocodataset.org/#download',
        (
            *_COCO_IMAGES,
            RemoteFile(
                'panoptic',
                'http://images.cocodataset.org/annotations/panoptic_annotations_trainval2017.zip',
                'coco',
                860725834,
                'sha256:c05f76d2129b6b561eb70efe16e7006df62f73fb92889132d373b9d90e31a370',
                ('annotations/panoptic_train2017.zip', 'annotations/panoptic_val2017.zip'),
            ),
            RemoteFile(
                'instances',
                'http://images.cocodataset.org/annotations/annotations_trainval2017.zip',
                'coco',
                252907541,
                'sha256:113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268',
            ),
        ),
    ),
    'lvis': Release(
        'LVIS v1',
        'https://www.lvisdataset.org/dataset',
        (
            *_COCO_IMAGES,
            RemoteFile(
                'train',
                'https://dl.fbaipublicfiles.com/LVIS/lvis_v1_train.json.zip',
                'coco/lvis',
                350264821,
                'sha256:334a4caa374030a7817cf050364525e910f7960f9b6968cef47cffbf3893f8ba',
            ),
            RemoteFile(
                'val',
                'https://dl.fbaipublicfiles.com/LVIS/lvis_v1_val.json.zip',
                'coco/lvis',
                64026968,
                'sha256:5cae9a3c79aadb667550c2b5dcf7f4d86e059a41ec91ef690225b667e28e9ba5',
            ),
        ),
    ),
    'ade20k': Release(
        'ADE20K, 150 classes',
        'http://sceneparsing.csail.mit.edu',
        (
            RemoteFile(
                'images',
                'http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip',
                'ade',
                None,
                'sha1:219e1696abb36c8ba3a3afe7fb2f4b4606a897c7',
            ),
            RemoteFile(
                'instances',
                'http://sceneparsing.csail.mit.edu/data/ChallengeData2017/annotations_instance.tar',
                'ade/ADEChallengeData2016',
                90398720,
                'sha256:5eb0db23c64779bc646ca535a3d495db0a75700b9467f8a79eecaf728b266acd',
            ),
        ),
        'the semantic task is ready; for the others, python tools/dataset_converters/prepare_ade20k.py',
    ),
    'coco_stuff10k': Release(
        'COCO-Stuff-10k v1.1',
        'https://github.com/nightrome/cocostuff10k',
        (
            RemoteFile(
                'all',
                'http://calvin.inf.ed.ac.uk/wp-content/uploads/data/cocostuffdataset/cocostuff-10k-v1.1.zip',
                'coco/coco_stuff_10k',
            ),
        ),
        'python tools/dataset_converters/prepare_coco_stuff10k.py',
    ),
}

# Those that want an account, a form or a licence to be accepted: where they are, and where they belong.
BY_HAND = {
    'cityscapes': 'Cityscapes needs an account: get leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip from '
    'https://www.cityscapes-dataset.com/downloads/ and unpack both into {out}/cityscapes',
    'mapillary': 'Mapillary Vistas needs an account: get v1.2 from https://www.mapillary.com/dataset/vistas and unpack '
    'it into {out}/mapillary_vistas',
    'ade20k_full': 'ADE20K with 847 classes needs a registration: get ADE20K_2021_17_01 from '
    'https://groups.csail.mit.edu/vision/datasets/ADE20K/ and unpack it into {out}/ade',
}
