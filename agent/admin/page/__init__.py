"""The status page: what ``status`` says, as HTML for people.

Pure: plain data in, markup out. All text is escaped by ``markup``, the only module that makes tags; much of it was
written by other teams. No module here asks anybody anything, and no style or script stands in the markup: those are
files beside it (``admin.files``), so that the Content-Security-Policy can refuse all others.
"""

from agent.admin.page.frame import page

__all__ = ["page"]
