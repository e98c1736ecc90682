"""What may be asked for, by whom it concerns. A route finds what it needs on `app.state`."""
