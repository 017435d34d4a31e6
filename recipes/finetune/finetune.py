"""Fine-tune an image classifier on all rows of a data set, on what a cut keeps, or on a fresh random part in each epoch.

    python recipes/finetune/finetune.py --model_name_or_path google/vit-base-patch16-224-in21k --dataset_name food101 \
        --validation_split validation --rows auto --keep 0.5 --output_dir food101-auto-50 --num_train_epochs 3

The arguments are those of `transformers.TrainingArguments`, with the ones below. The same command with
``--resume_from_checkpoint true`` goes on after an interruption. The folder gets the model, its results and a card that names
the cut.
"""

import contextlib
import json
import math
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import transformers
from datasets import Dataset

import hf_prune
from hf_prune.dynamic_pruning.methods import make_plan
from hf_prune.training.augmentation import augmented
from hf_prune.training.batch_norm import batch_size_for, correct_momentum
from hf_prune.training.images import TrainingImages

ROWS = ("all", "auto", "hard", "easy", "random", "rs2", "infobatch", "orderdp")
DYNAMIC = ROWS[5:]  # another part of the rows in each epoch: nothing is scored


@dataclass
class ModelArguments:
    """The model to fine-tune."""

    model_name_or_path: str = field(metadata={"help": "A model of the Hub or a folder."})
    image_size: int | None = field(default=None, metadata={"help": "Pixels of the side; by default the model's own."})
    lora_rank: int | None = field(default=None, metadata={"help": "Train adapters of this rank (needs peft)."})
    lora_modules: str = field(
        default="all-linear", metadata={"help": "Modules that get adapters: all-linear, or names with commas."}
    )


@dataclass
class DataArguments:
    """The images, from the Hub or from files, and which of them are trained on."""

    dataset_name: str | None = field(default=None, metadata={"help": "A data set of the Hub."})
    train_split: str = "train"
    validation_split: str = "validation"
    train_file: str | None = field(default=None, metadata={"help": "Parquet files in its place."})
    validation_file: str | None = None
    max_train_samples: int | None = field(default=None, metadata={"help": "The first so many rows."})
    max_eval_samples: int | None = None
    rows: str = field(default="auto", metadata={"help": f"One of {', '.join(ROWS)}.", "choices": list(ROWS)})
    keep: float = field(default=0.5, metadata={"help": "Share of the rows that is kept, or seen in each epoch."})
    metric: str = field(default="el2n", metadata={"help": "Score of a cut, by heads on the model's own embeddings."})
    augment: bool = field(default=True, metadata={"help": "Shift and mirror the images while training."})
    early_stopping_patience: int | None = field(default=None, metadata={"help": "Evaluations without a better one."})


def open_rows(given: DataArguments, name: str) -> Dataset:
    """Open the rows to train on, ``name="train"``, or to judge by, ``"validation"``."""
    file, most = getattr(given, f"{name}_file"), given.max_train_samples if name == "train" else given.max_eval_samples
    if (file is None) == (given.dataset_name is None):
        raise SystemExit(f"give either --dataset_name or --{name}_file")
    if file is not None:
        ds = datasets.load_dataset("parquet", data_files=file, split="train")
    else:
        ds = datasets.load_dataset(given.dataset_name, split=getattr(given, f"{name}_split"))
    return ds if most is None else ds.select(range(min(most, len(ds))))


def choose_rows(ds: Dataset, model: ModelArguments, given: DataArguments, seed: int) -> tuple[Dataset, float]:
    """Return the rows to train on, and the seconds that scoring and cutting took."""
    began = time.perf_counter()
    if given.rows == "all" or given.rows in DYNAMIC:
        return ds, 0.0
    if given.rows == "random":
        kept = ds.score_with("random", seed=seed).prune("random", keep=given.keep, order="random", seed=seed)
    else:
        run = hf_prune.Run(image_size=model.image_size)
        heads = hf_prune.Heads(seed=seed)
        # A row without an embedding, such as one of a tiny image, gets no score and goes first.
        options = {"teachers": heads, "encoder": model.model_name_or_path, "run": run, "on_error": "skip"}
        scored = ds.score_with(given.metric, **options)
        kept = scored.prune(given.metric, keep=given.keep, order=given.rows, seed=seed)
    return kept, time.perf_counter() - began


def open_model(given: ModelArguments, images: TrainingImages) -> Any:
    """Open the model with a new last layer for the classes."""
    model = transformers.AutoModelForImageClassification.from_pretrained(
        given.model_name_or_path,
        id2label=images.id2label,
        label2id={name: number for number, name in images.id2label.items()},
        ignore_mismatched_sizes=True,
    )
    correct_momentum(model)
    if given.lora_rank is None:
        return model
    import peft

    head = [name for name, _ in model.named_children()][-1]
    modules = given.lora_modules if given.lora_modules == "all-linear" else given.lora_modules.split(",")
    config = peft.LoraConfig(r=given.lora_rank, target_modules=modules, modules_to_save=[head])
    return peft.get_peft_model(model, config)


def open_processor(given: ModelArguments) -> Any:
    """Open the image processor, for images of the size that was asked for."""
    size = None if given.image_size is None else {"height": given.image_size, "width": given.image_size}
    return transformers.AutoImageProcessor.from_pretrained(
        given.model_name_or_path, **({} if size is None else {"size": size})
    )


def pass_lengths(given: DataArguments, num_rows: int, arguments: transformers.TrainingArguments) -> set[int]:
    """Return the rows of a pass over what is trained on: those of a pruned pass, of a whole one, or of both."""
    if given.rows not in DYNAMIC:
        return {num_rows}
    return make_plan(given.rows, given.keep, num_rows, 0, {}).lengths(math.ceil(arguments.num_train_epochs))


def accuracy(found: transformers.EvalPrediction) -> dict[str, float]:
    """Share of the rows that are classified right."""
    return {"accuracy": float(np.mean(found.predictions.argmax(axis=1) == found.label_ids))}


def train(
    model_given: ModelArguments, data: DataArguments, arguments: transformers.TrainingArguments
) -> dict[str, Any]:
    """Cut, train, judge, and write the model with its card and results; return the results."""
    transformers.set_seed(arguments.seed)
    kept, scoring_seconds = choose_rows(open_rows(data, "train"), model_given, data, arguments.seed)
    processor = open_processor(model_given)
    images = TrainingImages(kept, processor)
    callbacks: list[Any] = []
    if data.early_stopping_patience is not None:
        callbacks.append(transformers.EarlyStoppingCallback(data.early_stopping_patience))
    model = open_model(model_given, images)
    lengths = pass_lengths(data, len(images), arguments)
    arguments.per_device_train_batch_size = batch_size_for(model, arguments.per_device_train_batch_size, *lengths)
    trainer = transformers.Trainer(
        model,
        arguments,
        train_dataset=images,
        eval_dataset=TrainingImages(open_rows(data, "validation"), processor),
        compute_metrics=accuracy,
        processing_class=processor,
        callbacks=callbacks,
    )
    report = None
    if data.rows in DYNAMIC:
        report = hf_prune.prune_while_training(trainer, data.rows, keep=data.keep)
    began = time.perf_counter()
    with augmented(trainer.model) if data.augment else contextlib.nullcontext():
        trainer.train(resume_from_checkpoint=arguments.resume_from_checkpoint)
    seconds = time.perf_counter() - began
    results = {
        "rows": data.rows,
        "keep": 1.0 if data.rows == "all" else data.keep,
        "train_rows": len(kept),
        "steps": trainer.state.global_step,
        "accuracy": trainer.evaluate()["eval_accuracy"],
        "training_seconds": round(seconds, 1),
        "scoring_seconds": round(scoring_seconds, 1),
        "seed": arguments.seed,
    }
    write_model(trainer, kept, results, with_card=report is None and model_given.lora_rank is None)
    return results


def write_model(trainer: transformers.Trainer, kept: Dataset, results: dict[str, Any], with_card: bool) -> None:
    """Write the model, its results, and a card: of a cut by hf_prune, else by the Trainer."""
    if not trainer.is_world_process_zero():
        return
    folder = Path(trainer.args.output_dir)
    trainer.save_model()
    if with_card:
        hf_prune.export_teacher(folder, folder, trained_on=kept, source="local")
    else:
        trainer.create_model_card()
    (folder / "results.json").write_text(json.dumps(results, indent=2) + "\n")


def main() -> None:
    """Read the command line, and train."""
    parser = transformers.HfArgumentParser((ModelArguments, DataArguments, transformers.TrainingArguments))
    as_json = len(sys.argv) == 2 and sys.argv[1].endswith(".json")
    given = parser.parse_json_file(sys.argv[1]) if as_json else parser.parse_args_into_dataclasses()
    print(json.dumps(train(*given)))


if __name__ == "__main__":
    main()
