"""The body that most tests of the chart place."""

import pytest
from tests.chart.scenes import body_of, scene


@pytest.fixture(scope="session")
def body():
    return body_of()


@pytest.fixture(scope="session")
def standing(body):
    return scene(body, 0.15, seed=3)
