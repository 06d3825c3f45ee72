#!/usr/bin/env bash
# Run one of the tools on a Slurm cluster; slurm_train.sh and slurm_test.sh do so.
#
# Usage: tools/slurm.sh PARTITION JOB_NAME TOOL [arguments of tools/TOOL]
#   PYTHON           the interpreter (default: python)
#   GPUS             processes in all, one a GPU (default: 8)
#   GPUS_PER_NODE    of them on one machine (default: 8)
#   CPUS_PER_TASK    cores for one process (default: 5)
#   SRUN_ARGS        more arguments of srun, separated by spaces
set -euo pipefail

if [[ $# -lt 3 ]]; then
    echo 'slurm: PARTITION, JOB_NAME and TOOL are needed;' \
        'usage: tools/slurm.sh PARTITION JOB_NAME TOOL [arguments of tools/TOOL]' >&2
    exit 2
fi
gpus_per_node=${GPUS_PER_NODE:-8}
read -r -a srun_args <<<"${SRUN_ARGS:-}"

exec srun --partition "$1" --job-name "$2" --kill-on-bad-exit=1 \
    --gres "gpu:$gpus_per_node" --ntasks "${GPUS:-8}" --ntasks-per-node "$gpus_per_node" \
    --cpus-per-task "${CPUS_PER_TASK:-5}" "${srun_args[@]}" \
    "${PYTHON:-python}" -u "$(dirname "${BASH_SOURCE[0]}")/$3" --launcher slurm "${@:4}"
