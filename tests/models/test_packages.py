import collections
import json
import sys
import types

import numpy as np
import pytest
import torch
import transformers

from hf_prune.models.packages import pinned_name, pinned_package


@pytest.mark.parametrize("module", ["numpy", "torch.nn.functional", "transformers.models.vit.modeling_vit", "PIL"])
def test_installed_packages_are_pinned_by_their_version(module):
    package = pinned_package(module)
    assert package.count("==") == 1
    assert "+" not in package, "builds for other hardware are one version"


@pytest.mark.parametrize("module", ["json", "sys", "collections.abc", "importlib._bootstrap"])
def test_python_is_pinned_by_its_version(module):
    assert pinned_package(module) == f"python=={sys.version_info.major}.{sys.version_info.minor}"


@pytest.mark.parametrize(
    "module", ["__main__", "hf_prune.api", "tests.helpers.tiny_models", "no_such_module", "", None]
)
def test_code_that_may_be_edited_is_not_pinned(module):
    assert pinned_package(module) is None


@pytest.mark.parametrize("kind", ["dir_info", "archive_info", "vcs_info", None])
def test_where_a_package_was_installed_from_counts_with_its_version(kind, tmp_path, monkeypatch):
    import hf_prune.models.packages as pinned

    facts = tmp_path / "yaml-1.0.dist-info"
    facts.mkdir()
    (tmp_path / "yaml.py").write_text("")
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: yaml\nVersion: 1.0+cpu\n")
    if kind is not None:
        (facts / "direct_url.json").write_text(json.dumps({"url": "file:///mine", kind: {"commit_id": "abc"}}))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "yaml", raising=False)
    monkeypatch.setattr(pinned, "_packages", lambda: {"yaml": ["yaml"]})
    found = []
    for record in ("yaml.py,sha256=a,0", "yaml.py,sha256=b,0"):  # built again with other code
        (facts / "RECORD").write_text(record)
        pinned._package.cache_clear()
        found.append(pinned_package("yaml"))
    pinned._package.cache_clear()
    if kind in ("dir_info", "archive_info"):
        assert found[0] != found[1]
        assert all(package.startswith("yaml==1.0@") for package in found)
    else:
        assert found == ["yaml==1.0@abc" if kind else "yaml==1.0"] * 2


def test_a_file_that_shares_the_name_of_an_installed_package_is_not_pinned(tmp_path, monkeypatch):
    import hf_prune.models.packages as pinned

    (tmp_path / "statistics.py").write_text("")
    (tmp_path / "yaml.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("statistics", "yaml"):
        monkeypatch.delitem(sys.modules, name, raising=False)
        pinned._package.cache_clear()
        assert pinned_package(name) is None
    pinned._package.cache_clear()


@pytest.mark.parametrize(
    "value", [torch.nn.Linear, torch.relu, np.mean, json.dumps, collections.OrderedDict, transformers.ViTModel]
)
def test_what_is_found_under_its_own_name_is_pinned(value):
    assert (pinned_name(value) is None) == (value is torch.relu)  # which calls itself by another name


def test_what_only_says_that_it_is_installed_is_not():
    forged = types.FunctionType((lambda: None).__code__, {}, "dumps")
    forged.__module__, forged.__qualname__ = "json", "dumps"
    assert pinned_name(forged) is None
    assert pinned_name(3) is None
