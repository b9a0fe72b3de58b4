"""MySQL: tables, migrations, unit of work, idempotency store."""
