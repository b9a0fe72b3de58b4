"""The Reservations API: domain, application, adapters, entrypoints; arrows point inwards only."""
