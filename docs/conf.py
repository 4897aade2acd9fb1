"""How `make docs` builds the site: docs/ and the pages beside README.md; formulas and pictures are in the pages."""

import sys
from pathlib import Path

from regbench import __version__

sys.path.insert(0, str(Path(__file__).parent))

project = "regbench"
author = "The regbench contributors"
project_copyright = author
version = release = __version__

# The source folder is the repository: README.md and the configs that pages link to lie above docs/.
root_doc = "docs/index"
include_patterns = ["docs/*.md", "docs/*.ipynb", "docs/*/*.md", "README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "generated_reference", "generated_gallery"]

myst_heading_anchors = 4

# The notebook is executed at each build; a cell that fails ends it.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True

autodoc_typehints = "description"
autodoc_member_order = "alphabetical"
autodoc_typehints_format = "short"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "pydata_sphinx_theme"
html_title = "regbench"
html_show_sourcelink = False
html_static_path = ["site.css", "sortable.js"]
html_css_files = ["site.css"]
html_js_files = ["sortable.js"]
html_theme_options = {
    "show_prev_next": True,
    "navigation_depth": 2,
    "show_nav_level": 1,
    "secondary_sidebar_items": ["page-toc"],
    "navbar_align": "left",
    "footer_start": ["copyright"],
    "footer_end": [],
}
highlight_language = "text"  # blocks without a language are for a shell
