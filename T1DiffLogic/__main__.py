"""`python -m T1DiffLogic …` is the same as `t1diff …`."""

from T1DiffLogic.cli import entry

if __name__ == "__main__":
    entry()
