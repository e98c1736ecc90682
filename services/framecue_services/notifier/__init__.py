"""Webhooks: events told to other systems by HTTP, at least once and in order."""
