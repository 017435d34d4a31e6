"""Train the encoder that the package brings along: SimCLR on images without labels, on CPU cores, within a given time.

    OMP_NUM_THREADS=1 torchrun --nproc-per-node 2 recipes/tiny-encoder/train.py --rows train.parquet --hours 1.5 --out runs/tiny

The same command goes on after an interruption, from the last finished round. Labels are read for one column of the log alone.
"""

import argparse
import csv
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from accelerate.utils import broadcast, reduce
from datasets import load_dataset
from knn import knn_accuracy
from torch import nn
from torch.nn import functional
from tqdm import tqdm
from views import random_views

from hf_prune.runtime.processes import process_state

PAIRS = 256  # images of a step, over all processes; each is seen in two views, and told from the others of its process
ROUND = 64  # steps between two checkpoints
WATCHED = 4  # rounds between two looks at the neighbours
TEMPERATURE = 0.2
RATE = 2e-3  # of learning, at its peak after 3 % of the time; then half a cosine, to 0
WARM_UP = 0.03
SIDES = {
    0.7: 24,
    math.inf: 32,
}  # until a share of the time -> pixels of a view: small ones take two thirds of the time
WHOLE = 48  # pixels of a whole image where it is embedded: the best on rows held out, see sizes.py
HELD_OUT = 2_000  # last rows: never trained on, only watched
BANK = 6_000  # first rows: the neighbours of those held out


class SimCLR(nn.Module):
    """An encoder of `transformers` and the projection that only training needs.

    References:
        Chen et al., A Simple Framework for Contrastive Learning of Visual Representations (arXiv:2002.05709).
    """

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder = encoder.to(memory_format=torch.channels_last)
        self.projection = nn.Sequential(
            nn.Linear(encoder.config.hidden_sizes[-1], 512, bias=False),
            nn.BatchNorm1d(512),
            nn.ReLU(inplace=True),
            nn.Linear(512, 128),
        )

    def forward(self, views: torch.Tensor) -> torch.Tensor:
        """Map views (2B, 3, h, w), all first ones before all second ones, to the loss in nats."""
        return contrast(self.projection(embed(self.encoder, views)))


def embed(encoder: Any, pixels: torch.Tensor) -> torch.Tensor:
    """Map pixels (B, 3, h, w) in [-1, 1] to pooled features (B, d), computed in bfloat16."""
    with torch.autocast("cpu", torch.bfloat16):
        pooled = encoder(pixels.contiguous(memory_format=torch.channels_last)).pooler_output
    return pooled.flatten(1).float()


def contrast(projected: torch.Tensor) -> torch.Tensor:
    """Return NT-Xent of (2B, d): the cross-entropy of finding each view's partner among all others of the batch."""
    unit = functional.normalize(projected, dim=1)
    similarity = (unit @ unit.T / TEMPERATURE).fill_diagonal_(-torch.inf)
    return functional.cross_entropy(similarity, torch.arange(len(unit)).roll(len(unit) // 2))


def make_encoder() -> Any:
    """Build the network, 1.2 million weights: 48 pixels become a map of 12 x 12, then 6 x 6, then 3 x 3, then their mean."""
    return transformers.ResNetModel(
        transformers.ResNetConfig(embedding_size=64, hidden_sizes=[64, 128, 256], depths=[1, 1, 1], layer_type="basic")
    )


def read_images(file: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Return all images (n, 3, 32, 32) uint8 and their labels (n,)."""
    rows = load_dataset("parquet", data_files=str(file), split="train")
    pixels = np.stack([np.asarray(image.convert("RGB")) for image in tqdm(rows["img"], desc="decode")])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(), torch.tensor(rows["label"][:])


class Training:
    """A training whose state is a file; the learning rate follows the share of the time that is gone."""

    def __init__(self, folder: Path, seconds: float, seed: int) -> None:
        self.file, self.seconds, self.seed = folder / "checkpoint.pt", seconds, seed
        self.processes = process_state("cpu")
        torch.manual_seed(seed)
        self.model = SimCLR(make_encoder())
        self.optimizer = torch.optim.AdamW(self.model.parameters(), RATE, weight_decay=1e-4)
        self.done: dict[str, Any] = {"round": 0, "seconds": 0.0, "cpu_seconds": 0.0, "log": []}
        if self.file.is_file():
            saved = torch.load(self.file, weights_only=True)
            self.model.load_state_dict(saved["model"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.done = saved["done"]
        self.begun = time.monotonic() - self.done["seconds"]
        several = self.processes.num_processes > 1
        self.parallel = nn.parallel.DistributedDataParallel(self.model) if several else self.model

    def share(self) -> float:
        """Return how much of the time is gone, the same number in all processes."""
        gone = torch.tensor((time.monotonic() - self.begun) / self.seconds)
        return float(broadcast(gone))

    def run_round(self, images: torch.Tensor) -> float:
        """Train on images drawn afresh without replacement; return the mean loss of this process."""
        rank, count = self.processes.process_index, self.processes.num_processes
        number = self.seed + self.done["round"]
        drawn = torch.randperm(len(images), generator=torch.Generator().manual_seed(number))[: ROUND * PAIRS]
        torch.manual_seed(number * count + rank)  # of the views, so that a resumed round draws the same
        batches = tqdm(drawn.split(PAIRS), desc=f"round {self.done['round'] + 1}", disable=rank > 0)
        losses = [self.step(images[rows[rank::count]], self.share()) for rows in batches]
        return sum(losses) / len(losses)

    def step(self, images: torch.Tensor, gone: float) -> float:
        """Make one step on images (B, 3, 32, 32), `gone` being the share of the time; return the loss in nats."""
        for group in self.optimizer.param_groups:
            group["lr"] = RATE * min(1.0, gone / WARM_UP) * (1 + math.cos(math.pi * min(1.0, gone))) / 2
        side = next(side for until, side in SIDES.items() if gone < until)
        loss = self.parallel(torch.cat([random_views(images, side), random_views(images, side)]))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return float(loss.item())

    def finish_round(self, loss: float, cpu_seconds: float, watch: Callable[[], float]) -> None:
        """Enter a round into the log and write the state, whole or not at all."""
        mean, cpu = reduce(torch.tensor([loss / self.processes.num_processes, cpu_seconds])).tolist()
        if not self.processes.is_main_process:
            self.done["round"] += 1
            return
        done = self.done
        done["round"], done["cpu_seconds"] = done["round"] + 1, done["cpu_seconds"] + cpu
        knn = f"{watch():.4f}" if done["round"] % WATCHED == 0 else ""
        done["seconds"] = time.monotonic() - self.begun
        images = done["round"] * ROUND * PAIRS
        line = [done["round"], images, f"{done['seconds']:.0f}", f"{done['cpu_seconds']:.0f}", f"{mean:.4f}", knn]
        done["log"].append([str(value) for value in line])
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "done": done}
        part = self.file.with_suffix(".part")
        torch.save(state, part)
        part.replace(self.file)
        write_log(self.file.with_name("log.csv"), done["log"])


def write_log(file: Path, lines: list[list[str]]) -> None:
    """Write the log anew: a killed run may have left a line that its checkpoint does not know."""
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened, lineterminator="\n")
        writer.writerow(["round", "images", "seconds", "cpu_seconds", "loss", "knn_held_out"])
        writer.writerows(lines)


@torch.no_grad()
def embed_all(encoder: Any, images: torch.Tensor) -> torch.Tensor:
    """Embed images (n, 3, 32, 32) uint8 as they are, in evaluation mode; leaves the encoder in training mode."""
    encoder.eval()
    parts = [embed(encoder, part / 127.5 - 1) for part in images.split(500)]
    encoder.train()
    return torch.cat(parts)


def train(rows: Path, out: Path, hours: float, seed: int) -> None:
    """Train until the time is over and save the encoder in half precision beside the log."""
    out.mkdir(parents=True, exist_ok=True)
    images, labels = read_images(rows)
    training = Training(out, hours * 3600, seed)

    def watch() -> float:
        bank, held = slice(BANK), slice(-HELD_OUT, None)
        embedded = [embed_all(training.model.encoder, images[part]) for part in (bank, held)]
        return knn_accuracy(embedded[0], labels[bank], embedded[1], labels[held])

    while training.share() < 1:
        cpu = time.process_time()
        loss = training.run_round(images[:-HELD_OUT])
        training.finish_round(loss, time.process_time() - cpu, watch)
    if training.processes.is_main_process:
        training.model.encoder.half().save_pretrained(out / "encoder")
        processor = transformers.ViTImageProcessorPil(size={"height": WHOLE, "width": WHOLE})
        processor.save_pretrained(out / "encoder")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, required=True, help="Parquet file of CIFAR-10's training rows")
    parser.add_argument("--out", type=Path, required=True, help="folder of checkpoint, log and encoder")
    parser.add_argument("--hours", type=float, default=1.5, help="time to train, without interruptions")
    parser.add_argument("--seed", type=int, default=0)
    train(**vars(parser.parse_args()))
