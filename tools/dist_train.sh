#!/usr/bin/env bash
# Train on several GPUs, of one machine or of NNODES machines.
#
# Usage: tools/dist_train.sh CONFIG GPUS [arguments of tools/train.py]
#   PYTHON                            the interpreter (default: python)
#   NNODES, NODE_RANK, MASTER_ADDR    machines, which of them this is, and the first one's address
#                                     (default: 1, 0, 127.0.0.1)
#   PORT                              a free port of the first machine (default: 29500)
set -euo pipefail

if [[ $# -lt 2 ]]; then
    echo 'dist_train: CONFIG and GPUS are needed; usage: tools/dist_train.sh CONFIG GPUS [arguments of train.py]' >&2
    exit 2
fi
config=$1
gpus=$2
shift 2

exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes "${NNODES:-1}" --node_rank "${NODE_RANK:-0}" --nproc_per_node "$gpus" \
    --master_addr "${MASTER_ADDR:-127.0.0.1}" --master_port "${PORT:-29500}" \
    "$(dirname "${BASH_SOURCE[0]}")/train.py" "$config" --launcher pytorch "$@"
