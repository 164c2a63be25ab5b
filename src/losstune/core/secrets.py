"""Remove passwords and tokens from text before it is shown or stored."""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit, urlunsplit

MIN_SECRET_LENGTH = 6
_SECRET_NAME = re.compile(r"passw|secret|token|credential|api_?key|access_?key|auth(?!or)|username", re.IGNORECASE)


def masked(text: str) -> str:
    """Return `text` without credentials in URLs and without the secrets in environment variables."""
    # Up to the last @ before the path: a password may contain one.
    text = re.sub(r"(?<=://)[^/\s'\"]+@", "", text)
    secrets = {
        value for name, value in os.environ.items() if _SECRET_NAME.search(name) and len(value) >= MIN_SECRET_LENGTH
    }
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def without_credentials(url: str) -> str:
    """Return `url` without password, token and query, safe to display.

    Example:
        >>> without_credentials("https://me:secret@example.com/x.git")
        'https://example.com/x.git'
        >>> without_credentials("git@example.com:x.git")
        'git@example.com:x.git'
    """
    parts = urlsplit(url)
    if "://" not in url or not parts.netloc:
        return url
    user, at, host = parts.netloc.rpartition("@")
    if parts.scheme not in {"ssh", "git+ssh"}:  # whose user is part of the address; others may hold a token
        user = at = ""
    return urlunsplit((parts.scheme, user.partition(":")[0] + at + host, parts.path, "", ""))
