"""Stop the stack: `python3 -m local.down`. The standard library is enough, so a failed set-up can stop it too."""

from local import processes
from local.paths import STACK_FILE

# In the order in which nothing misses what it needs.
_PARTS = ("localstack", "payments", "supplier", "offers", "web", "mysql", "mariadb")


def down() -> None:
    """Stop everything; the data stay."""
    with processes.exclusive("stack", when_waiting=_say_waiting):
        STACK_FILE.unlink(missing_ok=True)
        for name in _PARTS:
            # LocalStack takes 6 s to save what it never reads again.
            if processes.stop(name, seconds=1 if name == "localstack" else 20):
                print(f"✓ {name} stopped", flush=True)


def _say_waiting() -> None:
    print("… another run is working on the stack; waiting for it", flush=True)


if __name__ == "__main__":
    down()
