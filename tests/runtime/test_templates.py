import jinja2
import pytest

from hf_prune.runtime.html import shown
from hf_prune.runtime.templates import template_environment


def test_nothing_is_printed_that_was_not_made_safe():
    environment = template_environment("hf_prune.reports", {"shown": shown})
    assert environment.from_string("{{ x | shown }} {{ n }}").render(x="<", n=3) == "<bdi>&lt;</bdi> 3"
    for text in ("{{ x }}", "{{ [x] }}", "{{ yes }}"):
        with pytest.raises(TypeError, match="without a filter that makes it safe"):
            environment.from_string(text).render(x="<", yes=True)
    with pytest.raises(jinja2.UndefinedError):
        environment.from_string("{{ y | shown }}").render()
