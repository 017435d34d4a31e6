from hf_prune.hub.verify.report import Report


def test_no_name_forges_a_line_or_acts_on_the_terminal():
    report = Report("out\nout: all 21 checks agree")
    report.differs("x\nsame         y", "a\x1b[2K\r b\u202e")
    report.compare("train", "rows", "recorded " * 1000, {"a\nb": 1})
    lines = str(report).split("\n")
    assert len(lines) == 3
    assert all(line.isprintable() and len(line) < 1000 for line in lines)
    assert lines[0] == r"differs      x\nsame         y: a\x1b[2K\r b\u202e"
    assert lines[2] == r"out\nout: all 21 checks agree: 2 things differ"
