import builtins

import pytest

from hf_prune.runtime.figures import new_figure


def test_a_figure_has_its_size_and_is_known_to_no_global_state():
    figure = new_figure(5, 4)
    assert figure.get_size_inches().tolist() == [5, 4]
    from matplotlib import pyplot

    assert not pyplot.get_fignums()


def test_without_matplotlib_one_line_says_how_to_get_it(monkeypatch):
    imported = builtins.__import__

    def without(name, *arguments):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return imported(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"^plots need matplotlib: pip install matplotlib$"):
        new_figure(1, 1)
