"""Passwords in URIs: users may read the URI, nobody the password."""

import re


def without_password(text: str) -> str:
    """Mask the credentials of every URI in `text`.

    They stand before the host, where a password may hold any of ``/``, ``@`` and ``:``, or among the options after
    the ``?``.
    """
    text = re.sub(r"(?<=://)\S+@", "***@", text)
    return re.sub(r"(?i)([?&][^=&\s]*(?:password|passwd|pwd|token|secret)[^=&\s]*=)[^&\s]+", r"\1***", text)
