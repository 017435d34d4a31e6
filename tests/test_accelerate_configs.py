"""The hardware configs in recipes/accelerate, read by Accelerate itself."""

from pathlib import Path

import pytest
from accelerate.commands import launch
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.utils import DistributedType

FOLDER = Path(__file__).resolve().parents[1] / "recipes" / "accelerate"
EXPECTED = {  # name: (distributed type, on the CPU, processes)
    "cpu": (DistributedType.NO, True, 1),
    "single-gpu": (DistributedType.NO, False, 1),
    "multi-gpu": (DistributedType.MULTI_GPU, False, 2),
}


def parse(name, *options):
    """The arguments that ``accelerate launch --config_file`` would start with, after its own checks."""
    config = str(FOLDER / f"{name}.yaml")
    args = launch.launch_command_parser().parse_args(["--config_file", config, *options, "script.py"])
    return launch._validate_launch_command(args)[0]


def test_every_config_is_expected():
    assert {path.stem for path in FOLDER.iterdir()} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_accelerate_reads_the_config(name):
    config = load_config_from_file(str(FOLDER / f"{name}.yaml"))  # raises on unknown keys
    assert (config.distributed_type, config.use_cpu, config.num_processes) == EXPECTED[name]
    assert config.mixed_precision == "no"


@pytest.mark.parametrize("name", EXPECTED)
def test_launch_accepts_the_config(name):
    args = parse(name)
    kind, use_cpu, processes = EXPECTED[name]
    assert (args.multi_gpu, args.use_cpu, args.num_processes) == (
        kind is DistributedType.MULTI_GPU,
        use_cpu,
        processes,
    )


def test_the_number_of_gpus_can_be_overridden():
    assert parse("multi-gpu", "--num_processes", "8").num_processes == 8


def test_launched_scripts_see_the_device():
    _, environment = launch.prepare_simple_launcher_cmd_env(parse("cpu"))
    assert environment["ACCELERATE_USE_CPU"].lower() == "true"
    _, environment = launch.prepare_simple_launcher_cmd_env(parse("single-gpu"))
    assert environment["CUDA_VISIBLE_DEVICES"] == "0"
