"""`bench report` and `bench site`: the committed results, and the pictures of models that are on this machine."""

from benchmark.report.build import Report, build_report
from benchmark.report.pages import Page
from benchmark.report.strip import ENDS, FOLDER, RECORD, StripColumn, StripRecord, picture_name
from benchmark.report.trained import Trained, find_trained

__all__ = [
    "ENDS", "FOLDER", "RECORD", "Page", "Report", "StripColumn", "StripRecord", "Trained", "build_report",
    "find_trained", "picture_name",
]  # fmt: skip
