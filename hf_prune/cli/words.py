"""Words of Python, in docstrings and messages, as somebody types them on the command line."""

import ast
import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any

Flags = Mapping[str, str]

# Functions whose commands are called otherwise than by their names with dashes.
_COMMANDS = {
    "score_with": "score",
    "score_shard": "score --shard",
    "merge_shards": "merge",
    "push_to_hub": "push",
    "measure_scaling": "scaling",
    "list_metrics": "metrics",
}
_NAMED = "keep_curve|label_noise|load_scores|train_teachers|train_subset_runs|push_teacher"
_ONE_WORD = "prune|combine|export|verify|rebuild|apply|recommend|report|duplicates|explain|correlate|estimate"
_FUNCTION = re.compile(
    rf"(?<![\w/.-])(?:(?:ds|hf_prune)\.({_ONE_WORD})|(?:ds\.|hf_prune\.)?({_NAMED}|{'|'.join(_COMMANDS)}))\b(?:\(\))?(?!\.\w|:)"  # no key of a recipe
)
# name=value, with a value as Python writes it, or name= alone.
_VALUE = r"'[^']*'|\"[^\"]*\"|\{[^{}]*\}|\[[^\[\]]*\]|[\w+-]+(?:\.\w+)*|"
_ARGUMENT = re.compile(rf"(?<![\w.'\"/-])(\w+)=({_VALUE})")
_RUN = re.compile(r"\brun=(?:hf_prune\.)?Run\(([^()]*)\)")
_OR_NONE = re.compile(r",? or None\b")

# What only Python can pass, and its names for what is typed.
_IN_HELP = (
    (
        r', "pixels", a \(torch module, transform\) pair, or a function from a list of images to vectors',
        ' or "pixels"',
    ),
    (r", or a list of them(?=[;.])", ""),
    (r", or a Heads with settings(,|(?=:))", ""),
    (r"a TrainingRecord, its folder, the folder of train-teachers, or a list", "a folder, or that of train-teachers"),
    (
        r"embeddings of shape \(t, d\); or numbers of rows of",
        "a .npy file of embeddings; or numbers of rows, such as 3,17, of",
    ),
    (r"a column or an array of numbers", "a column of numbers"),
    (r"a Prototypes, its folder, or a repository", "their folder or a repository"),
    (r" \(hf_prune\.\S+\), a config of transformers, or a function that builds a new model for each training", ""),
    (r"\bds\b", "DATA"),
    (r"\bWith True\b", "With it"),
    (r"\bFalse not at all", '"false" not at all'),
    (r"\ba (?:single )?Dataset\b", "a data set of one split"),
    (r"\ba DatasetDict\b", "a data set of several splits"),
    (r" as float,? or (a count of rows) as int", r", written with a point, or \1, without one"),
    (r"(?<=\. )None\b", "Leaving it out"),
    (r"\bNone\b", "leaving it out"),
)


def flag(name: str) -> str:
    """Return the option of a parameter.

    Example:
        >>> flag("class_balance")
        '--class-balance'
    """
    return f"--{name.replace('_', '-')}"


def in_help(text: str, names: Mapping[str, Any] | None = None) -> str:
    """Write a sentence of a docstring for somebody who types options.

    Args:
        text: The sentence; code in it may stand between backticks.
        names: Parameters that are options.

    Example:
        >>> in_help("As ``ds.score_with(keep=0.5)``; None leaves ``order=`` to `ds`.", {"order": ...})
        'As score(keep=0.5); leaving it out leaves --order to DATA.'
    """
    options = {name: flag(name) for name in ("order", *(names or ()))}
    text = _arguments(_commands(text.replace("`", "")), options)
    for pattern, said in _IN_HELP:
        text = re.sub(pattern, said, text)
    return text


def in_message(text: str, flags: Flags) -> str:
    """Write a message of a function for somebody who typed a command.

    Args:
        text: The message.
        flags: Options of the command, by the names of their parameters.

    Example:
        >>> in_message("keep=1.4; pass run=Run(dtype='auto') or a=1", {"keep": "--keep", "dtype": "--dtype"})
        '--keep 1.4; pass --dtype auto or a=1'
    """
    text = _RUN.sub(lambda found: found[1].replace(", ", " "), text)
    return _OR_NONE.sub(", or leave it out", _arguments(_commands(text, "hf-prune "), flags))


def _commands(text: str, start: str = "") -> str:
    def said(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        return f"{start}{_COMMANDS.get(name, name.replace('_', '-'))}"

    return _FUNCTION.sub(said, text)


def _arguments(text: str, flags: Flags) -> str:
    def said(found: re.Match[str]) -> str:
        name, value = found.groups()
        return found[0] if name not in flags else _typed(flags[name], value)

    return _ARGUMENT.sub(said, text)


def _typed(option: str, value: str) -> str:
    """Write an option with a value as Python writes it.

    Example:
        >>> [
        ...     _typed("--x", text)
        ...     for text in ("", "'a b'", "0.5", "None", "False", "['a', 2]", "{'e': array}", "array")
        ... ]
        ['--x', "--x 'a b'", '--x 0.5', 'no --x', '--no-x', '--x a --x 2', '--x e=file.npy', '--x array']
    """
    if not value or value == "True":
        return option
    if value in ("None", "False"):
        return f"no {option}" if value == "None" else f"--no-{option[2:]}"
    try:
        known = ast.literal_eval(re.sub(r"\barray\b", "'file.npy'", value) if value[0] == "{" else value)
    except (ValueError, SyntaxError):  # a word, such as a name in an example
        known = value
    if isinstance(known, dict):
        return _repeated(option, (f"{name}={item}" for name, item in known.items()))
    return _repeated(option, known if isinstance(known, list) else [known])


def _repeated(option: str, values: Any) -> str:
    quote: Callable[[str], str] = shlex.quote
    return " ".join(f"{option} {quote(str(value))}" for value in values) or option
