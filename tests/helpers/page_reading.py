"""A page as a browser would read it: its elements in order, their attributes, and its text."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """A page that was read.

    Attributes:
        elements: Name of each element with the names of its attributes.
        attributes: Name and value of every attribute.
        text: What stands between the elements, style and script left out.
    """

    def __init__(self, content: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, ...]] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.others: list[str] = []
        self._inside: list[str] = []
        self.feed(content)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, *(name for name, _ in attrs)))
        self.attributes += [(name, value or "") for name, value in attrs]
        self._inside.append(tag)

    def handle_data(self, data):
        if not self._inside or self._inside[-1] not in ("style", "script"):
            self.texts.append(data)

    def handle_endtag(self, tag):
        if tag in self._inside:
            while self._inside.pop() != tag:
                pass

    def handle_comment(self, data):
        self.others.append(data)

    def handle_pi(self, data):
        self.others.append(data)

    @property
    def text(self) -> str:
        return "".join(self.texts)
