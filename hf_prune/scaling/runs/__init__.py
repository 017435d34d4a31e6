"""Trainings on pruned data sets of many sizes: the grid behind a scaling study, its file, and what it shows."""

from hf_prune.scaling.runs.findings import Contrast, contrast, sentences
from hf_prune.scaling.runs.grid import measure_scaling
from hf_prune.scaling.runs.report import write_report
from hf_prune.scaling.runs.results import ScalingRun, read_runs

__all__ = ["Contrast", "ScalingRun", "contrast", "measure_scaling", "read_runs", "sentences", "write_report"]
