"""AWS: queues, mail, documents, settings."""
