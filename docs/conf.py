"""How the documentation is built: ``sphinx-build -W --keep-going docs build/docs``.

Nothing is fetched: no fonts and no scripts. Formulas become MathML when the site is built.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "extensions"))
os.environ["NUMBA_ENABLE_CUDASIM"] = "1"  # the GPU's modules import without a GPU

import fastpg

project = "fastpg"
author = "the fastpg developers"
copyright = "the fastpg developers, MIT licence"
version = release = fastpg.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "mathml", "kernel_table"]
nitpicky = True  # a reference that leads nowhere is a warning, and warnings are errors
nitpick_ignore_regex = [
    (r"py:.*", r"(fastpg\.(.*\.)?)?_.*"),  # private names have no page
    (r"py:.*", r"fastpg\.kernels\.(checks|ops_\w+)(\..*)?"),  # behind kernels.ops
    # names of other packages: their sites are not looked up
    (r"py:.*", r"(numpy|np|gymnasium|ale_py|AutoresetMode|Array|SharedArray|ModuleType)(\..*)?"),
    # types of the standard library, and short forms from annotations
    (r"py:class", r"(abc|collections\.abc|pathlib|typing|os|optional|Any|Path|PathLike)(\..*)?"),
]

html_theme = "furo"
html_title = f"fastpg {release}"
html_theme_options = {"sidebar_hide_name": False}
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False

myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # shapes and dtypes stand in the docstrings
autodoc_default_options = {"members": True, "show-inheritance": False}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_custom_sections = [("Source", "notes_style"), ("Writes", "notes_style")]


def plain(app, what, name, obj, options, lines):
    """Keep Napoleon from reading the words before an attribute's first colon as its type."""
    if what in ("attribute", "data", "property"):
        lines.insert(0, "\\ ")  # an empty first line has no colon


def setup(app):
    """Connect the hooks of this file."""
    app.connect("autodoc-process-docstring", plain, priority=400)
