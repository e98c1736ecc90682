"""The HTTP API and the dashboard: what FrameCue knows, for people and for systems that ask."""
