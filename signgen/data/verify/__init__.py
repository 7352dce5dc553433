"""Raw data sets in, reports of what is missing or damaged out: `signgen verify`, and what `build-pairs` leaves out."""

from signgen.data.verify.phoenix import OnDisk, QuickLook, quick_look, verify_phoenix
from signgen.data.verify.report import KINDS, Finding, Report

__all__ = ["KINDS", "Finding", "OnDisk", "QuickLook", "Report", "quick_look", "verify_phoenix"]
