#!/bin/bash
# Score on a Slurm cluster in 64 independent jobs of one GPU each, then merge:
#   job=$(sbatch --parsable --array=0-63 recipes/jobs/slurm.sh)
#   sbatch --dependency=afterok:$job recipes/jobs/slurm.sh
# What failed runs again by its numbers, such as sbatch --array=3,17 …: it goes on where it was stopped.
#SBATCH --job-name=hf-prune
#SBATCH --gpus=1
#SBATCH --cpus-per-task=8
#SBATCH --requeue
set -euo pipefail

count=64
shards=${SHARDS:-$PWD/shards}   # on a disk that all machines see
# Asked of every shard and of the merge alike.
request=(uoft-cs/cifar10 prototypes --split train --encoder facebook/dinov2-small --num-prototypes 100 --num-workers 6)

if [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then
    hf-prune score "${request[@]}" --shard "$SLURM_ARRAY_TASK_ID/$count" --out "$shards"
else
    hf-prune merge "${request[@]}" --folder "$shards" --out scored
fi
