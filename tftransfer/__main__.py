"""`python -m tftransfer` is the same program as `tftransfer`."""

from tftransfer.top.cli import entry_point

if __name__ == "__main__":
    entry_point()
