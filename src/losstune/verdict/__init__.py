"""From records to decisions: numbers in, numbers out; nothing is drawn here."""
