"""Marks: what was sent last of a part, kept so that an edit of something else asks BRM nothing.

A mark is a hash over what BRM is sent. Card and bank numbers take part with the digits that any masked form shows.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from libs.brm.text import mask


def mark_of(content: Any) -> str:
    """The mark of a part: flists, texts and numbers."""
    text = json.dumps(mask(content), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
