import inspect

import pytest

import hf_prune
from hf_prune.cli.app import command
from hf_prune.data.loading import open_dataset
from hf_prune.hub.publish.export import export
from hf_prune.hub.publish.push import push_to_hub
from hf_prune.scoring.run import flat_parameters
from hf_prune.workflows.demo import run_demo

pytest_plugins = ["tests.helpers.command_line"]


class TestVocabulary:
    @pytest.mark.parametrize(
        ("name", "function", "left_out", "added"),
        [
            ("score", hf_prune.score_with, {"options"}, {"data", "name", "split", "data_files", "out", "shard"}),
            (
                "prune",
                hf_prune.prune,
                {"return_selection", "evidence", "options"},
                {"data", "name", "split", "data_files", "out", "overwrite"},
            ),
            ("export", export, set(), {"data"}),
            ("push", push_to_hub, {"token"}, {"data"}),
            ("demo", run_demo, {"log"}, set()),
        ],
    )
    def test_parameters_are_those_of_the_function(self, name, function, left_out, added):
        if name == "score":
            added = added | {option for metric in hf_prune.list_metrics() for option in metric.options}
        if name == "prune":
            added = added | {option for order in hf_prune.list_orders() for option in order.options}
        expected = set(flat_parameters(function)[0]) - {"ds"} - left_out | added
        assert {parameter.name for parameter in command().commands[name].params} - {"help", "json"} == expected

    def test_opening_options_are_those_of_open_dataset(self):
        known = set(inspect.signature(open_dataset).parameters)
        assert known == {"path", "name", "split", "data_files", "revision"}

    def test_flags_are_the_names_with_dashes(self):
        for subcommand in ("score", "prune", "export", "push", "recommend", "keep-curve"):
            for parameter in command().commands[subcommand].params:
                if parameter.param_type_name == "option" and parameter.name != "folder":
                    assert f"--{parameter.name.replace('_', '-')}" in parameter.opts

    def test_help_comes_from_the_docstrings(self, hf):
        told = " ".join(hf("score --help").split())
        assert "Number of prototypes k; leaving it out takes default_num_prototypes." in told
        assert "Images per batch and process. [default: 64]" in told
        assert "Keep the rows that a score column ranks first." in " ".join(hf("--help").split())

    def test_orders_and_their_options_are_the_registry(self):
        help_of = {parameter.name: parameter.help for parameter in command().commands["prune"].params}
        for order in hf_prune.list_orders():
            assert f"{order.name} keeps {order.keeps.format(column='score')}" in help_of["order"]
        assert help_of["num_strata"] == "Number of equal-width bins of the score range. (Of stratified, default 50.)"

    @pytest.mark.usefixtures("place")
    def test_teachers_are_repeatable(self, refusal):
        line = "score data el2n --teachers pixels --teachers nowhere/two --out x"
        assert "pixels" in refusal(line) or "nowhere/two" in refusal(line)
