"""Apache Kafka behind the broker protocol: the only home of the client. `producer` knows what a commit survives."""
