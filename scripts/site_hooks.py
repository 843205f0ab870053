"""Hooks of MkDocs: the site is built from the pages and formulas as they are on GitHub."""

from __future__ import annotations

import re
import xml.etree.ElementTree as etree
from pathlib import Path
from typing import TYPE_CHECKING

from latex2mathml.converter import convert
from markdown import Markdown
from markdown.extensions import Extension
from markdown.inlinepatterns import InlineProcessor
from markdown.preprocessors import Preprocessor
from mkdocs.structure.files import File, Files

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig

INLINE = r"\$`([^`]+)`\$"
BLOCK = re.compile(r"^```math\n(.*?)\n```$", re.MULTILINE | re.DOTALL)
FUNCTION = re.compile(r"(?<!<msub>)(?<!<munder>)(<mi>(?:log|tanh)</mi>)(?!<mo)")


def on_config(config: MkDocsConfig) -> None:
    """Add the syntax of formulas that GitHub uses."""
    config.markdown_extensions.append(Formulas())


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Name each page by its path in the checkout, so that links lead there on GitHub and here.

    The pages of the root, README among them, are part of the site without a copy in ``docs``.
    """
    root = Path(config.config_file_path).parent
    own = [file for file in files if file.src_dir == config.docs_dir]
    for file in own:
        files.remove(file)
    pages = [path.name for path in sorted(root.glob("*.md"))]
    for path in [*pages, *(f"{Path(config.docs_dir).name}/{file.src_uri}" for file in own)]:
        files.append(File(path, str(root), config.site_dir, config.use_directory_urls))
    return files


def mathml(formula: str, display: str) -> str:
    """Formula in TeX as MathML, which browsers draw without scripts or fonts of a network."""
    # The converter puts no space between a function and its argument.
    return FUNCTION.sub(r'\1<mspace width="0.17em"/>', convert(formula, display=display))


class Formulas(Extension):
    """Markdown extension for inline formulas in dollars and backquotes, and ``math`` fences."""

    def extendMarkdown(self, md: Markdown) -> None:
        """Register both forms before code spans and fences."""
        md.inlinePatterns.register(InlineFormula(INLINE, md), "formula", 195)
        # After the step that normalises whitespace, at 30, which would drop the placeholders.
        md.preprocessors.register(FormulaBlocks(md), "formulas", 28)


class InlineFormula(InlineProcessor):
    """Formula within a line."""

    def handleMatch(self, m: re.Match[str], data: str) -> tuple[etree.Element | str, int, int]:
        """Return a placeholder of the formula and the span that it replaces."""
        return self.md.htmlStash.store(mathml(m.group(1), "inline")), m.start(0), m.end(0)


class FormulaBlocks(Preprocessor):
    """Formulas in fences."""

    def run(self, lines: list[str]) -> list[str]:
        """Replace each fence by a placeholder of its formula."""
        return BLOCK.sub(self.store, "\n".join(lines)).split("\n")

    def store(self, match: re.Match[str]) -> str:
        """Placeholder of the formula of one fence."""
        return self.md.htmlStash.store(f"<div>{mathml(match.group(1), 'block')}</div>")
