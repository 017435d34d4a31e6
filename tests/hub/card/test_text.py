"""How values become text and Python of a card."""

import ast
import re

import jinja2
import pytest
from markdown_it import MarkdownIt

from hf_prune.hub.card.code import reproduction
from hf_prune.hub.card.environment import environment
from hf_prune.hub.card.text import MAX_CLASSES, code, most_cut, percent, python
from hf_prune.hub.publish.export import export
from tests.helpers.card_records import ENCODER, NASTY, made, with_score
from tests.helpers.tiny_publications import COMMIT, SOURCE, images


def test_a_template_that_forgets_to_escape_fails():
    with pytest.raises(TypeError, match="without a filter"):
        environment().from_string("{{ name }}").render(name="x")
    with pytest.raises(jinja2.UndefinedError):
        environment().from_string("{{ nothing | code }}").render()


def test_the_lines_that_make_it_again_do(tmp_path):
    ds = with_score(
        images(), "prototypes", [float(row) for row in range(12)], inputs={"embeddings": {"encoder": ENCODER}}
    )
    folder = export(
        ds.prune("prototypes", keep=4, order="easy", class_balance=0),
        tmp_path / "o",
        source=SOURCE,
        config_name="default",
    )
    lines = reproduction(made(folder)["splits"]["train"])
    assert lines[3] == f'ds = load_dataset("uoft-cs/cifar10", revision="{COMMIT}", split="train")'
    assert lines[4] == (
        f'ds = ds.score_with("prototypes", encoder="facebook/dino-vits16", '
        f'run=hf_prune.Run(revision="{"c" * 40}", dtype="bfloat16"), seed=0)'
    )
    assert lines[5] == 'ds = ds.prune("prototypes", keep=4, order="easy", class_balance=0.0, seed=0)'
    namespace = {"ds": images().add_column("prototypes", [float(row) for row in range(12)])}
    exec(lines[5], namespace)
    assert namespace["ds"]["prototypes"][:] == [0.0, 1.0, 2.0, 3.0]


def test_what_only_the_user_has_is_named_in_a_comment():
    inputs = {
        "embeddings": {"encoder": ENCODER | {"commit": None, "weights_sha256": "e" * 64}},
        "labels": {"given_sha256": "f"},
    }
    step = {
        "kind": "score",
        "metric": "m",
        "column": "c",
        "inputs": inputs,
        "options": {"k": 1},
        "seed": 2,
        "unscored": [1],
    }
    lines = reproduction({"source": {"known": "local"}, "steps": [step], "changed outside hf_prune": True})
    assert lines[3:] == [
        "ds = load_dataset(...)  # the source is local",
        f'# encoder: your own "facebook/dino-vits16", weights SHA-256 "{"e" * 64}"',
        '# "labels" was handed in, SHA-256 "f"',
        'ds = ds.score_with("m", encoder=..., run=hf_prune.Run(dtype="bfloat16"), inputs={"labels": ...}, column="c", '
        'on_error="skip", seed=2, k=1)',
        "# what was done outside hf_prune is not known",
    ]


@pytest.mark.parametrize("value", [*NASTY, "", "é", "日本", "\ud800", "\U0001f600", "a" * 300])
def test_a_code_span_is_one_and_python_is_the_value(value):
    span = str(code(value))
    assert re.fullmatch(r"`[^`|<>&\n\r]+`", span)
    (token,) = MarkdownIt("commonmark").parseInline(span)
    assert [child.type for child in token.children] == ["code_inline"]
    assert ast.literal_eval(str(python(value))) == value
    assert str(python(value)).isascii()
    assert not set("<>&`\n") & set(str(python(value)))


def test_numbers():
    assert [str(percent(*pair)) for pair in ((1, 3), (1, 2), (0, 5), (1, 0))] == ["33.3 %", "50 %", "0 %", "none"]
    assert str(code(0.8)) == "`0.8`"


def test_the_classes_that_lost_most():
    classes = [[str(number), 10, 10 if number % 2 else 1] for number in range(2 * MAX_CLASSES)]
    assert [name for name, _, _ in most_cut(classes)] == [str(number) for number in range(0, 2 * MAX_CLASSES, 2)]
    assert most_cut(classes[:MAX_CLASSES]) == classes[:MAX_CLASSES]
