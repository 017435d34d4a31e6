"""The card: golden files compared whole, and nothing that a data set holds becomes Markdown, HTML or YAML."""

import ast
import itertools
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from datasets import ClassLabel, Dataset, Features, Image, Value
from markdown_it import MarkdownIt

from hf_prune.hub.card.build import build_card
from hf_prune.hub.publish.export import export
from tests.helpers.card_records import NASTY, changed, ensembles, many_classes, nasty_record, prototypes

CARDS = Path(__file__).parents[3] / "model_cards"
GOLDEN = {"prototypes": prototypes, "many-classes": many_classes, "ensembles": ensembles, "changed": changed}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_cards(name, tmp_path, request):
    card = build_card(GOLDEN[name](tmp_path))
    path = CARDS / f"{name}.md"
    if request.config.getoption("--update-cards"):
        path.write_text(card, encoding="utf-8")
    assert card == path.read_text(encoding="utf-8")
    assert "More Information Needed" not in card
    check_page(card)


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_cards_are_the_same_with_any_libraries(name, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.metadata.version", lambda package: f"99.{len(package)}.0.dev1+elsewhere")
    monkeypatch.setattr("hf_prune.version.__version__", "98.7")
    for module in ("datasets", "huggingface_hub", "numpy", "PIL", "pyarrow"):
        monkeypatch.setattr(f"{module}.__version__", "97.6.5")
    card = build_card(GOLDEN[name].__wrapped__(tmp_path))  # made anew, not the record that another test made
    assert card == (CARDS / f"{name}.md").read_text(encoding="utf-8")


def section_of(card: str) -> str:
    return card.split("<!-- hf_prune begin: ")[1].split("\n", 1)[1].split("<!-- hf_prune end: ")[0]


def check_page(card: str) -> list:
    """Read a page as a browser would: only our own tags and links, all tables whole."""
    tokens = MarkdownIt("commonmark").enable("table").parse(card.split("\n---\n", 1)[1])
    columns: list[int] = []
    for token in tokens:
        if token.type == "html_block":
            known = (
                r"<!-- hf_prune (begin|end): (?:[\w .-]+|\(all configurations\)) -->"
                r"|<details>|</details>|<summary>[\w ,.]+; [\w .]+</summary>"
            )
            assert re.sub(known, "", token.content).strip() == ""
        for child in token.children or ():
            assert child.type != "html_inline"
            assert child.type != "image" or re.fullmatch(r"images/[\w%.-]+\.png", child.attrs["src"])
            if child.type == "link_open":
                assert child.attrs["href"].startswith(("https://huggingface.co/datasets/", "https://arxiv.org/abs/"))
        if token.type == "tr_open":
            columns.append(0)
        columns[-1:] = [columns[-1] + (token.type in ("th_open", "td_open"))] if columns else []
    return tokens


def test_nothing_in_a_data_set_becomes_markup(tmp_path):
    data = nasty_record(tmp_path)
    card = build_card(data)
    tokens = check_page(card)
    assert card.count("<!-- hf_prune begin: default -->") == 1
    assert len(re.findall(r"(?m)^<!-- hf_prune end: default -->$", card)) == 1
    headings = [after.content for token, after in itertools.pairwise(tokens) if token.type == "heading_open"]
    expected = ["Pruned data set", "How this data set was made", "Load it", "Scores", "Rows per class"]
    expected += ["Evidence against random", "What the scores are not", "Steps", "Make it again", "Digests", "Citation"]
    assert headings == expected
    fences = [token for token in tokens if token.type == "fence"]
    assert [token.info for token in fences] == ["python", "python", "bash", "bibtex", "bibtex"]
    ast.parse(fences[1].content)
    outside = re.sub(r"(?s)```.*?```|`[^`\n]*`|</?(details|summary)>", "", section_of(card))
    assert not re.search(r"[<>{}]|://|www\.", re.sub(r"\(https://huggingface[^)]*\)", "", outside))
    # a class is one row of the table, whatever its name
    assert len(re.findall(r"(?m)^\| `.*` \| 2 \| \d \| [\d.]+ % \|$", section_of(card))) == len(NASTY)


def test_yaml_holds_the_names_as_they_are(tmp_path):
    data = nasty_record(tmp_path)
    card = build_card(data)
    folder = tmp_path / "again"
    folder.mkdir()
    header = yaml.safe_load(re.match(r"---\n(.*?)\n---\n", card, re.DOTALL)[1])
    label = next(item for item in header["dataset_info"]["features"] if item["name"] == "la|bel <!--\n")
    assert list(label["dtype"]["class_label"]["names"].values()) == NASTY
    assert header["configs"] == [
        {"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*"}]}
    ]


def test_writing_again_changes_nothing(tmp_path):
    data = nasty_record(tmp_path)
    card = build_card(data)
    assert build_card(data, card) == card


EXISTING = """---
license: mit
pretty_name: Mine
x-unknown: {a: [1, 2]}
tags:
- mine
configs:
- config_name: raw
  drop_labels: true
  data_files: "*.csv"
size_categories: n<1K
---
# My title

My words, with `code` and <b>html</b>.
"""


def test_prose_keys_and_configurations_of_others_stay(tmp_path):
    data = prototypes(tmp_path)
    card = build_card(data, EXISTING)
    header = yaml.safe_load(card.split("---\n")[1])
    assert list(header)[:3] == ["license", "pretty_name", "x-unknown"]
    assert header["x-unknown"] == {"a": [1, 2]}
    assert header["tags"] == ["mine", "hf_prune", "data-pruning"]
    assert header["configs"][0] == {"config_name": "raw", "drop_labels": True, "data_files": "*.csv"}
    assert header["configs"][1]["config_name"] == "default"
    assert header["source_datasets"] == ["uoft-cs/cifar10"]
    assert header["task_categories"] == ["image-classification"]
    assert card.split("---\n", 2)[2].startswith(
        "# My title\n\nMy words, with `code` and <b>html</b>.\n\n<!-- hf_prune"
    )
    edited = card.replace("My words", "Other words") + "\nA last word.\n"
    other = data | {
        "config_name": "second",
        "splits": {"train": data["splits"]["train"] | {"data_files": ["second/*"]}},
    }
    again = build_card(other, edited)
    assert "Other words" in again
    assert again.index("<!-- hf_prune end: default -->") < again.index("A last word.") < again.index("begin: second")
    infos = yaml.safe_load(again.split("---\n")[1])["dataset_info"]
    assert [info["config_name"] for info in infos] == ["default", "second"]
    replaced = build_card(data | {"left_out": ["gone"]}, again)
    assert replaced.count("begin: default") == replaced.count("begin: second") == 1
    assert "`gone`" in replaced.split("begin: second")[0]


def test_line_ends_are_kept(tmp_path):
    card = build_card(prototypes(tmp_path), EXISTING.replace("\n", "\r\n"))
    assert card.count("\n") == card.count("\r\n")


def test_a_card_without_a_header(tmp_path):
    card = build_card(prototypes(tmp_path), "# Mine\n")
    assert card.startswith("---\n")
    assert "\n# Mine\n" in card


@pytest.mark.parametrize(
    ("existing", "message"),
    [
        ("---\na: [\n---\n", "header of README.md cannot be read"),
        ("---\na: 1\n---\n<!-- hf_prune begin: default -->\n", "once each, in this order"),
        ("---\na: 1\n---\n<!-- hf_prune end: default -->\n<!-- hf_prune begin: default -->\n", "once each"),
    ],
)
def test_pages_that_cannot_be_brought_up_to_date(tmp_path, existing, message):
    with pytest.raises(ValueError, match=message) as error:
        build_card(prototypes(tmp_path), existing)
    assert "\n" not in str(error.value)


def test_a_name_that_would_break_the_markers(tmp_path):
    with pytest.raises(ValueError, match="config_name="):
        build_card(prototypes(tmp_path) | {"config_name": "a --> b"})


@pytest.mark.parametrize(
    ("rows", "name"), [(999, "n<1K"), (1000, "1K<n<10K"), (10**8, "100M<n<1B"), (10**9, "1B<n<10B")]
)
def test_size_categories(tmp_path, rows, name):
    data = prototypes(tmp_path)
    data["splits"]["train"]["rows"] = rows
    assert yaml.safe_load(build_card(data).split("---\n")[1])["size_categories"] == [name]


def test_random_bytes_as_images(tmp_path):
    features = Features({"image": Image(), "label": ClassLabel(names=["a"]), "x": Value("float32")})
    noise = [np.random.default_rng(row).bytes(50) for row in range(4)]
    ds = Dataset.from_dict({"image": noise, "label": [0] * 4, "x": [1.0, 2.0, 3.0, 4.0]}, features=features)
    folder = export(ds.prune("x", keep=2, order="hard"), tmp_path / "out", source="local")
    check_page((folder / "README.md").read_text())


def test_all_configurations_are_listed_on_top(tmp_path):
    first, second = prototypes(tmp_path), many_classes(tmp_path) | {"set_default": False}
    alone = build_card(first, None, {"default": first})
    assert "## Configurations" not in alone
    records = {name: record | {"config_name": name} for name, record in (("default", first), ("el2n-easy-60", second))}
    card = build_card(second, alone, records)
    check_page(card)
    table = card.split("## Configurations\n\n")[1].split("<!--")[0]
    assert table.splitlines()[2:] == [
        "| `default` (the one that `load_dataset` opens) | rows | `train` 21 of 30 | keep `0.7`: the rows with the highest "
        "`prototypes`, the hard ones |",
        "| `el2n-easy-60` | rows | `train` 60 of 240; `test` 60 | keep `60`: the rows with the lowest `el2n`, the easy "
        "ones; not scored |",
    ]
    assert card.index("# Pruned data set") < card.index("## Configurations") < card.index("begin: default")
    assert build_card(second, card, records) == build_card(second, card) == card
    mine = build_card(second, "# Mine\n\nMy words.\n", records)
    assert mine.index("My words.") < mine.index("## Configurations") < mine.index("begin: el2n-easy-60")
