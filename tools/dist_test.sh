#!/usr/bin/env bash
# Test on several GPUs, of one machine or of NNODES machines.
#
# Usage: tools/dist_test.sh CONFIG CHECKPOINT GPUS [arguments of tools/test.py]
#   GPUS                              processes on this machine: one for each GPU, or on CPUs, where there is none
#   PYTHON                            the interpreter (default: python)
#   NNODES, NODE_RANK, MASTER_ADDR    machines, which of them this is, and the first one's address
#                                     (default: 1, 0, 127.0.0.1)
#   PORT                              a free port of the first machine (default: 29500)
set -euo pipefail

if [[ $# -lt 3 ]]; then
    echo 'dist_test: CONFIG, CHECKPOINT and GPUS are needed; usage: tools/dist_test.sh CONFIG CHECKPOINT GPUS' \
        '[arguments of test.py]' >&2
    exit 2
fi
config=$1
checkpoint=$2
gpus=$3
shift 3
if [[ ! $gpus =~ ^[1-9][0-9]*$ ]]; then
    echo "dist_test: GPUS must be the number of processes, but is '$gpus'" >&2
    exit 2
fi

exec "${PYTHON:-python}" -m mask2former.apis.torchrun \
    --nnodes "${NNODES:-1}" --node_rank "${NODE_RANK:-0}" --nproc_per_node "$gpus" \
    --master_addr "${MASTER_ADDR:-127.0.0.1}" --master_port "${PORT:-29500}" \
    "$(dirname "${BASH_SOURCE[0]}")/test.py" "$config" "$checkpoint" --launcher pytorch "$@"
