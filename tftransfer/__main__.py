"""`python -m tftransfer` is the program `tftransfer`."""

from tftransfer.top.cli import entry_point

if __name__ == "__main__":
    entry_point()
