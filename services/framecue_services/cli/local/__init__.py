"""Kafka, Redis and the services on this machine, without Docker, root or Java: what `framecue up` and `down` do."""
