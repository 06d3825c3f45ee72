#!/usr/bin/env bash
# Test on a Slurm cluster.
#
# Usage: tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [arguments of tools/test.py]
# Environment variables say how many GPUs, and more: see tools/slurm.sh.
set -euo pipefail

if [[ $# -lt 4 ]]; then
    echo 'slurm_test: PARTITION, JOB_NAME, CONFIG and CHECKPOINT are needed;' \
        'usage: tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [arguments of test.py]' >&2
    exit 2
fi
exec bash "$(dirname "${BASH_SOURCE[0]}")/slurm.sh" "$1" "$2" test.py "${@:3}"
