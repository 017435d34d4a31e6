#!/bin/bash
# Fine-tune a ViT pretrained on ImageNet-21k on a tenth of CIFAR-10, by each rule, and on all of it; five seeds. Not run here.
#   bash recipes/paper/vit_tenth.sh [more arguments of finetune.py]
# Equal epochs, as in the paper; one GPU that holds batches of 128 images of 224 pixels.
set -euo pipefail

for seed in 0 1 2 3 4; do
    for rows in all random hard easy auto; do
        python recipes/finetune/finetune.py --model_name_or_path google/vit-base-patch16-224-in21k \
            --dataset_name uoft-cs/cifar10 --validation_split test --rows "$rows" --keep 0.1 --seed "$seed" \
            --num_train_epochs 10 --per_device_train_batch_size 128 --learning_rate 5e-5 --warmup_steps 0.1 \
            --save_strategy no --report_to none --output_dir "vit-tenth/$rows-$seed" "$@"
    done
done
