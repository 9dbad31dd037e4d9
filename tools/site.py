"""What the documentation site needs beside docs/: MkDocs calls these functions (`hooks` in mkdocs.yml).

The migration guide and the examples stand in the repository's root, where a reader of the repository looks for them.
They become pages and files of the site, and links between them and docs/ work in both places.
"""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
_LINK_TO_SIBLING = re.compile(r"\]\((?:docs/|\.\./)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the guide and the examples to the files of the site."""
    for path in (ROOT / "migration_guide.md", *sorted((ROOT / "examples").glob("*.*"))):
        name = path.relative_to(ROOT).as_posix()
        files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """On the site the guide lies beside the pages of docs/, so links lose their `docs/` and their `../`."""
    return _LINK_TO_SIBLING.sub("](", markdown)
