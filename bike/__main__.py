"""``python -m bike``: the ``bike`` command."""

from bike.cli import main

if __name__ == "__main__":
    main()
