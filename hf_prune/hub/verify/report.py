"""Findings of a check, readable when printed."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from hf_prune.runtime.messages import printable, shortened

_SHOWN = 300  # characters of a value that somebody else wrote
SAME, DIFFERS, UNKNOWN, NOTE = "same", "differs", "cannot tell", "note"


@dataclass(frozen=True)
class Finding:
    """One thing that was checked.

    Attributes:
        outcome: ``"same"``, ``"differs"``, ``"cannot tell"``, or ``"note"`` for what was left unchecked by its nature.
        subject: The file, or configuration and split.
        text: What was compared, and how it differs.
    """

    outcome: str
    subject: str
    text: str

    def __str__(self) -> str:
        return printable(f"{self.outcome:11}  {self.subject}: {self.text}")


@dataclass
class Report:
    """The findings of one check, in the order in which they were made.

    Attributes:
        title: What was checked.
        findings: What was found.
    """

    title: str
    findings: list[Finding] = field(default_factory=list)

    def same(self, subject: str, text: str) -> None:
        """Add something that agrees."""
        self.findings.append(Finding(SAME, subject, text))

    def differs(self, subject: str, text: str) -> None:
        """Add something that does not agree."""
        self.findings.append(Finding(DIFFERS, subject, text))

    def unknown(self, subject: str, text: str) -> None:
        """Add something that could not be checked and should be."""
        self.findings.append(Finding(UNKNOWN, subject, text))

    def note(self, subject: str, text: str) -> None:
        """Add something that is not covered."""
        self.findings.append(Finding(NOTE, subject, text))

    def compare(self, subject: str, what: str, expected: object, found: object) -> bool:
        """Add whether two values agree, and return that."""
        if expected == found:
            self.same(subject, what)
        else:
            recorded, there = (shortened(str(value), _SHOWN) for value in (expected, found))
            self.differs(subject, f"{what}: recorded {recorded}, found {there}")
        return expected == found

    @property
    def differences(self) -> list[Finding]:
        """Return the findings that differ."""
        return [finding for finding in self.findings if finding.outcome == DIFFERS]

    @property
    def exit_code(self) -> int:
        """Return 0 where all agrees, 1 where something differs, 2 where something cannot be checked.

        Example:
            >>> report = Report("a folder")
            >>> report.same("README.md", "as rendered")
            >>> report.exit_code
            0
            >>> report.compare("train", "rows", 3, 4), report.exit_code
            (False, 1)
        """
        outcomes = {finding.outcome for finding in self.findings}
        if DIFFERS in outcomes:
            return 1
        return 2 if UNKNOWN in outcomes or not outcomes else 0

    def __str__(self) -> str:
        return "\n".join([*map(str, self.findings), self.verdict])

    @property
    def verdict(self) -> str:
        """Return the outcome in one line."""
        count = len(self.differences)
        verdicts = (
            f"all {sum(finding.outcome == SAME for finding in self.findings)} checks agree",
            f"{count} {'thing differs' if count == 1 else 'things differ'}",
            "cannot tell",
        )
        return printable(f"{self.title}: {verdicts[self.exit_code]}")

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)
