"""From files and arrays to split, hashed, checked examples."""
