"""What operators see: names, set-up of OpenTelemetry, and traces carried from message to message."""
