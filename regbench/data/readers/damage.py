"""What damaged and dishonest files do to the libraries that read them."""

import struct
import zlib

# deflate cannot expand by more; a header that claims more than this lies.
DEFLATE = 1032
# All that nibabel, Pillow, zlib and numpy were seen to raise on damaged files.
DAMAGE = (
    OSError, EOFError, ValueError, TypeError, KeyError, IndexError, ArithmeticError, AttributeError, SyntaxError,
    MemoryError, struct.error, zlib.error,
)  # fmt: skip
