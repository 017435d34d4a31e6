"""Help and messages say what is typed: no argument, type or function of Python."""

import re

import pytest

from hf_prune.cli.app import command
from hf_prune.cli.words import flag, in_help, in_message

FLAGS = {"keep": "--keep", "inputs": "--inputs", "out": "--out", "folder": "--out", "splits": "--splits", "k": "-k"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("keep=1.5; give a fraction", "--keep 1.5; give a fraction"),
        ("pass inputs={'embeddings': array}", "pass --inputs embeddings=file.npy"),
        ("splits=['a', 'b c'] or splits=", "--splits a --splits 'b c' or --splits"),
        ("give another folder=, or None", "give another --out, or leave it out"),
        ("keep=None and keep=True and keep=False", "no --keep and --keep and --no-keep"),
        ("other=3 and 'keep=3' and x.keep=3", "other=3 and 'keep=3' and x.keep=3"),
        ("run ds.score_with first, see hf_prune.verify.", "run hf-prune score first, see hf-prune verify."),
        ("train_teachers.processor: no", "train_teachers.processor: no"),  # a key of a recipe
        ("pass run=hf_prune.Run(keep=2, splits='x')", "pass --keep 2 --splits x"),
        ("", ""),
    ],
)
def test_messages(text, said):
    assert in_message(text, FLAGS) == said


def test_what_others_wrote_is_only_shown():
    assert in_message("keep='$(ls)'", FLAGS) == "--keep '$(ls)'"
    assert in_message("keep={broken", FLAGS) == "--keep{broken"


def test_sentences_of_docstrings():
    assert flag("class_balance") == "--class-balance"
    assert in_help("See `order` of ``prune``: order='auto'; None is a Dataset like ds.") == (
        "See order of prune: --order auto; leaving it out is a data set of one split like DATA."
    )
    assert in_help("A share as float, or a count of rows as int. None takes all.") == (
        "A share, written with a point, or a count of rows, without one. Leaving it out takes all."
    )


def test_help_speaks_no_python():
    """What stands here was found in the help of some command, and says nothing to somebody who types."""
    python = re.compile(
        r"\b(None|True|False|ds|DatasetDict|TrainingRecord|Heads with|list_\w+|score_with|hf_prune\.\w+)\b"
    )
    allowed = {"hf_prune.watch"}  # where there is no command
    for name, each in command().commands.items():
        for text in (each.help or "", *(getattr(parameter, "help", None) or "" for parameter in each.params)):
            assert not {found[0] for found in python.finditer(text)} - allowed, f"{name}: {text}"
