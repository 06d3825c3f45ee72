#!/usr/bin/env bash
# Test on a Slurm cluster.
#
# Usage: tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [arguments of tools/test.py]
#   PYTHON           the interpreter (default: python)
#   GPUS             processes in all, one a GPU (default: 8)
#   GPUS_PER_NODE    of them on one machine (default: 8)
#   CPUS_PER_TASK    cores for one process (default: 5)
#   SRUN_ARGS        more arguments of srun, separated by spaces
set -euo pipefail

if [[ $# -lt 4 ]]; then
    echo 'slurm_test: PARTITION, JOB_NAME, CONFIG and CHECKPOINT are needed;' \
        'usage: tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [arguments of test.py]' >&2
    exit 2
fi
partition=$1
job_name=$2
config=$3
checkpoint=$4
shift 4
gpus=${GPUS:-8}
gpus_per_node=${GPUS_PER_NODE:-8}
read -r -a srun_args <<<"${SRUN_ARGS:-}"

exec srun --partition "$partition" --job-name "$job_name" --kill-on-bad-exit=1 \
    --gres "gpu:$gpus_per_node" --ntasks "$gpus" --ntasks-per-node "$gpus_per_node" \
    --cpus-per-task "${CPUS_PER_TASK:-5}" "${srun_args[@]}" \
    "${PYTHON:-python}" -u "$(dirname "${BASH_SOURCE[0]}")/test.py" "$config" "$checkpoint" \
    --launcher slurm "$@"
