"""Settings of the site, which `make site` builds; docs/build.py puts its pages together."""

import os
import sys
import tomllib
from pathlib import Path

from sphinx.ext.autodoc.mock import MockFinder

DOCS = Path(__file__).parent
# What the modules of the API import and the site needn't load, since nothing is run.
UNLOADED = """
altair dask distributed IPython keras matplotlib mlxtend nbclient nbconvert nbdev
nbgrader networkx pandas papermill psutil scipy sklearn sympy tensorflow tqdm
""".split()

sys.path[:0] = [str(DOCS), str(DOCS.parent)]
sys.meta_path.insert(0, MockFinder(UNLOADED))

# The address of the repository, such as https://github.com/OWNER/NAME. With it, each notebook gets
# links to GitHub and to Binder; without it, none. The workflow sets it for the published site.
course_repository = os.environ.get("COURSE_REPOSITORY", "")

project = "GradientTape: a course"
author = "The tapecourse authors"
release = tomllib.loads((DOCS.parent / "pyproject.toml").read_text())["project"]["version"]
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "course_notebooks",
    "course_pages",
]
exclude_patterns = ["README.md"]  # whose parts the front page includes

nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
myst_heading_slug_func = "course_reader.slug"
mathjax_path = "mathjax/tex-chtml.js"

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
default_role = "code"
highlight_language = "none"  # of what isn't a cell: commands
add_module_names = False
toc_object_entries = False

html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["_static"]
html_css_files = ["course.css"]
html_js_files = ["print.js"]
html_favicon = "_static/icon.svg"
html_context = {"default_mode": "auto"}  # light or dark as the reader's system
html_use_index = False
html_domain_indices = False
html_theme_options = {
    "use_download_button": False,  # a line below each title has it
    "use_fullscreen_button": False,
    "navbar_persistent": [],
    "show_navbar_depth": 1,
    "show_toc_level": 2,
    "extra_footer": "Text and figures: CC BY 4.0. Code: MIT.",
}
