"""The documentation site, built strictly."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.paths import REPOSITORY


def build_site(folder: Path, source: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
    """Build the site of a repository into a folder, as ``make docs`` does."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    variables = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=source, env=variables, capture_output=True, text=True, timeout=300, check=False)
