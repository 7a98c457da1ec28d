"""Digests and canonical JSON: the same content gives the same bytes everywhere."""

import hashlib
import json
from typing import Any


def sha256_hex(data: bytes) -> str:
    """Hex SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def canonical_json(document: Any) -> str:
    """JSON text with sorted keys, two-space indent and a final newline; NaN is refused."""
    return (
        json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    )


def document_digest(document: Any) -> str:
    """Hex SHA-256 of a JSON-able document, independent of key order."""
    return sha256_hex(canonical_json(document).encode())
