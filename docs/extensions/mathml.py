"""Formulas as MathML, which browsers draw without a script, a font or the network."""

from docutils import nodes
from latex2mathml.converter import convert


def inline(writer, node):
    """Write a formula within a line."""
    writer.body.append(convert(node.astext()))
    raise nodes.SkipNode


def display(writer, node):
    """Write a formula that stands alone."""
    writer.body.append(f'<div class="formula">{convert(node.astext(), display="block")}</div>\n')
    raise nodes.SkipNode


def setup(app):
    """Register ``mathml`` as the renderer of formulas in HTML."""
    app.add_html_math_renderer("mathml", (inline, None), (display, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
