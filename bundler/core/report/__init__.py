"""The report for who decides about the transfer: what was proved, how, and what was not. One page, and its JSON.

It is made of the evidence alone and has no time of its own: the same papers or receipt give the same bytes.
"""

from bundler.core.report.document import render_json
from bundler.core.report.evidence import Evidence, evidence_of_kit
from bundler.core.report.page import render_html

REPORT_HTML, REPORT_JSON = "report.html", "report.json"

__all__ = ["REPORT_HTML", "REPORT_JSON", "Evidence", "evidence_of_kit", "render_html", "render_json"]
