"""Check Mapillary Vistas v1.2, and make what is missing; the complete release is used as it is.

Reads, of https://www.mapillary.com/dataset/vistas, below ROOT:
  {training,validation}/{images,labels,instances,panoptic}/ and config.json,
  or, of the zip file of v2.0, {training,validation}/images/, {training,validation}/v1.2/ and config_v1.2.json
Writes there, where they are absent:
  {training,validation}/{labels,instances,panoptic}          links to v1.2/
  {training,validation}/panoptic/*.png, panoptic_2018.json   made of instances/ (16 bit: 256 * label + instance)

Example: python tools/dataset_converters/prepare_mapillary.py data/mapillary_vistas
An interrupted run resumes where it stopped.
"""

from mask2former.apis.cli import run_tool
from mask2former.data_tools.arguments import make_parser
from mask2former.data_tools.official.mapillary import SPLITS, prepare_mapillary


def main() -> None:
    args = make_parser(__doc__, 'data/mapillary_vistas', SPLITS).parse_args()
    print(*prepare_mapillary(args.root, args.splits, args.jobs), sep='\n')


if __name__ == '__main__':
    run_tool(main)
