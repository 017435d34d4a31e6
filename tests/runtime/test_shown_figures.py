from hf_prune.runtime.figures import new_figure


def test_a_notebook_shows_a_figure_and_its_axes():
    figure = new_figure(2, 1)
    ax = figure.subplots()
    ax.plot([1, 2])
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert ax._repr_png_() == figure._repr_png_()
    assert all(hasattr(other, "_repr_png_") for other in new_figure(2, 1).subplots(1, 2))
