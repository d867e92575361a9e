"""Fields that the HTTP APIs of several apps share."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


class Words(serializers.Field[str, object, str, Any]):
    """Text as people write it, whatever is in it: the operation that stores it cleans it."""

    def to_internal_value(self, data: object) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError("This is not text.")
        return data
