"""The scripts in recipes/jobs: what they start is understood, and the larger engine gives the scores of one process."""

import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from hf_prune import Prototypes, Run
from tests.helpers.tiny_publications import images
from tests.test_commands_in_docs import parse

FOLDER = Path(__file__).resolve().parents[1] / "recipes" / "jobs"
WITNESS = '#!/bin/bash\nprintf "%q " "$@" >> "$STARTED"\necho >> "$STARTED"\n'


@pytest.fixture
def started(tmp_path):
    """Run a script with other programs in the place of those that it starts; the words of each that it started."""
    for name in ("hf-prune", "torchrun"):
        (tmp_path / name).write_text(WITNESS)
        (tmp_path / name).chmod(0o755)

    def run(script: str, *arguments: str, **variables: str) -> list[list[str]]:
        log = tmp_path / "log"
        log.unlink(missing_ok=True)
        places = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "STARTED": str(log), "SHARDS": "/data/shards"}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SLURM")}
        subprocess.run(["bash", FOLDER / script, *arguments], env=kept | places | variables, check=True, timeout=60)
        return [shlex.split(line) for line in log.read_text().splitlines()]

    return run


def test_a_slurm_array_asks_every_shard_and_the_merge_for_the_same(started):
    (first,), (last,) = (started("slurm.sh", SLURM_ARRAY_TASK_ID=number) for number in ("0", "63"))
    (merge,) = started("slurm.sh")
    (name, shard), (name_of_last, other), (name_of_merge, merged) = map(parse, (first, last, merge))
    assert (name, name_of_last, name_of_merge) == ("score", "score", "merge")
    assert (shard.pop("shard"), other.pop("shard")) == ("0/64", "63/64")
    assert str(shard.pop("out")) == str(other.pop("out")) == str(merged.pop("folder")) == "/data/shards"
    assert str(merged.pop("out")) == "scored"
    assert shard == other == merged


def test_two_machines_name_each_other(started):
    for rank in ("0", "1"):
        (words,) = started("two_machines.sh", rank, "10.0.0.1")
        start = words.index("hf-prune")
        assert shlex.join(words[:start]) == (
            f"--nnodes 2 --node_rank {rank} --master_addr 10.0.0.1 --master_port 29500 --nproc_per_node gpu --no-python"
        )
        assert parse(words[start + 1 :])[0] == "score"


def test_the_job_of_the_hub_says_what_it_needs(monkeypatch, capsys):
    text = (FOLDER / "hf_job.py").read_text(encoding="utf-8")
    (block,) = re.findall(r"(?m)^# /// script$\s((?:^#(?:| .*)$\s)+)^# ///$", text)  # the expression of PEP 723
    said = tomllib.loads(
        "".join(line.removeprefix("# ").removeprefix("#") for line in block.splitlines(keepends=True))
    )
    project = tomllib.loads((FOLDER.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert said == {"requires-python": project["requires-python"], "dependencies": [project["name"]]}
    monkeypatch.setattr(sys, "argv", ["hf_job.py", "--version"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(FOLDER / "hf_job.py"), run_name="__main__")
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("hf-prune ")


def test_ray_gives_the_scores_of_one_process(tmp_path):
    pytest.importorskip("ray")
    ds = images(150).add_column("row", list(range(150)))
    run = Run(image_size=2, load_from_cache_file=False)
    scored = ds.score_with("prototypes", encoder="pixels", num_prototypes=5, evidence=False, run=run)
    prototypes = Prototypes.from_scored(scored, run=Run(load_from_cache_file=False))
    prototypes.save_pretrained(tmp_path / "prototypes")
    ds.to_parquet(tmp_path / "rows.parquet")
    places = [str(tmp_path / name) for name in ("rows.parquet", "prototypes", "out")]
    subprocess.run([sys.executable, FOLDER / "ray_score.py", *places], check=True, timeout=240)
    found = pq.read_table(tmp_path / "out").sort_by("row")
    np.testing.assert_allclose(found["prototypes"].to_numpy(), scored["prototypes"][:], atol=1e-6)
    assert found["label"].to_pylist() == ds["label"][:]
