"""The website has every page, and links within and between pages lead to headings that are there."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_every_page_is_in_the_navigation() -> None:
    named = re.findall(r"^ +- .*: (\S+\.md)$", (DOCS / "site/mkdocs.yml").read_text(), re.M)
    assert sorted(named) == sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


def slugs(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the website make them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S), re.M)
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", heading.lower()).strip()) for heading in headings}


def test_links_to_headings_lead_somewhere() -> None:
    pages = [DOCS.parent / "README.md", *DOCS.rglob("*.md")]
    links = [(page, *link) for page in pages for link in re.findall(r"\]\(([\w./-]*)#([^)]+)\)", page.read_text())]
    lost = [
        (page.name, name, anchor)
        for page, name, anchor in links
        if anchor not in slugs(page.parent / name if name else page)
    ]
    assert len(links) > 50 and not lost
