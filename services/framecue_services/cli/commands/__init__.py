"""The commands of `framecue`, by who uses them. What a command does is imported when it runs."""
