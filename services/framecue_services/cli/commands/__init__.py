"""The commands of `framecue`, by who uses them: names, options and help. What a command does is imported when it runs."""
