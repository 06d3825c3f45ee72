#!/usr/bin/env bash
# Train on a Slurm cluster.
#
# Usage: tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [arguments of tools/train.py]
# Environment variables say how many GPUs, and more: see tools/slurm.sh.
set -euo pipefail

if [[ $# -lt 4 ]]; then
    echo 'slurm_train: PARTITION, JOB_NAME, CONFIG and WORK_DIR are needed;' \
        'usage: tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [arguments of train.py]' >&2
    exit 2
fi
exec bash "$(dirname "${BASH_SOURCE[0]}")/slurm.sh" "$1" "$2" train.py "$3" --work-dir "$4" "${@:5}"
