#!/bin/bash
# Score on two machines that work as one, started on each at about the same time:
#   bash recipes/jobs/two_machines.sh 0 10.0.0.1    # on the machine with the address 10.0.0.1
#   bash recipes/jobs/two_machines.sh 1 10.0.0.1    # on the other
# Each needs the data set; they need no common disk. Without GPUs: ACCELERATE_USE_CPU=1 PROCESSES=4 bash …
set -euo pipefail

rank=$1 address=$2
torchrun --nnodes 2 --node_rank "$rank" --master_addr "$address" --master_port "${PORT:-29500}" \
    --nproc_per_node "${PROCESSES:-gpu}" --no-python hf-prune score \
    uoft-cs/cifar10 prototypes --split train --encoder facebook/dinov2-small --num-prototypes 100 --out scored
