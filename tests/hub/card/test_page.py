import pytest

from hf_prune.hub.card.metadata import load_card
from hf_prune.hub.card.page import has_section, marked, put_section, with_section

OURS = "<!-- hf_prune begin: x -->\nOurs.\n<!-- hf_prune end: x -->"


def test_a_section_is_replaced_where_it_stands():
    page = f"Before.\n\n{OURS}\n\nBehind, of `{OURS.splitlines()[0]}`.\n"
    assert with_section(page, "x", "New.") == page.replace("Ours.", "New.")
    assert with_section(page, "y", "New.") == f"{page}\n{marked('y', 'New.')}\n"
    assert has_section(page, "x")
    assert not has_section(page, "y")


@pytest.mark.parametrize(
    "page", [OURS.splitlines()[0], OURS.splitlines()[2], f"{OURS}\n{OURS}", "\n".join(OURS.splitlines()[::-1])]
)
def test_a_damaged_section_is_refused(page):
    with pytest.raises(ValueError, match=r"README\.md must hold the lines .* once each, in this order: repair them"):
        with_section(page, "x", "New.")


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_line_ends_of_the_page_stay(newline):
    card = load_card(f"Before.{newline}")
    put_section(card, "x", "Ours.\nTwo lines.", "Not used", lambda text: text.replace("Two", "2"))
    ours = marked("x", "Ours.\n2 lines.")
    expected = f"Before.\n\n{ours}"
    assert card.text.strip() == expected.replace("\n", newline)
    assert card.text.count("\r\n") == (card.text.count("\n") if newline == "\r\n" else 0)


def test_a_new_page_has_a_title():
    card = load_card(None)
    put_section(card, "x", "Ours.", "cifar10-pruned")
    assert card.text == f"\n# cifar10-pruned\n\n{OURS}\n"
