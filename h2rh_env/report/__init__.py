"""What an evaluation leaves behind: tables, report.json, records.npz, Markdown, one HTML page, pictures, a video."""

from .handover_tables import Rows
from .pictures import Film, film
from .save import save
from .tables import markdown_table, tables, terminal_table

__all__ = ["Film", "Rows", "film", "markdown_table", "save", "tables", "terminal_table"]
