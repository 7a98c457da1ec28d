"""OpenVINO without its usage statistics.

Importing `openvino` reports to its makers unless the package that sends the report is missing; it
then falls back to a stub of its own. A program for patients' photos must open no connection, so the
sender is hidden before the import.
"""

import sys

# None is how Python marks a module that must not be found; the stubs want a module.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None bars the import

import openvino  # noqa: E402  (must follow the line above)

__all__ = ["openvino"]
