#!/usr/bin/env bash
# From a fresh clone to a trained and tested panoptic model, on a CPU: install, draw a small data set, train, test.
# The results are in work_dirs/quickstart: metrics.json, and pictures in vis.
#
# Usage: tools/quickstart.sh
#   PYTHON    the interpreter to make .venv with (default: python3)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

config=configs/shapes/mask2former_efficientnet-lite0_shapes-panoptic.py
data=data/shapes
work_dir=work_dirs/quickstart

fail() {
    echo "quickstart: $1" >&2
    exit 1
}

[[ $# -eq 0 ]] || fail "unknown arguments '$*'; tools/quickstart.sh takes none."
# Where Python is told to write no bytecode, each of its starts below would compile thousands of modules.
unset PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX=$PWD/.venv/pycache
# Most of the time goes to many short steps of few threads, which wait for each other by spinning. The package lets them
# do so shortly, for machines that others use, too; on one that is free a training step takes a quarter less this way.
export GOMP_SPINCOUNT=${GOMP_SPINCOUNT:-10000}
SECONDS=0
echo 'quickstart: 1/4 setting up .venv'
bash tools/setup_env.sh || fail 'the environment could not be set up; fix what is named above and run this again.'

echo "quickstart: 2/4 drawing the data set in $data"
.venv/bin/python tools/dataset_converters/make_shapes.py "$data" ||
    fail "the data set could not be drawn (the error is above); check the free disk space, remove $data, run this again."

echo "quickstart: 3/4 training $config"
rm -rf "$work_dir"
.venv/bin/python tools/train.py "$config" --work-dir "$work_dir" ||
    fail "training failed (the error is above); its log is in $work_dir."

echo 'quickstart: 4/4 testing'
[[ -f $work_dir/last_checkpoint ]] || fail "training left no checkpoint in $work_dir; see its log there."
.venv/bin/python tools/test.py "$config" "$(<"$work_dir/last_checkpoint")" \
    --work-dir "$work_dir" --show-dir "$work_dir/vis" ||
    fail "testing failed (the error is above); its log is in $work_dir."

.venv/bin/python - "$work_dir" "$SECONDS" <<'PYTHON' || fail "the results could not be read from $work_dir."
import json
import sys
from pathlib import Path

work_dir, seconds = Path(sys.argv[1]), int(sys.argv[2])
# 'panoptic/PQ' and 'PQ' are the same metric: some evaluators put their name before it.
found = {name.split('/')[-1]: value for name, value in json.loads((work_dir / 'test_metrics.json').read_text()).items()}
names = ('PQ', 'PQ_th', 'PQ_st', 'segm_mAP', 'mIoU')
missing = [name for name in names if name not in found]
if missing:
    sys.exit(f'{work_dir}/test_metrics.json has no {", ".join(missing)}; it has {", ".join(sorted(found))}.')
metrics = {name: found[name] for name in names}
metrics['seconds'] = seconds
(work_dir / 'metrics.json').write_text(json.dumps(metrics, indent=2) + '\n')

print(f'\nAfter {seconds} s, in percent:')
for name in names:
    print(f'{name:>10}  {metrics[name]:6.2f}')
print(f'\nmetrics:  {work_dir}/metrics.json\npictures: {work_dir}/vis')
PYTHON
