"""`bench report`: the committed results, and the pictures of models that are on this machine, as one folder."""

from benchmark.report.build import Report, Section, build_report

__all__ = ["Report", "Section", "build_report"]
