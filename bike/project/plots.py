"""``dvc plots`` as one page that opens without a network: the scripts that DVC takes from the web are put into it.

``python -m bike.project.plots [show|diff] [OPTIONS of DVC]`` needs the extra ``plots``.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from bike.errors import BikeError
from bike.files import atomic_write, read_text
from bike.project.tools import DVC, call

_FROM_THE_WEB = re.compile(r'(?:<script src="https?://[^"]*"></script>\s*)+')
_VEGA_LITE = "5.21"  # DVC's templates are of version 5
PAGE = Path("dvc_plots", "index.html")


def inline_scripts(page: Path) -> None:
    """Put Vega and Vega-Lite into a page of `dvc plots`, in the place of their addresses.

    Raises:
        BikeError: the page has no such addresses, or the extra ``plots`` is missing.
    """
    try:
        from vl_convert import javascript_bundle
    except ImportError as error:
        raise BikeError('vl_convert is not installed. Install it: pip install "bike-video[plots]".') from error
    text = read_text(page)
    if len(_FROM_THE_WEB.findall(text)) != 1:
        raise BikeError(f"{page}: not a page of `dvc plots` as it is known here. Open it with a network.")
    script = f"<script>\n{javascript_bundle('window.vegaEmbed = vegaEmbed;', vl_version=_VEGA_LITE)}\n</script>\n"
    with atomic_write(page, "w") as file:
        file.write(_FROM_THE_WEB.sub(lambda _: script, text))


def main() -> None:
    """Entry point; see the module's docstring."""
    words = sys.argv[1:] or ["show"]
    call(Path(), *DVC, "plots", *words, "--out", str(PAGE.parent))
    inline_scripts(PAGE)
    sys.stdout.write(f"{PAGE.resolve().as_uri()}\n")


if __name__ == "__main__":
    try:
        main()
    except BikeError as failure:
        sys.exit(f"Error: {failure}")
