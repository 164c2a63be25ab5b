"""What every part rests on: files, records, seeds, labels, errors, Git, progress. Knows no other package."""
