"""Runs named operations one after the other and prints what each gives."""


def run(operations):
    """`operations` are pairs of a name and a function without arguments."""
    for name, operation in operations:
        try:
            outcome = repr(operation())
        except Exception as error:  # what it raises is what is looked at
            outcome = f"raises {type(error).__name__}: {error}"
        print(f"{name}: {outcome}", flush=True)


def names(stats):
    """The names of statistics, whose values differ from moment to moment."""
    return sorted(
        name.decode() if isinstance(name, bytes) else name for name in stats
    )
