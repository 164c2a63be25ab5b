"""What report, across and compare share: tables in the terminal, HTML pages, CSV and JSON as text."""
