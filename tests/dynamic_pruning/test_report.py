"""The report, from the log of a Trainer."""

from types import SimpleNamespace

from hf_prune.dynamic_pruning.methods import make_plan
from hf_prune.dynamic_pruning.report import EpochReport, PruningReport


class Trainer:
    def __init__(self):
        self.state = SimpleNamespace(log_history=[{"loss": 1.0}], epoch=0.0)

    def log(self, line):
        self.state.log_history.append(line)


def logged():
    """Two epochs of 1,000 rows, of which the second saw 400 and 1.75 seconds."""
    trainer = Trainer()
    report = PruningReport(trainer, make_plan("infobatch", 0.4, 1000, 3, {}))
    for epoch, (rows, seconds) in enumerate(((1000, 4.0), (400, 1.75)), 1):
        trainer.state.epoch = float(epoch)
        report.log(rows, seconds)
    return report


def test_figures_by_hand():
    report = logged()
    assert report.epochs == [EpochReport(1, 1000, 1.0, 4.0), EpochReport(2, 400, 0.4, 1.75)]
    assert (report.rows_seen, report.share_saved, report.seconds) == (1400, 0.3, 5.75)


def test_before_the_training():
    report = PruningReport(Trainer(), make_plan("rs2", 0.4, 1000, 3, {}))
    assert (report.epochs, report.rows_seen, report.share_saved, report.seconds) == ([], 0, 0.0, 0)
    assert "0 rows in 0.0 s" in str(report)


def test_the_section_of_a_card():
    assert logged().to_markdown() == (
        "## Rows trained on\n\n"
        "Trained with hf_prune, method `infobatch` (InfoBatch, arXiv 2303.04947): "
        "400 of 1,000 rows in a pruned epoch, seed 3. In all 1,400 rows were seen in 6 s, 30.0% fewer than in as many "
        "whole epochs.\n\n"
        "| epoch | rows | share | seconds |\n| --- | --- | --- | --- |\n"
        "| 1 | 1,000 | 100.0% | 4.0 |\n| 2 | 400 | 40.0% | 1.8 |\n"
    )


def test_printed_it_is_a_table():
    assert str(logged()).splitlines() == [
        "infobatch: 400 of 1,000 rows in a pruned epoch",
        "epoch         rows   share   seconds",
        "    1        1,000  100.0%       4.0",
        "    2          400   40.0%       1.8",
        "1,400 rows in 5.8 s; 30.0% of the rows saved",
    ]
