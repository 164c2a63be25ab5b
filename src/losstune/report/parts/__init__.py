"""Parts that report, across and compare share: terminal tables, HTML pages, CSV and JSON text."""
