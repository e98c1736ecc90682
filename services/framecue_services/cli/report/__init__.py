"""The report: one self-contained page that shows what was seen, what was said, and what was made of both."""
