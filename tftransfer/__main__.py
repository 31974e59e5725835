"""`python -m tftransfer` is the program `tftransfer`."""

from tftransfer.cli.main import entry_point

if __name__ == "__main__":
    entry_point()
