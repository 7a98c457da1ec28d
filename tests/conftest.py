"""What every test may use: the external data, a reproducible hypothesis, no models of a user's."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples on every machine and run: a failure seen once can be seen again.
settings.register_profile("reproducible", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("reproducible")

DATA_VARIABLE = "BSA_VISION_DATA"


@pytest.fixture(scope="session", autouse=True)
def _no_models_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Neither the models nor the default model of whoever runs the tests, in subprocesses too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data-home")))
        patch.delenv("BSA_VISION_MODELS", raising=False)
        yield


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of test data that is not part of the project."""
    named = os.environ.get(DATA_VARIABLE)
    if not named:
        pytest.skip(f"{DATA_VARIABLE} is not set")
    folder = Path(named)
    if not folder.is_dir():
        pytest.fail(f"{DATA_VARIABLE}={named}: there is no such folder")
    return folder
