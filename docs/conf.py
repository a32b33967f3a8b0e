"""How `make docs` builds these pages into a site: Sphinx reads the Markdown as GitHub does, by MyST.

A link or an anchor that leads nowhere, and a page that is not in the navigation of index.md, are errors.
"""

project = "bounced"
extensions = ["myst_parser"]
myst_heading_anchors = 3  # anchors as GitHub makes them
html_theme = "furo"
html_title = "bounced"
html_copy_source = False


def setup(app):
    """Make the changelog a page too: elsewhere it lies one directory higher."""
    app.connect("source-read", lambda _app, _name, source: source.append(source.pop().replace(*CHANGELOG)))


CHANGELOG = ("](../CHANGELOG.md", "](changelog.md")
