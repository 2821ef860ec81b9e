"""What the tests of weights share."""

from __future__ import annotations

import pytest
from helpers.models import small

from bike.model.encoders import Encoder


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return small()
