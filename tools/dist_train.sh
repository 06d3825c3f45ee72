#!/usr/bin/env bash
# Train on several GPUs, of one machine or of NNODES machines.
#
# Usage: tools/dist_train.sh CONFIG GPUS [arguments of tools/train.py]
#   GPUS                              processes on this machine: one for each GPU, or on CPUs, where there is none
#   PYTHON                            the interpreter (default: python)
#   NNODES, NODE_RANK, MASTER_ADDR    machines, which of them this is, and the first one's address
#                                     (default: 1, 0, 127.0.0.1)
#   PORT                              a free port of the first machine (default: 29500)
#   MAX_RESTARTS                      how often all processes start again, from the last checkpoint, after one of them
#                                     died (default: 0). NODE_RANK is not needed then, and NNODES may be LEAST:MOST
set -euo pipefail

if [[ $# -lt 2 ]]; then
    echo 'dist_train: CONFIG and GPUS are needed; usage: tools/dist_train.sh CONFIG GPUS [arguments of train.py]' >&2
    exit 2
fi
config=$1
gpus=$2
shift 2
if [[ ! $gpus =~ ^[1-9][0-9]*$ ]]; then
    echo "dist_train: GPUS must be the number of processes, but is '$gpus'" >&2
    exit 2
fi

address=${MASTER_ADDR:-127.0.0.1} port=${PORT:-29500}
if [[ ${MAX_RESTARTS:-0} == 0 ]]; then
    meeting=(--node_rank "${NODE_RANK:-0}" --master_addr "$address" --master_port "$port")
else
    meeting=(--max_restarts "$MAX_RESTARTS" --rdzv_backend c10d --rdzv_endpoint "$address:$port")
    # In torchrun's own store processes that start again find the addresses of the dead ones (pytorch/pytorch#135712).
    export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
    [[ " $* " == *' --resume'* ]] || set -- "$@" --resume
fi

exec "${PYTHON:-python}" -m mask2former.apis.torchrun \
    --nnodes "${NNODES:-1}" --nproc_per_node "$gpus" "${meeting[@]}" \
    "$(dirname "${BASH_SOURCE[0]}")/train.py" "$config" --launcher pytorch "$@"
